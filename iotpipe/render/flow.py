"""The data flow as text for the terminal, as JSON, and as Mermaid or Graphviz text."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from iotpipe.pipeline.flow import FAILS, READS, Edge, Flow, Node
from iotpipe.render import terminals
from iotpipe.render.console import Part, stdout
from iotpipe.render.output import harmless

WIDTH = 80
"""The most columns that the text takes."""


@dataclass(frozen=True)
class Signs:
    """The characters that the text is drawn with."""

    branch: str
    last: str
    through: str
    to: str
    back: str
    cut: str


BOXES = Signs("├─ ", "└─ ", "│  ", "→", "←", "…")
ASCII = Signs("|- ", "`- ", "|  ", "->", "<-", "~")


@dataclass(frozen=True)
class _Line:
    guide: str
    """The lines of the tree before it."""
    below: str
    """The lines of the tree before what belongs to it."""
    arrow: str
    name: str
    note: str = ""


def show(drawn: Flow) -> None:
    """Print the text on stdout."""
    signs = BOXES if terminals.can_show("".join(astuple(BOXES)), sys.stdout) else ASCII
    for each in as_text(drawn, signs):
        stdout().line(*each)


def as_text(drawn: Flow, signs: Signs = BOXES) -> list[tuple[Part, ...]]:
    """Lines of at most 80 columns: what flows out of a box is indented below it, and a box is unfolded once.

    The notes stand in a column of their own, or below the names where that would be too wide.
    """
    lines = list(_Tree(drawn, signs).lines())
    column = 2 + max((len(each.guide + each.arrow + each.name) for each in lines if each.note), default=0)
    beside = column + max(len(each.note) for each in lines) <= WIDTH
    return [row for each in lines for row in _rows(each, signs, column if beside else 0)]


def _rows(line: _Line, signs: Signs, column: int) -> Iterator[tuple[Part, ...]]:
    before = line.guide + line.arrow
    head: tuple[Part, ...] = ((line.guide, "dim"), line.arrow, (_cut(line.name, WIDTH - len(before), signs), "bold"))
    if line.note and column:
        yield (*head, (" " * (column - len(before + line.name)) + line.note, "dim"))
        return
    yield head
    if line.note:
        yield ((line.below + _cut(line.note, WIDTH - len(line.below), signs), "dim"),)


def _cut(text: str, room: int, signs: Signs) -> str:
    return text if len(text) <= room else text[: room - 1] + signs.cut


class _Tree:
    """The flow from where it begins to where it ends."""

    def __init__(self, drawn: Flow, signs: Signs) -> None:
        self.drawn, self.signs = drawn, signs
        self.nodes = {node.id: node for node in drawn.nodes}
        self.shown = set[str]()

    def lines(self) -> Iterator[_Line]:
        fed = {edge.end for edge in self.drawn.edges if edge.kind != READS}
        # What only a circle of arrows leads to is no beginning, and comes last.
        for node in sorted(self.drawn.nodes, key=lambda node: node.id in fed):
            if node.id not in self.shown:
                yield from self._node(node, "", "", "")

    def _node(self, node: Node, guide: str, indent: str, arrow: str) -> Iterator[_Line]:
        name = harmless(node.name)
        if node.id in self.shown:
            yield _Line(guide, indent, arrow, f"{name} (above)")
            return
        self.shown.add(node.id)
        branches = self._branches(node)
        yield _Line(guide, indent + (self.signs.through if branches else "   "), arrow, name, harmless(node.note))
        for number, edge in enumerate(branches, 1):
            yield from self._branch(edge, indent, number == len(branches))

    def _branch(self, edge: Edge, indent: str, last: bool) -> Iterator[_Line]:
        guide = indent + (self.signs.last if last else self.signs.branch)
        below = indent + ("   " if last else self.signs.through)
        if edge.kind == READS:
            arrow = f"{harmless(edge.label)} {self.signs.back} "
            yield _Line(guide, below, arrow, harmless(self.nodes[edge.start].name))
        else:
            arrow = f"{harmless(edge.label)} {self.signs.to} "
            yield from self._node(self.nodes[edge.end], guide, below, arrow)

    def _branches(self, node: Node) -> Sequence[Edge]:
        """What flows out of the box, then what it reads."""
        out = [edge for edge in self.drawn.edges if edge.start == node.id and edge.kind != READS]
        return out + [edge for edge in self.drawn.edges if edge.end == node.id and edge.kind == READS]


def as_json(drawn: Flow) -> Any:
    """The boxes, and the arrows between them by the boxes' ids."""
    return {
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "note": node.note,
                "resources": [each.address for each in node.resources],
            }
            for node in drawn.nodes
        ],
        "edges": [{"from": edge.start, "to": edge.end, "label": edge.label, "kind": edge.kind} for edge in drawn.edges],
    }


def as_mermaid(drawn: Flow) -> str:
    """A flowchart of Mermaid."""
    ids = {node.id: f"n{number}" for number, node in enumerate(drawn.nodes)}
    labels = {node.id: "<br/>".join(map(_mermaid, _texts(node))) for node in drawn.nodes}
    nodes = [f'  {ids[each]}["{label}"]' for each, label in labels.items()]
    edges = [
        f'  {ids[edge.start]} {"-.->" if edge.kind == READS else "-->"}|"{_mermaid(edge.label)}"| {ids[edge.end]}'
        for edge in drawn.edges
    ]
    failures = [str(number) for number, edge in enumerate(drawn.edges) if edge.kind == FAILS]
    style = [f"  linkStyle {','.join(failures)} stroke:#b8232a"] if failures else []
    return "\n".join(["flowchart LR", *nodes, *edges, *style]) + "\n"


def _mermaid(text: str) -> str:
    """The text with everything that Mermaid, Markdown or HTML could read as its own as Mermaid's codes: `#96;`."""
    return re.sub(r"[^A-Za-z0-9 .,+/@-]", lambda found: f"#{ord(found[0])};", harmless(text))


def as_dot(drawn: Flow) -> str:
    """A directed graph of Graphviz."""
    labels = {node.id: "\\n".join(map(_dot, _texts(node))) for node in drawn.nodes}
    nodes = [f'  "{_dot(each)}" [label="{label}"];' for each, label in labels.items()]
    styles = {READS: ", style=dashed", FAILS: ', color="#b8232a"'}
    edges = [
        f'  "{_dot(edge.start)}" -> "{_dot(edge.end)}" [label="{_dot(edge.label)}"{styles.get(edge.kind, "")}];'
        for edge in drawn.edges
    ]
    head = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    return "\n".join([*head, *nodes, *edges, "}"]) + "\n"


def _dot(text: str) -> str:
    """The text as it stands in a string of Graphviz, which also reads entities of HTML there."""
    return harmless(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _texts(node: Node) -> list[str]:
    return [each for each in (node.name, node.note) if each]
