"""Bytecode: which interpreters are found and believed, and that they compile the same bytes each time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from iotpipe.packaging import layer
from iotpipe.packaging.bytecode import bytecode_of, find_interpreter
from tests.support.layer_samples import HOST

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = next(version for version in VERSIONS if version != RUNNING)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no interpreter but the running one; programs put into the directory are on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    return programs


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def posing_as(version: str, level: str = "final") -> str:
    """A script that answers as an interpreter of this version does, with its own place."""
    return f'echo {level} cpython-{version.replace(".", "")} "$0"'


def test_the_running_interpreter_is_enough_for_its_own_version(bare: Path) -> None:
    assert find_interpreter(RUNNING) == sys.executable


def test_with_no_other_interpreter_at_hand_there_is_no_bytecode_for_others(bare: Path) -> None:
    assert not layer(f"python{OTHER}", HOST).has_bytecode_interpreter()


def test_one_on_path_is_found(bare: Path) -> None:
    found = program(bare / f"python{OTHER}", posing_as(OTHER))
    assert find_interpreter(OTHER) == str(found)
    assert layer(f"python{OTHER}", HOST).has_bytecode_interpreter()


@pytest.mark.parametrize(
    "script",
    ["exit 127", posing_as("3.9"), posing_as(OTHER, "candidate"), f"{posing_as(OTHER)}t; exit 1", "echo pyenv", ""],
)
def test_a_shim_that_fails_or_is_something_else_is_passed_over(script: str, bare: Path, tmp_path: Path) -> None:
    program(bare / f"python{OTHER}", script)
    assert find_interpreter(OTHER) is None
    good = program(tmp_path / f".pyenv/versions/{OTHER}.1/bin/python{OTHER}", posing_as(OTHER))
    assert find_interpreter(OTHER) == str(good)


def test_a_file_on_path_that_cannot_be_executed_is_passed_over(bare: Path) -> None:
    (bare / f"python{OTHER}").write_bytes(b"\x7fELF of another machine")
    (bare / f"python{OTHER}").chmod(0o755)
    assert find_interpreter(OTHER) is None


def test_uv_is_asked_for_what_it_has(bare: Path, tmp_path: Path) -> None:
    managed = program(tmp_path / "managed/python", posing_as(OTHER))
    program(bare / "uv", f'[ "$*" = "python find --system --no-project {OTHER}" ] && echo "{managed}"')
    assert find_interpreter(OTHER) == str(managed)


@pytest.mark.parametrize("entry", ["", ".", "tools"])
def test_nothing_of_the_current_directory_is_run(
    entry: str, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project"
    for directory in (here, here / "tools"):
        for name in (f"python{OTHER}", "uv"):
            program(directory / name, f": > {here}/ran; {posing_as(OTHER)}")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{entry}:{bare}:{entry}")
    # uv looks along PATH too.
    program(bare / "uv", f'IFS=:; for each in $PATH; do "$each/python{OTHER}"; done; exit 2')
    assert find_interpreter(OTHER) is None
    assert not (here / "ran").exists()


def test_a_uv_that_has_none_is_no_error(bare: Path) -> None:
    program(bare / "uv", "echo 'error: no interpreter found' >&2; exit 2")
    assert find_interpreter(OTHER) is None


def test_pyenv_may_live_elsewhere(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    good = program(tmp_path / f"pyenv/versions/{OTHER}.0/bin/python{OTHER}", posing_as(OTHER))
    assert find_interpreter(OTHER) == str(good)


# What an interpreter marks as shared in a .pyc depends on what it compiled before: `foo` here, and the set.
FIRST = b"import foo\nnames = {'randint', 'foo', 'bar', 1.5, 'not a name'}\n"
SECOND = b"""
names = {"foo", 2, 3}
def f(key="not a name", *, other=(1, 2, "foo")):
    'Text of f.'
    return {"foo", 2, 3} | frozenset({"not a name"}), 1.5, b"foo", 10**30, lambda: (1, 2, "foo")
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_source_compiles_to_the_same_bytes_whatever_was_compiled_before(version: str) -> None:
    if not (interpreter := find_interpreter(version)):
        pytest.skip(f"there is no Python {version} here")
    alone = bytecode_of({"python/second.py": SECOND}, interpreter, version)
    after = bytecode_of({"python/first.py": FIRST, "python/second.py": SECOND}, interpreter, version)
    ((path, content),) = alone.items()
    assert path == f"python/__pycache__/second.cpython-{version.replace('.', '')}.pyc"
    assert after[path] == content
    assert content[4:8] == b"\x01\x00\x00\x00"  # hash-based and not to be checked


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_the_users_settings_for_python_do_not_show(seed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "base64.py").write_text("raise SystemExit('hijacked')")
    sources = {"python/first.py": FIRST, "python/second.py": SECOND}
    plain = bytecode_of(sources, sys.executable, RUNNING)
    monkeypatch.setenv("PYTHONHASHSEED", seed)
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert bytecode_of(sources, sys.executable, RUNNING) == plain


def test_the_bytecode_is_that_of_its_source_with_its_docstrings_and_asserts() -> None:
    source = b'def f():\n    "Text of f."\n    assert 1 == 2, "asserted"\n'
    (content,) = bytecode_of({"python/a.py": source}, sys.executable, RUNNING).values()
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[8:16] == importlib.util.source_hash(source)
    assert b"Text of f." in content
    assert b"asserted" in content


def test_a_source_for_another_python_has_no_bytecode_and_stops_nobody() -> None:
    sources = {"python/old.py": b"print 'hello'\n", "python/warns.py": b"'\\d'\n", "python/data.txt": b"text"}
    made = bytecode_of(sources, sys.executable, RUNNING)
    assert [path.split("/")[-1].split(".")[0] for path in made] == ["warns"]
