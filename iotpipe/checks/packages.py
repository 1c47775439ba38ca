"""Check the zips against Lambda's size limits and the account's code storage, and the layer for bytecode."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from iotpipe.checks.concurrency import account_settings
from iotpipe.checks.finding import Finding, ok, problem, warning
from iotpipe.errors import PackagingError
from iotpipe.packaging import UNZIPPED_LIMIT, ZIPPED_LIMIT, check_sizes, unzipped_size
from iotpipe.pipeline import Artifacts
from iotpipe.provision.run import Run

PACKAGES, BYTECODE, STORAGE = "packages", "bytecode", "code storage"
_NEARLY_FULL = 0.9
_MB = 2**20

COLD_START_CPU = {True: 190, False: 418}
"""CPU milliseconds to import the ingestion handler in a cold start, with and without bytecode: benchmarks/handlers.py,
median of 9 processes of Python 3.11 on two cores of x86-64."""


def check(built: Artifacts) -> list[Finding]:
    """Build the layer if it is not built yet, and check what would be uploaded."""
    try:
        layer = built.layer.content()
        check_sizes(layer, built.handlers)
    except PackagingError as error:
        return [problem(PACKAGES, error.message, error.hint)]
    largest = max(unzipped_size(each.content) for each in built.handlers.values())
    unzipped = largest + unzipped_size(layer)
    text = (
        f"the layer has {_mb(len(layer))} zipped of the {_mb(ZIPPED_LIMIT)} that Lambda accepts, and with the largest "
        f"handler {_mb(unzipped)} unzipped of {_mb(UNZIPPED_LIMIT)}"
    )
    return [ok(PACKAGES, text), _bytecode(layer, built.layer.target.python)]


def storage(run: Run, built: Artifacts) -> list[Finding]:
    """Check the account's code storage. Raises ResourceError if AWS does not answer."""
    settings = account_settings(run)
    used, limit = settings["AccountUsage"]["TotalCodeSize"], settings["AccountLimit"]["TotalCodeSize"]
    text = f"{used / 2**30:.1f} of {limit / 2**30:.0f} GB are used in {run.aws.region}"
    remedy = "Delete unused functions and layer versions; every version of a layer counts"
    if used + sum(_sizes(built)) > limit:
        return [problem(STORAGE, f"{text}: too little is left for this environment", remedy)]
    return [ok(STORAGE, text) if used < _NEARLY_FULL * limit else warning(STORAGE, text, remedy)]


def _sizes(built: Artifacts) -> Sequence[int]:
    return [len(each.content) for each in built.handlers.values()]


def _bytecode(layer: bytes, python: str) -> Finding:
    with zipfile.ZipFile(io.BytesIO(layer)) as source:
        if any(name.endswith(".pyc") for name in source.namelist()):
            return ok(BYTECODE, f"the layer contains bytecode for Python {python}")
    more = COLD_START_CPU[False] - COLD_START_CPU[True]
    return warning(
        BYTECODE,
        f"there is no interpreter of Python {python} on this machine, so the layer has no bytecode: a cold start "
        f"takes {more} ms more of CPU time (importing the ingestion handler {COLD_START_CPU[False]} ms instead of "
        f"{COLD_START_CPU[True]} ms, measured on Python 3.11 and two x86-64 cores; slower where a function has less)",
        f"Install one before the layer is published (`uv python install {python}` or `pyenv install {python}`); "
        "a published layer stays as it is until its contents change",
    )


def _mb(size: int) -> str:
    return f"{size / _MB:.1f} MB"
