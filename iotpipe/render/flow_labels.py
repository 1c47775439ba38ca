"""Finds a place for the label of each arrow of the data flow: near its line, and clear of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from iotpipe.render.flow_routes import Point

Rectangle = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels."""
Place = tuple[int, int, str]
"""Where a text begins, has its middle or ends: x, the base line, and SVG's text-anchor."""

_CHARACTER, _CAPITAL, _ASCENT, _DESCENT, _ROOM = 5.2, 7.3, 9, 3, 2
"""Pixels of a label of 11 pixels, and to the left and right of it."""
_ABOVE, _BELOW, _ASIDE, _INDENT = 8, 16, 10, 16
_LOW = 9
"""Pixels from the end of a short upright line: lines that run between two rows run in the middle of that gap."""
_HIDDEN, _CROSSED = 100, 10
"""How bad it is that a box or another label covers a label, and that a line crosses it."""


@dataclass(frozen=True)
class Label:
    """A text, and the corners of the line that it belongs to."""

    text: str
    line: Sequence[Point]


def places(
    labels: Sequence[Label], boxes: Sequence[Rectangle], lines: Sequence[Sequence[Point]], size: Point
) -> list[Place]:
    """The place of each label in a picture of this size; the first good one of those that the line offers."""
    found: dict[int, Place] = {}
    taken = [*boxes]
    parts = [_rectangle(*part) for line in lines for part in pairwise(line)]
    # Short lines offer the fewest places.
    for number in sorted(range(len(labels)), key=lambda number: len(labels[number].line)):
        label = labels[number]

        def badness(place: Place, text: str = label.text) -> int:
            around = _around(place, text)
            hidden = sum(_overlap(around, each) for each in taken) + (not _inside(around, size))
            return _HIDDEN * hidden + _CROSSED * sum(_overlap(around, each) for each in parts)

        found[number] = min(_offered(label.line), key=badness)
        taken.append(_around(found[number], label.text))
    return [found[number] for number in range(len(labels))]


def _offered(line: Sequence[Point]) -> Iterator[Place]:
    """Above the middle of a short line, or the beginning of the longest level part, or beside an upright line; then
    anywhere else along the line, from its beginning on."""
    level = [(start, end) for start, end in pairwise(line) if start[1] == end[1]]
    if not level:
        (x, y1), (_, y2) = line[:2]
        yield x + _ASIDE, max(y1, y2) - _LOW, "start"
    else:
        (x1, y), (x2, _) = max(level, key=lambda part: abs(part[0][0] - part[1][0]))
        yield ((x1 + x2) // 2, y - _ABOVE, "middle") if len(line) == 2 else (min(x1, x2) + _INDENT, y - _ABOVE, "start")
    for (x1, y1), (x2, y2) in pairwise(line):
        if y1 == y2:
            left, right = sorted((x1, x2))
            for y in (y1 - _ABOVE, y1 + _BELOW):
                yield (left + right) // 2, y, "middle"
                yield left + _INDENT, y, "start"
                yield right - _INDENT, y, "end"
        else:
            for part in (2, 1, 3):
                y = y1 + (y2 - y1) * part // 4 + _DESCENT
                yield x1 + _ASIDE, y, "start"
                yield x1 - _ASIDE, y, "end"


def _around(place: Place, text: str) -> Rectangle:
    x, y, anchor = place
    width = sum(_CAPITAL if each.isupper() else _CHARACTER for each in text)
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return left - _ROOM, y - _ASCENT, left + width + _ROOM, y + _DESCENT


def _rectangle(start: Point, end: Point) -> Rectangle:
    (left, right), (top, low) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return left - 1, top - 1, right + 1, low + 1


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(one: Rectangle, size: Point) -> bool:
    return one[0] >= 0 and one[1] >= 0 and one[2] <= size[0] and one[3] <= size[1]
