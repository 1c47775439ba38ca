"""The cache of built layers on disk: private, written atomically, verified when read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from iotpipe.errors import PackagingError
from iotpipe.files import write_atomically


def default_directory() -> Path:
    """The cache directory: $XDG_CACHE_HOME/iotpipe or ~/.cache/iotpipe."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iotpipe"
    except RuntimeError as error:  # no HOME, and a user id without an account
        raise PackagingError(
            "cannot tell where to keep the built layer: this user has no home directory", "Set XDG_CACHE_HOME"
        ) from error


def load(directory: Path, key: str) -> bytes | None:
    """The content stored under `key`, or None. A file whose hash differs from its name counts as missing."""
    for file in filter(_is_ours, sorted(directory.glob(f"{key}-*.zip"))):
        content = file.read_bytes()
        if file.name == _name(key, content):
            return content
    return None


def store(directory: Path, key: str, content: bytes) -> None:
    """Store `content` for `load`; safe for concurrent processes. Raises PackagingError if it fails."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(directory / _name(key, content), content)
    except OSError as error:
        raise PackagingError(
            f"cannot keep the built layer in {directory}: {error.strerror}",
            "Free some disk space, make it writable, or set XDG_CACHE_HOME to another directory",
        ) from error


def _is_ours(file: Path) -> bool:
    # Other users may write to a directory such as /tmp, and cached code runs in the user's AWS account.
    return os.name == "nt" or file.stat().st_uid == os.geteuid()


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()}.zip"
