"""Build a handler's zip: its module, and exactly the modules of iotpipe.handlers that it imports."""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

from iotpipe.errors import PackagingError
from iotpipe.packaging.archive import Archive, archive
from iotpipe.packaging.layers import MODULES

_PACKAGE = "iotpipe.handlers"
_ROOT = Path(__file__).resolve().parents[2]


def handler_zip(name: str, root: Path = _ROOT) -> Archive:
    """The zip of one handler ("ingestion"); Lambda's Handler is then `iotpipe.handlers.NAME.lambda_handler`.

    Found by reading the import statements, so that a change to one handler leaves the others' zips alone.
    `root` is the directory that holds the package iotpipe. Raises PackagingError where an import would fail
    on Lambda: of a module that does not compile, that is not, or must not be, part of the zip, or that neither the
    layer nor Lambda's Python has.
    """
    start = f"{_PACKAGE}.{name}"
    if _file(root, start) is None:
        raise PackagingError(
            f"cannot package handler {name}: there is no {start.replace('.', '/')}.py in {root}",
            "A handler is named after its module in iotpipe/handlers",
        )
    return archive(_with_imports(root, start))


@dataclass(frozen=True)
class _Import:
    """An import of one of iotpipe's modules. `certain` is false if the name may be an attribute."""

    module: str
    line: int
    certain: bool = True


def _with_imports(root: Path, start: str) -> dict[str, bytes]:
    """Path → source of `start` and all that it imports, directly or not."""
    found: dict[str, bytes] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        file = _file(root, module)
        path = file.relative_to(root).as_posix() if file else ""
        if file is None or path in found:
            continue
        # A checkout on Windows may have CRLF line ends, which would change the zip.
        found[path] = file.read_bytes().replace(b"\r\n", b"\n")
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for each in _imports(found[path], path, package):
            _refuse_what_lambda_cannot_import(root, each, path)
            waiting.append(each.module)
        waiting += _with_parents(package)
    return found


def _file(root: Path, module: str) -> Path | None:
    bare = root.joinpath(*module.split("."))
    return next((file for file in (bare.with_suffix(".py"), bare / "__init__.py") if file.is_file()), None)


def _with_parents(module: str) -> list[str]:
    """The module and its packages: importing a.b.c runs a and a.b first."""
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


@functools.cache
def _imports(source: bytes, path: str, package: str) -> tuple[_Import, ...]:
    """The imports of iotpipe's modules. Read once for all handlers: most modules are part of several zips."""
    try:
        tree = ast.parse(source)
        # The parser takes what only the compiler refuses, like a line before `from __future__`.
        compile(tree, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PackagingError(f"cannot package {path}: line {error.lineno}: {error.msg}") from error
    _refuse_what_nobody_brings(tree, path)
    found: list[_Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            every = [_Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            every = _imported_from(node, package)
        else:
            continue
        found += (each for each in every if each.module.split(".")[0] == "iotpipe")
    return tuple(found)


def _refuse_what_nobody_brings(tree: ast.Module, path: str) -> None:
    """Only unconditional imports: an import in a function or a `try` may be optional."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            if module.split(".")[0] not in _BROUGHT:
                where = f"cannot package {path}: line {node.lineno}"
                raise PackagingError(
                    f"{where} imports {module}, which neither Lambda's Python nor the layer has",
                    f"The layer has {', '.join(sorted(MODULES))}: do without it, or import it where it may be missing",
                )


_BROUGHT = {"iotpipe", "boto3", "s3transfer", *MODULES, *sys.stdlib_module_names}
"""Top-level modules. boto3 comes with Lambda's Python: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html"""


def _imported_from(node: ast.ImportFrom, package: str) -> list[_Import]:
    base = resolve_name("." * node.level + (node.module or ""), package)
    names = [_Import(f"{base}.{alias.name}", node.lineno, certain=False) for alias in node.names]
    return [_Import(base, node.lineno), *names]


def _refuse_what_lambda_cannot_import(root: Path, each: _Import, path: str) -> None:
    is_module = _file(root, each.module) is not None
    allowed = each.module == "iotpipe" or f"{each.module}.".startswith(f"{_PACKAGE}.")
    if is_module and not allowed:
        raise PackagingError(
            f"cannot package {path}: line {each.line} imports {each.module}, which does not go to Lambda",
            f"Move what it needs into {_PACKAGE}",
        )
    if not is_module and each.certain:
        raise PackagingError(f"cannot package {path}: line {each.line} imports {each.module}, which is missing")
