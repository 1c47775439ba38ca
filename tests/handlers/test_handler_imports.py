"""The handlers import only the standard library, the layer and each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import iotpipe.handlers

PACKAGE = Path(iotpipe.handlers.__path__[0])
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
LAYER = {"botocore", "aws_xray_sdk"}


def imported(module: str) -> set[str]:
    nodes = list(ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {"." * node.level + (node.module or "") for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_is_on_lambda_with_it(module: str) -> None:
    for name in imported(module):
        root = name.partition(".")[0]
        assert root in sys.stdlib_module_names | LAYER or name.startswith("iotpipe.handlers"), name


@pytest.mark.parametrize("module", MODULES)
def test_an_import_can_be_seen_without_running_the_code(module: str) -> None:
    """The zips are built from the import statements."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names.isdisjoint({"__import__", "importlib"})


@pytest.mark.parametrize("handler", ["ingestion", "processor", "query"])
def test_a_cold_start_loads_neither_boto3_nor_another_part_of_iotpipe(handler: str) -> None:
    show = "import sys; print(*sys.modules)"
    code = f"import iotpipe.handlers.{handler}; {show}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint({"boto3", "s3transfer", "pydantic", "click", "requests", "aws_xray_sdk"})
    ours = {name for name in loaded if name.startswith("iotpipe.")}
    assert all(name.startswith("iotpipe.handlers") for name in ours)
    assert "botocore.session" in loaded


def test_the_package_itself_does_nothing() -> None:
    (only,) = ast.parse((PACKAGE / "__init__.py").read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)
