"""The dependencies of the resources as a tree, as Mermaid or Graphviz text, or as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape

from rich.console import Console
from rich.tree import Tree

from iotpipe.provision.resource import Resource

Edges = Mapping[str, Sequence[str]]

_WIDTH, _HEIGHT, _COLUMN, _ROW, _MARGIN = 250, 26, 330, 36, 20
_FILLS = {
    "rest-api": "#e4d3f5",
    "route": "#e4d3f5",
    "stage": "#e4d3f5",
    "function": "#fde0c2",
    "layer": "#fde0c2",
    "permission": "#fde0c2",
    "event-source-mapping": "#fde0c2",
    "table": "#cfe0fb",
    "queue": "#f9d0de",
    "topic": "#f9d0de",
    "role": "#fbd3d0",
}


def draw(resources: Sequence[Resource], how: str) -> str:
    """The dependencies in one of the forms text, mermaid, dot and svg, each ending in a newline."""
    needs = {each.address: [need.address for need in each.needs()] for each in resources}
    return {"text": _tree, "mermaid": _mermaid, "dot": _dot, "svg": _svg}[how](needs)


def _tree(needs: Edges) -> str:
    """From what nobody needs down to what needs nothing; what was shown before is not unfolded again."""
    needed = {each for all_of in needs.values() for each in all_of}
    root, shown = Tree("pipeline"), set[str]()

    def add(branch: Tree, address: str) -> None:
        again = address in shown and needs[address]
        node = branch.add(f"{address} (above)" if again else address)
        if not again:
            shown.add(address)
            for each in needs[address]:
                add(node, each)

    for address in needs:
        if address not in needed:
            add(root, address)
    console = Console(file=io.StringIO(), width=200, highlight=False, markup=False)
    with console.capture() as text:
        console.print(root)
    return "\n".join(line.rstrip() for line in text.get().splitlines()) + "\n"


def _mermaid(needs: Edges) -> str:
    ids = {address: f"n{number}" for number, address in enumerate(needs)}
    nodes = [f'  {ids[address]}["{address}"]' for address in needs]
    edges = [f"  {ids[need]} --> {ids[address]}" for address in needs for need in needs[address]]
    return "\n".join(["graph LR", *nodes, *edges]) + "\n"


def _dot(needs: Edges) -> str:
    nodes = [f'  "{address}";' for address in needs]
    edges = [f'  "{need}" -> "{address}";' for address in needs for need in needs[address]]
    head = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box];"]
    return "\n".join([*head, *nodes, *edges, "}"]) + "\n"


def _svg(needs: Edges) -> str:
    """Draw the resources in columns by depth of dependency, so that every arrow points to the right."""
    places = _places(needs)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    arrows = [_arrow(places[need], places[address]) for address in needs for need in needs[address]]
    boxes = [_box(address, *places[address]) for address in needs]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *arrows, *boxes, "</svg>"]) + "\n"


def _places(needs: Edges) -> dict[str, tuple[int, int]]:
    depth: dict[str, int] = {}
    for address in needs:  # dependencies come first
        depth[address] = max((depth[need] + 1 for need in needs[address]), default=0)
    columns: dict[int, list[str]] = {}
    for address, column in depth.items():
        columns.setdefault(column, []).append(address)
    tallest = max(map(len, columns.values()))
    return {
        address: (_MARGIN + number * _COLUMN, _MARGIN + (tallest - len(column)) * _ROW // 2 + row * _ROW)
        for number, column in columns.items()
        for row, address in enumerate(column)
    }


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    bend = (x2 - x1) // 2
    curve = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
    return f'<path d="{curve}" fill="none" stroke="#9aa3ad"/>'


def _box(address: str, x: int, y: int) -> str:
    fill = _FILLS.get(address.split("/")[0], "#e8ebee")
    text = address if len(address) <= 42 else address[:41] + "…"
    return (
        f'<g><title>{escape(address)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" '
        f'fill="{fill}" stroke="#6b7580"/><text x="{x + 8}" y="{y + 17}">{escape(text)}</text></g>'
    )
