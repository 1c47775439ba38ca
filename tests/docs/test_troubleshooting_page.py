"""docs/troubleshooting.md explains every message that iotpipe raises, and no message that it does not have.

A heading of the page names fragments of messages in backticks, with … for what varies. A message is explained by a
fragment that is part of it.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import iotpipe.errors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
VARIES = "…"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def error_classes(base: type[Exception] = iotpipe.errors.IotpipeError) -> Iterator[str]:
    yield base.__name__
    for below in base.__subclasses__():
        yield from error_classes(below)


ERRORS = set(error_classes())


@dataclass(frozen=True)
class Module:
    """A module of iotpipe that runs on the user's machine."""

    path: Path
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))


@functools.cache
def modules() -> list[Module]:
    files = [file for file in sorted((ROOT / "iotpipe").rglob("*.py")) if "handlers" not in file.parts[-2:-1]]
    return [Module(file, ast.parse(file.read_text("utf-8"))) for file in files]


@functools.cache
def functions() -> dict[str, list[Function]]:
    """Every function, by its name."""
    found: dict[str, list[Function]] = {}
    for module in modules():
        for function in module.functions():
            found.setdefault(function.name, []).append(function)
    return found


def flat(text: str) -> str:
    return " ".join(re.sub(rf"{VARIES}+", VARIES, text).split())


def literal(node: ast.expr) -> str:
    """The text of an expression, with … for what is only known when it runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else VARIES
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return literal(node.left) + literal(node.right)
    return VARIES


def texts(node: ast.expr, within: Function | None, depth: int = 0) -> Iterator[str]:
    """Every text that the expression can be: a variable is followed to its assignments, a call to what it returns."""
    if depth > 3:
        return
    if isinstance(node, ast.IfExp):
        yield from texts(node.body, within, depth)
        yield from texts(node.orelse, within, depth)
    elif isinstance(node, ast.Name) and within:
        for value in assigned(node.id, within):
            yield from texts(value, within, depth + 1)
    elif isinstance(node, ast.Call):
        for called in functions().get(ast.unparse(node.func).rpartition(".")[2], []):
            for statement in ast.walk(called):
                if isinstance(statement, ast.Return) and statement.value:
                    yield from texts(statement.value, called, depth + 1)
    else:
        yield literal(node)


def assigned(name: str, within: Function) -> Iterator[ast.expr]:
    for node in ast.walk(within):
        if (isinstance(node, ast.NamedExpr) and node.target.id == name) or (
            isinstance(node, ast.Assign)
            and any(isinstance(each, ast.Name) and each.id == name for each in node.targets)
        ):
            yield node.value


def raised() -> dict[str, str]:
    """Every message of an error, and where it is raised. What says nothing of its own is left out."""
    found: dict[str, str] = {}
    for module in modules():
        inside = {call: function for function in module.functions() for call in ast.walk(function)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in ERRORS:
                place = f"{module.path.relative_to(ROOT)}:{node.lineno}"
                within = inside.get(node)
                found |= {flat(text): place for text in texts(node.args[0], within) if re.search(r"\w{4}", text)}
    return found


def every_text() -> list[str]:
    """Every text in the code, so that the page may also explain what is part of a longer message."""
    nodes = (node for module in modules() for node in ast.walk(module.tree))
    return [flat(literal(node)) for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)]


def explained() -> list[str]:
    """The fragments in the headings of the page."""
    headings = re.findall(r"^### (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [flat(fragment) for heading in headings for fragment in re.findall(r"`([^`]+)`", heading)]


def test_every_message_is_explained() -> None:
    fragments = explained()
    missing = {text: place for text, place in raised().items() if not any(each in text for each in fragments)}
    listed = "\n".join(f"  {place}: {text}" for text, place in missing.items())
    assert not missing, (
        f"docs/troubleshooting.md explains none of these. Add a fragment of each to a heading, such as\n"
        f"### `fragment of the message`\n{listed}"
    )


def test_every_explained_message_is_in_the_code() -> None:
    known = every_text()
    gone = [fragment for fragment in explained() if not any(fragment in text for text in known)]
    listed = "\n".join(f"  `{fragment}`" for fragment in gone)
    assert not gone, (
        f"docs/troubleshooting.md explains messages that iotpipe does not have. Correct or remove\n{listed}"
    )
