"""What the packaging tests share besides fixtures: this machine's target, and zips as dictionaries."""

from __future__ import annotations

import io
import platform
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

HOST = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
RUNNING = f"python{sys.version_info.major}.{sys.version_info.minor}"

# Of the fixture `only_wheel`: a wheel's name and files → its place.
OnlyWheel = Callable[[str, dict[str, bytes]], Path]

PURE = "six-1.17.0-py2.py3-none-any.whl"
SIX = {"six.py": b"answer = 42\n", "six-1.17.0.data/scripts/six": b"#!/bin/sh\n"}
SOURCE, COMPILED = "python/six.py", f"python/__pycache__/six.{sys.implementation.cache_tag}.pyc"


def unpacked(content: bytes) -> dict[str, bytes]:
    """Path → content of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return {path: source.read(path) for path in source.namelist()}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, content in files.items():
            target.writestr(path, content)
    return buffer.getvalue()
