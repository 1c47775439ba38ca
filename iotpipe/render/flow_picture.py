"""The data flow as an SVG picture that needs nothing else: no script, no font, no style sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from iotpipe.pipeline.flow import FAILS, MOVES, READS, Edge, Flow, Node
from iotpipe.pipeline.places import DEVICES
from iotpipe.render import flow_labels
from iotpipe.render.flow_routes import Point, Way, corners, own_part, shifts, ways
from iotpipe.render.output import harmless

_BOX, _GAP, _BETWEEN, _MARGIN = 208, 106, 50, 32
_BESIDE = 28
"""Between two arrows that begin or end at one edge of a box."""
_NEAR = 16
"""Between a box and the line of the arrows that join before it: the labels of what crosses stand behind that line."""
_LINE, _CHARACTERS, _NOTE = 16, 25, 28
"""The height of a line of a name, and how many characters of usual width fit into one and into a note."""

Entrance = tuple[Point, Point]
"""A box, and the point beside it from which an arrow comes."""

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
    arrows = _routed(grid, drawn)
    # A later line passes over the earlier ones: those that turn pass over the straight ones.
    over = sorted(arrows, key=lambda each: len(each.line))
    labels = flow_labels.places(
        [flow_labels.Label(harmless(each.edge.label), each.own) for each in arrows],
        [_rectangle(grid, node) for node in drawn.nodes],
        [each.line for each in arrows],
        (grid.width, grid.height),
    )
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
        *(part for each in over if not each.joins for part in _arrow([each])),
        *_arrow([each for each in over if each.joins]),
        *(_label(each.edge, *place) for each, place in zip(arrows, labels, strict=True)),
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

    def line(self, way: Way, shifted: tuple[float, float], entrance: Entrance | None = None) -> list[Point]:
        """The pixels where an arrow begins, turns and ends: at the edges of its boxes, or where it joins another.

        An arrow that joins others runs near the `entrance` of their box.
        """
        points = [self._near(self.pixel(each), each, entrance) for each in corners(way)]
        ends = [
            self._edge(points[0], points[1]),
            self._edge(points[-1], points[-2]) if _is_box(way[-1]) else points[-1],
        ]
        points[0], points[-1] = ends
        points[0], points[1] = _beside(points[0], points[1], shifted[0])
        if len(points) > 2 and _is_box(way[-1]):
            points[-2], points[-1] = _beside(points[-2], points[-1], shifted[1])
        return points

    def _near(self, pixel: Point, point: Point, entrance: Entrance | None) -> Point:
        if entrance is None:
            return pixel
        box, beside = entrance
        edge = self._edge(self.pixel(box), self.pixel(beside))
        x, y = (edge[axis] + _NEAR * (beside[axis] - box[axis]) for axis in (0, 1))
        if beside[0] != box[0]:
            return (x, pixel[1]) if point[0] == beside[0] else pixel
        return (pixel[0], y) if point[1] == beside[1] else pixel

    def _edge(self, box: Point, other: Point) -> Point:
        x, y = _sign(other[0] - box[0]), _sign(other[1] - box[1])
        return box[0] + x * _BOX // 2, box[1] + y * self.tall // 2


def _is_box(point: Point) -> bool:
    return all(each % 2 for each in point)


def _beside(start: Point, end: Point, shift: float) -> tuple[Point, Point]:
    """A level or upright part of a line, shifted to its side."""
    x, y = (0, 1) if start[1] == end[1] else (1, 0)
    by = round(shift * _BESIDE)
    return (start[0] + x * by, start[1] + y * by), (end[0] + x * by, end[1] + y * by)


@dataclass(frozen=True)
class _Arrow:
    """An arrow with its corners in pixels: all of them, and those until it joins another arrow."""

    edge: Edge
    line: list[Point]
    own: list[Point]

    @property
    def joins(self) -> bool:
        return self.edge.kind == FAILS


def _routed(grid: _Grid, drawn: Flow) -> list[_Arrow]:
    """The arrows; those of messages that failed join on their way to one box."""
    places = {node.id: (node.column, node.row) for node in drawn.nodes}
    joining = {number for number, edge in enumerate(drawn.edges) if edge.kind == FAILS}
    found = ways([(places[edge.start], places[edge.end]) for edge in drawn.edges], [*places.values()], joining)
    arrows = []
    for number, (edge, way, shift) in enumerate(zip(drawn.edges, found, shifts(found, joining), strict=True)):
        entrance = (way[-1], way[-2]) if number in joining else None
        own = own_part(number, found) if entrance else way
        arrows.append(_Arrow(edge, *(grid.line(each, shift, entrance) for each in (way, own))))
    return arrows


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


def _arrow(arrows: Sequence[_Arrow]) -> Iterator[str]:
    """One arrow, or all those that may join: none of them is cut where another one joins it."""
    paths = [_rounded(each.line) for each in arrows]
    yield from (f'<path class="halo" d="{each}"/>' for each in paths)
    for arrow, path in zip(arrows, paths, strict=True):
        (x1, y1), (x2, y2) = arrow.line[-2:]
        yield f'<path class="way {arrow.edge.kind}" d="{path}"/>'
        yield _tip((x2, y2), (_sign(x2 - x1), _sign(y2 - y1)), arrow.edge.kind)


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


def _label(edge: Edge, x: int, y: int, anchor: str) -> str:
    return f'<text class="label" x="{x}" y="{y}" text-anchor="{anchor}">{escape(harmless(edge.label))}</text>'


def _rectangle(grid: _Grid, node: Node) -> flow_labels.Rectangle:
    x, y = grid.corner(node.column, node.row)
    return x, y, x + _BOX, y + grid.tall


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
