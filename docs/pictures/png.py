"""PNG files with a palette of 256 colours: less than half the size of a browser's, and a page needs no more."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
_RGB = 3

Colour = bytes
Row = list[Colour]


def with_palette(png: bytes) -> bytes:
    """The picture in its most frequent colours; others become the nearest of these. Takes 8-bit RGB, not interlaced."""
    chunks = list(_chunks(png))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if (depth, kind) != (8, 2):
        raise ValueError("only 8-bit RGB is taken")
    rows = list(_rows(zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT")), width))
    frequent = Counter(colour for row in rows for colour in row)
    palette = [colour for colour, _ in frequent.most_common(_COLOURS)]
    number = {colour: _nearest(colour, palette) for colour in frequent} | {each: i for i, each in enumerate(palette)}
    pixels = b"".join(b"\0" + bytes(number[colour] for colour in row) for row in rows)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(pixels, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = len(_SIGNATURE)
    while start < len(png):
        length, name = struct.unpack(">I4s", png[start : start + 8])
        yield name, png[start + 8 : start + 8 + length]
        start += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(filtered: bytes, width: int) -> Iterator[Row]:
    """The colours row by row, with the filters of https://www.w3.org/TR/png-3/#9Filter-types undone."""
    size = width * _RGB
    above = bytes(size)
    for start in range(0, len(filtered), size + 1):
        above = _unfiltered(filtered[start], bytearray(filtered[start + 1 : start + 1 + size]), above)
        yield [above[at : at + _RGB] for at in range(0, size, _RGB)]


def _unfiltered(kind: int, line: bytearray, above: bytes) -> bytes:
    for at in range(len(line) if kind else 0):
        left, corner = (line[at - _RGB], above[at - _RGB]) if at >= _RGB else (0, 0)
        line[at] = (line[at] + _expected(kind, left, above[at], corner)) & 255
    return bytes(line)


def _expected(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        return min((left, up, corner), key=lambda each: abs(left + up - corner - each))
    return (0, left, up, (left + up) // 2)[kind]


def _nearest(colour: Colour, palette: list[Colour]) -> int:
    return min(
        range(len(palette)), key=lambda each: sum((a - b) ** 2 for a, b in zip(colour, palette[each], strict=True))
    )
