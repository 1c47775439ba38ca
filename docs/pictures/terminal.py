"""What a command draws on a terminal, as an SVG.

Blocks, braille, lines and arrows are drawn as shapes: fonts that lack them would give them another size.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from rich.color import Color, blend_rgb
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HOME = "\x1b[H"
"""What begins a new picture on the whole terminal."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_DOTS = ((1, 8), (2, 16), (4, 32), (64, 128))
_LINES = {"─": "lr", "│": "ud", "└": "ur", "┤": "udl", "┬": "lrd"}
"""The arms of each character: to the left, right, up, down."""
_WIDTH, _HEIGHT, _SIZE = 8.4, 19.0, 14
"""A cell, and the size of its letters."""
_SIDE, _BAR = 16, 40
"""The margin around the text, and the height of the bar above it."""
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Theme(NamedTuple):
    """The colours of a terminal: the frame, and those that it has for the 16 of ANSI."""

    frame: str
    colours: TerminalTheme


def _theme(frame: str, background: int, text: int, *eight: int) -> Theme:
    def parts(colour: int) -> tuple[int, int, int]:
        return colour >> 16, colour >> 8 & 255, colour & 255

    return Theme(frame, TerminalTheme(parts(background), parts(text), [*map(parts, eight)], [*map(parts, eight)]))


THEMES = {
    "light": _theme(
        "#d8dcdf", 0xFCFCFC, 0x1B1F22, 0x1B1F22, 0xB4232C, 0x1F7A3A, 0x8A5200, 0x0F62B4, 0x6B3FB0, 0x0E7480, 0x6A7176
    ),
    "dark": _theme(
        "#343a3f", 0x15191B, 0xE6E9EA, 0x15191B, 0xFF7B72, 0x56C271, 0xF0B04D, 0x6CB2F5, 0xB79CF2, 0x4FC1CE, 0x8C959A
    ),
}


def drawn_by(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], size: tuple[int, int], looks: int = 0
) -> str:
    """What a command shows on a terminal of so many columns and lines; after this many looks it is ended with q."""
    mine, theirs = pty.openpty()
    columns, lines = size
    termios.tcsetwinsize(mine, (lines, columns))
    kept = {name: value for name, value in environment.items() if name not in ("CI", "NO_COLOR", "COLUMNS", "LINES")}
    with subprocess.Popen(
        command,
        cwd=directory,
        env=kept | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        os.close(theirs)
        shown = b""
        for part in _read(mine, 120):
            shown += part
            if looks and shown.count(HOME.encode()) > looks:
                os.write(mine, b"q")
                looks = 0
        said = process.stderr.read().decode()
    os.close(mine)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said}")
    text = shown.decode()
    return text.split(HOME)[-2] if HOME in text else text


def _read(terminal: int, seconds: float) -> Iterator[bytes]:
    """What a command writes until it ends. Raises TimeoutError if it writes nothing for so long."""
    while True:
        if not select.select([terminal], [], [], seconds)[0]:
            raise TimeoutError("the command shows nothing")
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so if the other end is closed
            return
        if not part:
            return
        yield part


def as_svg(shown: str, title: str, theme: Theme, columns: int) -> str:
    """The lines that a command has drawn, in a window with this title."""
    lines = [Text.from_ansi(each.rstrip("\r")) for each in shown.rstrip().split("\n")]
    width = round(2 * _SIDE + columns * _WIDTH)
    height = round(_BAR + len(lines) * _HEIGHT + _SIDE)
    background, colours = theme.colours.background_color.hex, theme.colours
    faint = colours.ansi_colors[7].hex
    dots = "".join(f'<circle cx="{x}" cy="20" r="5.5"/>' for x in (22, 42, 62))
    body = "\n".join(part for number, line in enumerate(lines) for part in _line(line, number, colours))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{_FONT}" font-size="{_SIZE}">\n'
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9" fill="{background}" '
        f'stroke="{theme.frame}"/>\n<g fill="{theme.frame}">{dots}</g>\n'
        f'<text x="{width / 2:g}" y="25" text-anchor="middle" fill="{faint}">{escape(title)}</text>\n'
        f"{body}\n</svg>\n"
    )


def _line(line: Text, number: int, colours: TerminalTheme) -> Iterator[str]:
    """The text and the shapes of a line."""
    column, top = 0, _BAR + number * _HEIGHT
    for segment in line.render(_CONSOLE):
        style = segment.style or Style()
        fill = _colour(style, colours)
        words = "".join(" " if _is_shape(each) else each for each in segment.text)
        for start, word in _words(words):
            weight = ' font-weight="bold"' if style.bold else ""
            yield (
                f'<text x="{_SIDE + (column + start) * _WIDTH:.1f}" y="{top + 14:.1f}" fill="{fill}"{weight} '
                f'textLength="{len(word) * _WIDTH:.1f}" xml:space="preserve">{escape(word, quote=False)}</text>'
            )
        shapes = "".join(
            _shape(each, _SIDE + (column + place) * _WIDTH, top) for place, each in enumerate(segment.text)
        )
        if shapes:
            yield f'<path fill="{fill}" d="{shapes}"/>'
        column += len(segment.text)


_CONSOLE = Console(file=None, force_terminal=True, color_system="standard")


def _words(text: str) -> Iterator[tuple[int, str]]:
    """The parts of a text that two spaces or more separate, each with where it begins."""
    at = 0
    for part in text.split("  "):
        if stripped := part.strip():
            yield at + part.index(stripped), stripped
        at += len(part) + 2


def _colour(style: Style, colours: TerminalTheme) -> str:
    colour: Color | None = style.color
    drawn = colour.get_truecolor(colours) if colour else colours.foreground_color
    return (blend_rgb(drawn, colours.background_color, 0.4) if style.dim else drawn).hex


def _is_shape(each: str) -> bool:
    return each in _BLOCKS or each in _LINES or each == "▶" or _BRAILLE <= ord(each) < _BRAILLE + 256


def _shape(each: str, x: float, top: float) -> str:
    """The path of a character that is not left to the font."""
    if each in _BLOCKS:
        height = (_HEIGHT - 3) * (_BLOCKS.index(each) + 1) / len(_BLOCKS)
        return _box(x, top + _HEIGHT - 1 - height, _WIDTH, height)
    if each in _LINES:
        return "".join(_arm(arm, x, top) for arm in _LINES[each])
    if each == "▶":
        return f"M{x:.1f} {top + _HEIGHT / 2 - 4:.1f}l7.4 4l-7.4 4z"
    return _dots(ord(each) - _BRAILLE, x, top) if _is_shape(each) else ""


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:g}v{height:g}h-{width:g}z"


def _arm(arm: str, x: float, top: float) -> str:
    """A line from the middle of a cell to one of its sides."""
    across, down = x + _WIDTH / 2 - 0.6, top + _HEIGHT / 2 - 0.6
    if arm in "lr":
        return _box(x if arm == "l" else across, down, _WIDTH / 2 + 0.6, 1.2)
    return _box(across, top if arm == "u" else down, 1.2, _HEIGHT / 2 + 0.6)


def _dots(bits: int, x: float, top: float) -> str:
    """The dots of braille."""
    return "".join(
        f"M{x + (column + 0.5) * _WIDTH / 2 - 1.4:.1f} {top + (row + 0.5) * _HEIGHT / 4:.1f}"
        "a1.4 1.4 0 1 0 2.8 0a1.4 1.4 0 1 0-2.8 0"
        for row, pair in enumerate(_DOTS)
        for column, bit in enumerate(pair)
        if bits & bit
    )
