"""The data flow as an SVG picture that needs nothing else: no script, no font, no style sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from iotpipe.pipeline.flow import FAILS, MOVES, READS, Edge, Flow, Node
from iotpipe.pipeline.places import DEVICES
from iotpipe.render.flow_routes import Point, Way, corners, ways
from iotpipe.render.output import harmless

_BOX, _GAP, _BETWEEN, _MARGIN = 208, 106, 50, 32
_LINE, _CHARACTERS, _NOTE = 16, 25, 28
"""The height of a line of a name, and how many characters of usual width fit into one and into a note."""

_STYLE = """
.ground{fill:#f6f6f4}.box{fill:#fff;stroke:#cfd0cc}.outside{stroke-dasharray:2 3}
text{font-size:11.5px;fill:#5c6066}.name{font-size:12.5px;font-weight:600;fill:#1b1c1e}
.heading{font-size:18px;font-weight:600;fill:#1b1c1e}.label{font-size:11px;stroke:#f6f6f4;stroke-width:4px;paint-order:stroke}
.halo{fill:none;stroke:#f6f6f4;stroke-width:8}.way{fill:none;stroke-width:1.7}
.moves{stroke:#17808b}.reads{stroke:#85898e;stroke-dasharray:4 4}.fails{stroke:#b8232a}
.tip.moves{fill:#17808b}.tip.reads{fill:#85898e}.tip.fails{fill:#b8232a}.tip{stroke:none}
@media (prefers-color-scheme:dark){
.ground{fill:#0e1012}.box{fill:#15181b;stroke:#3b4248}
text{fill:#9aa1a8}.name,.heading{fill:#e8eaeb}.label,.halo{stroke:#0e1012}
.moves{stroke:#2fa9b5}.reads{stroke:#727b84}.fails{stroke:#ff827b}
.tip.moves{fill:#2fa9b5}.tip.reads{fill:#727b84}.tip.fails{fill:#ff827b}.tip{stroke:none}
}
"""
_LEGEND = ((MOVES, "data moves"), (READS, "data is read"), (FAILS, "messages that failed"))
_FONT = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def as_svg(drawn: Flow, environment: str) -> str:
    """The picture, at most 900 pixels wide, in the colours of a light or a dark screen."""
    grid = _Grid.of(drawn)
    places = {node.id: (node.column, node.row) for node in drawn.nodes}
    found = ways([(places[edge.start], places[edge.end]) for edge in drawn.edges], [*places.values()])
    routed = list(zip(drawn.edges, found, strict=True))
    # A later line passes over the earlier ones: those that turn pass over the straight ones.
    over = sorted(routed, key=lambda each: len(corners(each[1])))
    title = f"Data flow of the environment {harmless(environment)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{grid.width}" height="{grid.height}" '
        f'viewBox="0 0 {grid.width} {grid.height}" font-family="{_FONT}" role="img" '
        'aria-labelledby="flow-title flow-desc">',
        f'<title id="flow-title">{escape(title)}</title>',
        f'<desc id="flow-desc">{escape(_told(drawn))}</desc>',
        f"<style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        *_heading(grid, harmless(environment)),
        *(part for edge, way in over for part in _arrow(grid, edge, way)),
        *(part for edge, way in routed for part in _label(grid, edge, way)),
        *(_box(grid, node) for node in drawn.nodes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _told(drawn: Flow) -> str:
    """The arrows as sentences, for who does not see the picture."""
    names = {node.id: harmless(node.name) for node in drawn.nodes}
    return " ".join(f"{names[edge.start]} to {names[edge.end]}: {harmless(edge.label)}." for edge in drawn.edges)


@dataclass(frozen=True)
class _Grid:
    """The pixels of columns, rows and the lanes between them."""

    columns: int
    rows: int
    tall: int
    """The height of a box."""

    @classmethod
    def of(cls, drawn: Flow) -> _Grid:
        lines = max(len(_lines(harmless(node.name))) for node in drawn.nodes)
        columns, rows = (1 + max(getattr(node, each) for node in drawn.nodes) for each in ("column", "row"))
        return cls(columns, rows, 48 + _LINE * lines)

    @property
    def width(self) -> int:
        return 2 * _MARGIN + self.columns * _BOX + (self.columns - 1) * _GAP

    @property
    def height(self) -> int:
        return 2 * _MARGIN + self.rows * self.tall + (self.rows - 1) * _BETWEEN

    def corner(self, column: int, row: int) -> Point:
        """The upper left corner of a box."""
        return _MARGIN + column * (_BOX + _GAP), _MARGIN + row * (self.tall + _BETWEEN)

    def pixel(self, point: Point) -> Point:
        """The middle of a box or of a lane."""
        return _middle(point[0], self.columns, _BOX, _GAP), _middle(point[1], self.rows, self.tall, _BETWEEN)

    def line(self, way: Way) -> list[Point]:
        """The pixels where an arrow begins, turns and ends: at the edges of its boxes."""
        first, *inner, last = (self.pixel(each) for each in corners(way))
        towards, back = (inner or [last])[0], (inner or [first])[-1]
        return [self._edge(first, towards), *inner, self._edge(last, back)]

    def _edge(self, box: Point, other: Point) -> Point:
        x, y = _sign(other[0] - box[0]), _sign(other[1] - box[1])
        return box[0] + x * _BOX // 2, box[1] + y * self.tall // 2


def _middle(number: int, count: int, box: int, gap: int) -> int:
    if number == 0:
        return _MARGIN // 2
    if number == 2 * count:
        return 2 * _MARGIN + count * box + (count - 1) * gap - _MARGIN // 2
    before = _MARGIN + number // 2 * (box + gap)
    return before + box // 2 if number % 2 else before - gap // 2


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _heading(grid: _Grid, environment: str) -> Iterator[str]:
    """The title and what the lines mean, to the right of the box of the devices."""
    x, y = grid.corner(DEVICES[0] + 1, DEVICES[1])
    yield f'<text class="heading" x="{x}" y="{y + 22}">Data flow of {escape(environment)}</text>'
    y += 48
    for kind, meaning in _LEGEND:
        yield f'<path class="way {kind}" d="M{x} {y}h26"/>{_tip((x + 34, y), (1, 0), kind)}'
        yield f'<text x="{x + 42}" y="{y + 4}">{meaning}</text>'
        x += 62 + 7 * len(meaning)


def _arrow(grid: _Grid, edge: Edge, way: Way) -> Iterator[str]:
    line = grid.line(way)
    path = _rounded(line)
    (x1, y1), (x2, y2) = line[-2:]
    yield f'<path class="halo" d="{path}"/><path class="way {edge.kind}" d="{path}"/>'
    yield _tip((x2, y2), (_sign(x2 - x1), _sign(y2 - y1)), edge.kind)


def _rounded(line: list[Point], radius: int = 9) -> str:
    path = f"M{line[0][0]} {line[0][1]}"
    for before, here, after in zip(line, line[1:], line[2:], strict=False):
        into = [here[each] - radius * _sign(here[each] - before[each]) for each in (0, 1)]
        out = [here[each] + radius * _sign(after[each] - here[each]) for each in (0, 1)]
        path += f"L{into[0]} {into[1]}Q{here[0]} {here[1]} {out[0]} {out[1]}"
    return f"{path}L{line[-1][0]} {line[-1][1]}"


def _tip(point: Point, towards: Point, kind: str) -> str:
    turn = {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[towards]
    place = f"translate({point[0]} {point[1]}) rotate({turn})"
    return f'<path class="tip {kind}" d="M0 0l-9-4.5v9z" transform="{place}"/>'


def _label(grid: _Grid, edge: Edge, way: Way) -> Iterator[str]:
    """Above the middle of a short line, or the beginning of the longest level part; else beside an upright one."""
    line = grid.line(way)
    level = [pair for pair in pairwise(line) if pair[0][1] == pair[1][1]]
    if not level:
        (x, y1), (_, y2) = line[:2]
        # In the lower half of the gap: lines that run between two rows run in its middle.
        x, y, anchor = x + 10, max(y1, y2) - _BETWEEN // 2 + 16, "start"
    else:
        (x1, y), (x2, _) = max(level, key=lambda pair: abs(pair[0][0] - pair[1][0]))
        short = len(line) == 2
        x, y, anchor = ((x1 + x2) // 2, y - 8, "middle") if short else (min(x1, x2) + 16, y - 8, "start")
    yield f'<text class="label" x="{x}" y="{y}" text-anchor="{anchor}">{escape(harmless(edge.label))}</text>'


def _box(grid: _Grid, node: Node) -> str:
    x, y = grid.corner(node.column, node.row)
    lines = _lines(harmless(node.name))
    top = y + (grid.tall - _LINE * (len(lines) + 1)) // 2 + 13
    names = [
        f'<text class="name" x="{x + 14}" y="{top + _LINE * n}">{escape(each)}</text>' for n, each in enumerate(lines)
    ]
    note = f'<text x="{x + 14}" y="{top + _LINE * len(lines) + 2}">{escape(_cut(harmless(node.note), _NOTE))}</text>'
    kind = "box" if node.resources else "box outside"
    rect = f'<rect class="{kind}" x="{x}" y="{y}" width="{_BOX}" height="{grid.tall}" rx="11"/>'
    members = "\n".join(harmless(each.address) for each in node.resources) or harmless(node.name)
    return f"<g><title>{escape(members)}</title>{rect}{''.join(names)}{note}</g>"


def _lines(name: str) -> list[str]:
    """The name on one line, or on two: broken after a sign between two words where there is one."""
    fits = _fitting(name)
    if fits == len(name):
        return [name]
    end = max(name.rfind(sign, 0, fits) for sign in "-@._/") + 1
    end = end if end > fits // 3 else fits
    return [name[:end], _cut(name[end:], _fitting(name[end:]))]


def _fitting(name: str) -> int:
    """How many characters of the name fit into a line: capitals and a few others are wider than the rest."""
    room = float(_CHARACTERS)
    for number, each in enumerate(name):
        room -= 1.75 if each.isupper() or each in "mw@%&" else 1
        if room < 0:
            return number
    return len(name)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
