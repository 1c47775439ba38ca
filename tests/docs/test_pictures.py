"""The pictures of the documents: each is there in light and dark, is small, and has a text for who does not see it."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures import png, terminal

ROOT = Path(__file__).parents[2]
KEPT = sorted(path for path in (ROOT / "docs/pictures").iterdir() if path.suffix in (".png", ".svg"))
SHOWN = [
    (document, found)
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for found in re.findall(
        r"<picture>.*?</picture>|<img(?![^<]*</picture>)[^>]*>", document.read_text("utf-8"), re.DOTALL
    )
]
MOST_BYTES = 150_000


def named(document: Path, picture: str) -> list[Path]:
    """The files of a picture: the one for a dark page first."""
    return [document.parent / name for name in re.findall(r'src(?:set)?="([^"]+)"', picture)]


@pytest.mark.parametrize(("document", "picture"), SHOWN, ids=lambda each: "" if isinstance(each, str) else each.name)
def test_a_picture_is_there_in_dark_and_light_and_is_told_in_words(document: Path, picture: str) -> None:
    dark, light = named(document, picture)
    assert (dark.exists(), light.exists()) == (True, True)
    assert dark.name == light.name.replace("-light.", "-dark.") != light.name
    assert '<source media="(prefers-color-scheme: dark)"' in picture
    told = re.search(r'<img [^>]*alt="([^"]+)"', picture)
    assert told and len(told[1].split()) > 5


def test_every_picture_that_is_kept_is_shown() -> None:
    assert sorted({path for document, picture in SHOWN for path in named(document, picture)}) == KEPT


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_a_picture_is_small_and_loads_nothing(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES
    if path.suffix == ".svg":
        ElementTree.parse(path)
        assert not re.search(r"""(?:href|url\(|@import|src)\s*=?\s*["']?(?!#)\w""", path.read_text("utf-8"))


def test_a_terminal_is_drawn_with_its_colours_and_its_signs_as_shapes() -> None:
    shown = "\x1b[1;31m2 <dead>\x1b[0m  \x1b[36m▁█⣀──▶\x1b[0m\r\n"
    drawn = ElementTree.fromstring(terminal.as_svg(shown, "a & b", terminal.THEMES["dark"], 40))
    texts = {each.text: each.get("fill") for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert texts == {"a & b": "#8c959a", "2 <dead>": "#ff7b72"}
    [signs] = drawn.iter("{http://www.w3.org/2000/svg}path")
    assert signs.get("fill") == "#4fc1ce"
    assert signs.get("d", "").count("M") == 9, "two blocks, two dots, two lines of two arms each, and a tip"


@pytest.mark.parametrize("kind", range(5), ids=("none", "sub", "up", "average", "paeth"))
def test_a_picture_with_a_palette_has_the_same_colours(kind: int) -> None:
    colours = [[(9, 8, 7), (200, 100, 50), (9, 8, 7)], [(1, 255, 3), (200, 100, 50), (90, 91, 92)]]
    head = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
    given = (b"IHDR", head), (b"IDAT", zlib.compress(filtered(colours, kind))), (b"IEND", b"")
    parts = dict(chunks(png.with_palette(SIGNATURE + b"".join(chunk(*each) for each in given))))
    palette, rows = parts[b"PLTE"], zlib.decompress(parts[b"IDAT"])
    assert [[tuple(palette[3 * at :][:3]) for at in rows[start + 1 :][:3]] for start in (0, 4)] == colours


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def chunks(picture: bytes) -> list[tuple[bytes, bytes]]:
    found, start = [], len(SIGNATURE)
    while start < len(picture):
        length, name = struct.unpack(">I4s", picture[start : start + 8])
        content = picture[start + 8 :][:length]
        assert picture[start + 8 + length :][:4] == struct.pack(">I", zlib.crc32(name + content))
        found.append((name, content))
        start += length + 12
    return found


def filtered(colours: list[list[tuple[int, int, int]]], kind: int) -> bytes:
    """The rows as a PNG has them before compression, with one filter for all."""
    done, above = b"", [0] * 9
    for colour in colours:
        row = [part for each in colour for part in each]
        lefts, corners = [0] * 3 + row[:-3], [0] * 3 + above[:-3]
        guesses = []
        for left, up, corner in zip(lefts, above, corners, strict=True):
            distances = [abs(left + up - corner - each) for each in (left, up, corner)]
            paeth = (left, up, corner)[distances.index(min(distances))]
            guesses.append((0, left, up, (left + up) // 2, paeth)[kind])
        done += bytes([kind, *((value - guess) % 256 for value, guess in zip(row, guesses, strict=True))])
        above = row
    return done
