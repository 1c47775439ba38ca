"""Reproducible zips (the same bytes on every machine), and Lambda's size limits."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from iotpipe.errors import PackagingError

# Lambda's quotas, in bytes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ZIPPED_LIMIT = 50 * 2**20  # of one upload that does not go through S3
UNZIPPED_LIMIT = 250 * 2**20  # of a function together with its layers

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
_UNIX = 3


@dataclass(frozen=True)
class Archive:
    """A zip to upload. `sha256` is in base64, like Lambda's CodeSha256."""

    content: bytes
    sha256: str


def archive(files: Mapping[str, bytes]) -> Archive:
    """The zip of `files` (path → content), stored uncompressed.

    What deflate makes of the same bytes differs between releases of zlib and its replacements; a stored
    entry is the same on every machine, so CodeSha256 changes only when a file did.
    """
    content = pack(files, zipfile.ZIP_STORED)
    return Archive(content, base64.b64encode(hashlib.sha256(content).digest()).decode())


def pack(files: Mapping[str, bytes], compression: int) -> bytes:
    """The bytes of a zip of `files`, sorted by path, each with mode 0644 and the same time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, content in sorted(files.items()):
            target.writestr(_entry(path, compression), content, compresslevel=9)
    return buffer.getvalue()


def _entry(path: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, _EARLIEST)
    entry.create_system = _UNIX  # left alone, it says which system made the zip
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.compress_type = compression
    return entry


def unzipped_size(content: bytes) -> int:
    """The unzipped size of a zip's files in bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return sum(entry.file_size for entry in source.infolist())


def check_sizes(layer: bytes, handlers: Mapping[str, Archive]) -> None:
    """Raise PackagingError if Lambda would reject the layer, or a handler (by name) together with it."""
    _check("the layer", len(layer), unzipped_size(layer), 0)
    for name, handler in sorted(handlers.items()):
        zipped, unzipped = len(handler.content), unzipped_size(handler.content)
        _check(f"handler {name}", zipped, unzipped, unzipped_size(layer))


def _check(what: str, zipped: int, unzipped: int, layer: int) -> None:
    if zipped > ZIPPED_LIMIT:
        raise PackagingError(
            f"cannot upload {what}: its zip has {zipped:,} bytes; Lambda accepts at most {ZIPPED_LIMIT:,} in one call",
            "Remove what it does not need",
        )
    if unzipped + layer > UNZIPPED_LIMIT:
        beneath = f" and the layer beneath it {layer:,}" if layer else ""
        raise PackagingError(
            f"cannot deploy {what}: unzipped it has {unzipped:,} bytes{beneath}, "
            f"and Lambda takes {UNZIPPED_LIMIT:,} in all",
            "Remove what is not needed",
        )
