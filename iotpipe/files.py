"""Atomic writes of files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, with mode 0600, that takes the path's place when the block ends.

    If the block raises, the old file is unchanged. Raises OSError.
    """
    # With all of the name, that of the new file could be too long.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too must not leave half a file behind
        os.unlink(temporary)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file atomically, with mode 0600. Raises OSError; the old file is then unchanged."""
    with replacing(path) as file:
        file.write(content)
