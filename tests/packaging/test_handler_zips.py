"""Handler zips: which modules they hold, and that nothing but those decides their bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iotpipe.errors import PackagingError
from iotpipe.packaging import handler_zip
from tests.support.layer_samples import unpacked

HANDLERS = ("ingestion", "processor", "query")

TREE = {
    "iotpipe/__init__.py": '"""A package."""\n',
    "iotpipe/errors.py": "",
    "iotpipe/handlers/__init__.py": "",
    "iotpipe/handlers/one.py": "from iotpipe.handlers import shared, telemetry\n",
    "iotpipe/handlers/two.py": "def lambda_handler(e, c):\n    from .shared import key\n    return key\n",
    "iotpipe/handlers/three.py": "import json\nimport iotpipe.handlers.parts.deep as deep\n",
    "iotpipe/handlers/shared.py": "from . import keys\nfrom .keys import key\n",
    "iotpipe/handlers/keys.py": "import os.path\nkey = 1\n",
    "iotpipe/handlers/telemetry.py": "",
    "iotpipe/handlers/unused.py": "",
    "iotpipe/handlers/parts/__init__.py": "from .beside import *\n",
    "iotpipe/handlers/parts/beside.py": "from ..keys import key\n",
    "iotpipe/handlers/parts/deep.py": "",
}


def plant(root: Path, tree: dict[str, str] = TREE) -> Path:
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


def modules(name: str, root: Path) -> set[str]:
    inside = unpacked(handler_zip(name, root).content)
    return {path.removeprefix("iotpipe/handlers/").removesuffix(".py") for path in inside}


PACKAGES = {"iotpipe/__init__", "__init__"}


def test_a_zip_holds_the_handler_and_all_that_it_imports_and_nothing_else(tmp_path: Path) -> None:
    plant(tmp_path)
    assert modules("one", tmp_path) == PACKAGES | {"one", "shared", "keys", "telemetry"}


def test_an_import_inside_a_function_counts(tmp_path: Path) -> None:
    assert modules("two", plant(tmp_path)) == PACKAGES | {"two", "shared", "keys"}


def test_importing_a_module_of_a_package_brings_what_its_package_imports(tmp_path: Path) -> None:
    found = modules("three", plant(tmp_path))
    assert found == PACKAGES | {"three", "parts/__init__", "parts/deep", "parts/beside", "keys"}


def test_an_import_in_the_package_itself_is_followed(tmp_path: Path) -> None:
    plant(tmp_path, TREE | {"iotpipe/handlers/__init__.py": "from iotpipe.handlers import unused\n"})
    assert "unused" in modules("two", tmp_path)


def test_a_changed_handler_changes_only_its_own_zip(tmp_path: Path) -> None:
    plant(tmp_path)
    before = {name: handler_zip(name, tmp_path).sha256 for name in ("one", "two", "three")}
    (tmp_path / "iotpipe/handlers/two.py").write_text("import json\n")
    after = {name: handler_zip(name, tmp_path).sha256 for name in before}
    assert {name for name in before if before[name] != after[name]} == {"two"}


def test_a_changed_shared_module_changes_the_zips_that_import_it(tmp_path: Path) -> None:
    plant(tmp_path)
    before = {name: handler_zip(name, tmp_path).sha256 for name in ("one", "two", "three")}
    (tmp_path / "iotpipe/handlers/shared.py").write_text("from . import keys\nkey = 2\n")
    after = {name: handler_zip(name, tmp_path).sha256 for name in before}
    assert {name for name in before if before[name] != after[name]} == {"one", "two"}


def test_times_modes_line_ends_and_bytecode_of_the_checkout_do_not_show(tmp_path: Path) -> None:
    first = plant(tmp_path / "first")
    crlf = {path: text.replace("\n", "\r\n") for path, text in reversed(TREE.items())}
    second = plant(tmp_path / "second" / "deeper", crlf)
    for file in second.rglob("*.py"):
        os.utime(file, (86400, 86400))
        file.chmod(0o755)
    compiled = second / "iotpipe/handlers/__pycache__/one.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"bytecode")
    assert handler_zip("one", first) == handler_zip("one", second)


PRINT = """
import os, sys
os.umask(int(sys.argv[1], 8))
from iotpipe.packaging import handler_zip
print(*(handler_zip(name).sha256 for name in sys.argv[2:]))
"""


@pytest.mark.subprocess
def test_the_real_zips_are_the_same_from_any_directory_umask_time_zone_and_locale(tmp_path: Path) -> None:
    def answer(umask: str, directory: Path, **settings: str) -> list[str]:
        command = [sys.executable, "-c", PRINT, umask, *HANDLERS]
        return subprocess.check_output(command, cwd=directory, env=os.environ | settings, text=True).split()

    first = answer("077", tmp_path, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="1")
    second = answer("000", Path("/"), TZ="America/Lima", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert first == second == [handler_zip(name).sha256 for name in HANDLERS]


@pytest.mark.parametrize("name", HANDLERS)
def test_each_handler_of_iotpipe_can_be_packaged_without_its_siblings(name: str) -> None:
    inside = unpacked(handler_zip(name).content)
    assert {f"iotpipe/handlers/{each}.py" for each in HANDLERS} & set(inside) == {f"iotpipe/handlers/{name}.py"}
    assert all(path.startswith("iotpipe/handlers/") for path in set(inside) - {"iotpipe/__init__.py"})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("from iotpipe.errors import PackagingError", "line 2 imports iotpipe.errors, which does not go to Lambda"),
        ("from iotpipe import errors", "line 2 imports iotpipe.errors, which does not go to Lambda"),
        ("from .. import errors", "line 2 imports iotpipe.errors, which does not go to Lambda"),
        ("import iotpipe.handlers.gone", "line 2 imports iotpipe.handlers.gone, which is missing"),
        ("from .gone import key", "line 2 imports iotpipe.handlers.gone, which is missing"),
        ("def broken(:", "line 2: "),
        ("from __future__ import annotations", "line 2: from __future__ imports must occur at the beginning"),
        ("return key", "line 2: 'return' outside function"),
        ("import nosuchmodule", "line 2 imports nosuchmodule, which neither Lambda's Python nor the layer has"),
        ("import json, pandas.core", "line 2 imports pandas.core, which neither Lambda's Python nor the layer has"),
        ("from requests import get", "line 2 imports requests, which neither Lambda's Python nor the layer has"),
    ],
)
def test_what_would_fail_to_import_on_lambda_fails_here(line: str, problem: str, tmp_path: Path) -> None:
    plant(tmp_path, TREE | {"iotpipe/handlers/keys.py": f"key = 1\n{line}\n"})
    with pytest.raises(PackagingError) as caught:
        handler_zip("one", tmp_path)
    assert f"cannot package iotpipe/handlers/keys.py: {problem}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "import os.path, botocore.session, boto3, aws_xray_sdk.core\n",
        "from dateutil.tz import UTC\n",
        "try:\n    import orjson\nexcept ImportError:\n    import json as orjson\n",
        "def late():\n    import nosuchmodule\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mypy_extensions\n",
    ],
)
def test_what_may_be_there_on_lambda_or_may_be_missing_is_let_through(text: str, tmp_path: Path) -> None:
    plant(tmp_path, TREE | {"iotpipe/handlers/keys.py": f"key = 1\n{text}"})
    assert "keys" in modules("one", tmp_path)


def test_a_name_that_is_no_module_is_taken_for_an_attribute(tmp_path: Path) -> None:
    plant(tmp_path, TREE | {"iotpipe/handlers/two.py": "from iotpipe.handlers import __doc__ as text\n"})
    assert modules("two", tmp_path) == PACKAGES | {"two"}


def test_a_handler_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"handler four: there is no iotpipe/handlers/four\.py"):
        handler_zip("four", plant(tmp_path))
