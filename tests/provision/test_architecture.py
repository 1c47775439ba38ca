"""The arrows between the parts, the order within a resource, and the error tree that its docstring shows."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import iotpipe.errors
from iotpipe.errors import IotpipeError
from iotpipe.provision.foreign import CHECKS
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources import SERVICES

ROOT = Path(iotpipe.errors.__file__).parent
PROVISION = sorted((ROOT / "provision").rglob("*.py"))
HANDLERS = sorted((ROOT / "handlers").rglob("*.py"))
RESOURCES = sorted((ROOT / "provision" / "resources").glob("*.py"))
EVERY = sorted(ROOT.rglob("*.py"))

PRINTS = ("render/output.py", "render/console.py")
# The engine writes its own log; the tree of the resources is drawn into a text; what compiles runs by itself.
PRINT_FOR_PROGRAMS = ("local/engine.py", "render/graph.py", "packaging/compile_sources.py")

LEAVES = {"errors", "files", "names", "times"}
"""Modules that import nothing of iotpipe and that every folder but `handlers` may import."""
IMPORTS = {
    "handlers": set[str](),
    "provision": set[str](),
    "configuration": {"handlers"},
    "packaging": set[str](),
    "policy": {"provision"},
    "local": {"provision"},
    "pipeline": {"configuration", "packaging", "provision"},
    "target": {"configuration", "local", "provision"},
    "operations": {"handlers", "local", "provision"},
    "readings": {"devices", "operations", "provision"},
    "devices": {"provision"},
    "observer": {"devices", "handlers", "operations", "pipeline", "provision", "readings"},
    "view": {"observer"},
    "checks": {"configuration", "local", "operations", "packaging", "pipeline", "policy", "provision"} | {"target"},
    "render": {"checks", "devices", "observer", "operations", "pipeline", "provision", "readings"},
    "cli": {"checks", "configuration", "devices", "local", "observer", "operations", "packaging", "pipeline", "policy"}
    | {"provision", "readings", "render", "target", "view"},
    "__main__": {"cli"},
}
"""What each folder may import: a folder stands below the folders that import it, and nothing but `cli` imports
`render`, so that whatever is printed passes one filter."""
PACKAGES = {
    "provision": {"boto3", "botocore"},
    "policy": set[str](),
    "packaging": {"pip"},
    "handlers": {"aws_xray_sdk", "boto3", "botocore"},
    "operations": {"botocore"},
    "readings": {"boto3", "botocore"},
    "devices": {"cryptography", "paho"},
    "checks": {"boto3", "botocore"},
    "render": {"click", "pyarrow", "rich"},
}
"""Which other people's packages a folder may use, where that matters."""


def imported(file: Path) -> Iterator[str]:
    """Every module that the file imports, also inside its functions."""
    package = ".".join(("iotpipe", *file.relative_to(ROOT).parts[:-1]))
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{each.name}".replace("..", ".") for each in node.names)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def room(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", EVERY, ids=name)
def test_imports_point_one_way(file: Path) -> None:
    inside = {each.split(".")[1] for each in imported(file) if each.startswith("iotpipe.") and each != "iotpipe."}
    if room(file) == "__init__" or room(file) in LEAVES:
        assert not inside
    else:
        leaves = set() if room(file) == "handlers" else LEAVES
        assert inside <= IMPORTS[room(file)] | leaves | {room(file)}


def test_no_folder_imports_one_that_imports_it() -> None:
    list(graphlib.TopologicalSorter(IMPORTS).static_order())


@pytest.mark.parametrize("file", [each for each in EVERY if room(each) in PACKAGES], ids=name)
def test_a_folder_uses_only_the_packages_that_it_is_for(file: Path) -> None:
    used = {each.split(".")[0] for each in imported(file)} - sys.stdlib_module_names - {"iotpipe"}
    assert used <= PACKAGES[room(file)]


def test_provisioning_does_not_even_load_what_it_may_not_import() -> None:
    modules = [".".join(("iotpipe", *each.relative_to(ROOT).with_suffix("").parts)) for each in PROVISION]
    code = f"import sys, {', '.join(modules).replace('.__init__', '')}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "iotpipe.provision.apply" in loaded
    assert not {each.split(".")[0] for each in loaded} & {"click", "rich", "yaml", "pydantic"}
    rooms = {each.split(".")[1] for each in loaded if each.startswith("iotpipe.")}
    assert rooms <= {"provision", *LEAVES}


@pytest.mark.parametrize("file", [each for each in EVERY if name(each) not in (*PRINTS, *PRINT_FOR_PROGRAMS)], ids=name)
def test_only_one_place_prints(file: Path) -> None:
    """What goes another way is not escaped."""
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
    printing = {"click.echo", "click.secho", "click.confirm", "click.prompt", "print", "Console", "sys.stdout.write"}
    # The handlers print their log line, which is what Lambda keeps.
    assert room(file) == "handlers" or not called & {*printing, "sys.stderr.write", "pprint"}


@pytest.mark.parametrize("file", PROVISION, ids=name)
def test_nobody_sleeps_but_the_clock(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "time.sleep" not in calls


ORDER = ["desired", "read", "create", "update", "delete"]


def classes(file: Path) -> Iterator[tuple[str, list[str]]]:
    """The classes of a file and the methods that they define, in their order."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, [each.name for each in node.body if isinstance(each, ast.FunctionDef)]


@pytest.mark.parametrize("file", RESOURCES, ids=name)
def test_a_resource_says_what_it_should_be_reads_creates_updates_and_deletes_in_this_order(file: Path) -> None:
    for made, methods in classes(file):
        in_file = [each for each in methods if each in ORDER]
        assert in_file == [each for each in ORDER if each in in_file], made


@pytest.mark.parametrize(
    "kind", sorted(k for k, made in Resource.kinds.items() if made.__module__.startswith("iotpipe."))
)
def test_a_kind_can_do_all_that_may_be_asked_of_it(kind: str) -> None:
    made = Resource.kinds[kind]
    wanted = {"desired", "read", "create"} if made.shared else {"desired", "read", "create", "delete"}
    wanted |= {"final_cleanup"} if made.needs_final_cleanup else set()
    wanted |= {"update"} if kind not in ("subscription", "api-gateway-account") else set()
    assert not [each for each in wanted if getattr(made, each) is getattr(Resource, each)]


KINDS = {k: made for k, made in Resource.kinds.items() if made.__module__.startswith("iotpipe.")}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_is_one_file_with_its_name(kind: str) -> None:
    made = KINDS[kind]
    assert made.__module__ == f"iotpipe.provision.resources.{kind.replace('-', '_')}"
    assert made.__name__ == kind.title().replace("-", "")
    assert [other for other in KINDS.values() if other.__module__ == made.__module__] == [made]


def test_every_kind_has_its_aws_service() -> None:
    assert not [kind for kind, made in KINDS.items() if made.aws_service not in SERVICES]


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_what_others_added_to_a_kind_is_looked_for_in_a_file_with_its_name(kind: str) -> None:
    module = CHECKS[kind].find.__module__.rpartition(".")[2]
    assert module == ("ssm_parameters" if kind in ("parameter", "secret") else kind.replace("-", "_"))


def shown_tree() -> list[tuple[int, str]]:
    """(depth, name) of every line of the tree in the docstring of errors.py."""
    lines = (iotpipe.errors.__doc__ or "").splitlines()
    tree = [line for line in lines if line.startswith("    ") and line.split()[0][0].isupper()]
    return [((len(line) - len(line.lstrip()) - 4) // 2, line.split()[0]) for line in tree]


def real_tree(error: type[Exception] = IotpipeError, depth: int = 0) -> list[tuple[int, str]]:
    below = [each for each in error.__subclasses__() if each.__module__ == iotpipe.errors.__name__]
    return [(depth, error.__name__), *(line for each in below for line in real_tree(each, depth + 1))]


def test_the_tree_of_errors_is_as_its_docstring_shows_it() -> None:
    assert shown_tree() == real_tree()


@pytest.mark.parametrize("file", PROVISION, ids=name)
def test_a_module_says_first_what_is_to_be_found_in_it(file: Path) -> None:
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    assert said.split("\n")[0].endswith((".", ":"))
