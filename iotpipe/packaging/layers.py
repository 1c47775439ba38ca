"""The layer with the handlers' dependencies: identified by a hash of its inputs, built once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from iotpipe.packaging.archive import check_sizes, pack
from iotpipe.packaging.bytecode import bytecode_of, find_interpreter
from iotpipe.packaging.cache import default_directory, load, store
from iotpipe.packaging.lambda_target import Target, refuse_foreign_objects
from iotpipe.packaging.trim import RULES_VERSION, trimmed
from iotpipe.packaging.wheels import fetch, pins

# Lambda unzips layers to /opt and searches /opt/python/lib/pythonX.Y/site-packages, then /opt/python. The
# latter has no version, so the layer also works if an emulator runs functions in another Python.
_DIRECTORY = "python"

MODULES = frozenset({"aws_xray_sdk", "botocore", "dateutil", "jmespath", "six", "urllib3", "wrapt"})
"""The top-level modules of the layer."""


def layer(runtime: str, architecture: str, cache: Path | None = None) -> Layer:
    """The layer for a Lambda runtime ("python3.13") and architecture ("arm64" or "x86_64").

    `cache` is the directory of built layers, by default $XDG_CACHE_HOME/iotpipe or ~/.cache/iotpipe.
    Nothing is built or fetched here. Raises PackagingError for a target that there is no layer for.
    """
    return Layer(Target(runtime, architecture), cache)


@dataclass(frozen=True)
class Layer:
    """The dependencies of all handlers, for one target."""

    target: Target
    cache: Path | None = None

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that change if, and only if, a new layer version must be published.

        A hash of what the layer is made from, not of its bytes: those may differ between two hosts, by the
        bytecode and by zlib, without one being better than the other.
        """
        made_from = [RULES_VERSION, pins(), self.target.runtime, self.target.architecture]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]

    def has_bytecode_interpreter(self) -> bool:
        """Whether this machine has an interpreter of the target's Python, so that bytecode can be added."""
        return find_interpreter(self.target.python) is not None

    def content(self) -> bytes:
        """The zip, from the cache or built; building needs pip, the network and some seconds.

        With bytecode wherever it can be. Raises PackagingError if pip fails, if a wheel is not for the
        target, if Lambda would refuse the size, or if the cache cannot be written.
        """
        directory = self.cache or default_directory()
        if (kept := load(directory, f"layer-{self.identity}-bytecode")) is not None:
            return kept
        interpreter = find_interpreter(self.target.python)
        key = f"layer-{self.identity}-{'bytecode' if interpreter else 'plain'}"
        if (kept := load(directory, key)) is not None:
            return kept
        content = _build(self.target, interpreter)
        check_sizes(content, {})
        store(directory, key, content)
        return content


def _build(target: Target, interpreter: str | None) -> bytes:
    files = {f"{_DIRECTORY}/{path}": content for path, content in trimmed(fetch(target)).items()}
    refuse_foreign_objects(files, target)
    if interpreter:
        files |= bytecode_of(files, interpreter, target.python)
    # Compressed to a third, unlike a handler's zip: the hash of the inputs, not of the
    # bytes, decides what is published.
    return pack(files, zipfile.ZIP_DEFLATED)
