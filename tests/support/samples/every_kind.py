"""The samples of every kind: the constants of this folder's modules that are named as the kind is.

A kind without a sample fails the suite.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.support import samples
from tests.support.samples.sample import Sample

_NAMES = [f"{samples.__name__}.{each.name}" for each in pkgutil.iter_modules(samples.__path__)]
SAMPLES: dict[str, Sample] = {
    name.lower().replace("_", "-"): sample
    for module in map(importlib.import_module, _NAMES)
    for name, sample in vars(module).items()
    if isinstance(sample, Sample)
}
