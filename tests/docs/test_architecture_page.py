"""The picture of the layers shows the real imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iotpipe"

# What every folder may import, and what only starts the command line.
NOT_DRAWN = {"errors", "files", "names", "times", "__init__", "__main__"}

Edges = set[tuple[str, str]]


def drawn() -> Edges:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    [picture] = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    return set(re.findall(r"^  (\w+) --> (\w+)$", picture, re.MULTILINE))


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> set[str]:
    """The parts of iotpipe that the file imports, also inside its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return {each.split(".")[1] for each in names if each.startswith("iotpipe.")}


def real() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        if part(file) not in NOT_DRAWN:
            found.setdefault(part(file), set()).update(imports(file) - NOT_DRAWN - {part(file)})
    return found


def reached(start: str, graph: dict[str, set[str]]) -> set[str]:
    """Everything below a part."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        below = graph[waiting.pop()] - found
        found |= below
        waiting += below
    return found


def without_shortcuts(graph: dict[str, set[str]]) -> Edges:
    """The edges that do not follow from others."""
    return {
        (upper, lower)
        for upper, below in graph.items()
        for lower in below
        if not any(lower in reached(other, graph) for other in below - {lower})
    }


def test_the_picture_of_the_layers_shows_the_real_imports() -> None:
    expected = without_shortcuts(real())
    lines = "\n".join(f"  {upper} --> {lower}" for upper, lower in sorted(expected - drawn()))
    extra = "\n".join(f"  {upper} --> {lower}" for upper, lower in sorted(drawn() - expected))
    assert drawn() == expected, f"docs/architecture.md: add\n{lines}\nand remove\n{extra}"
