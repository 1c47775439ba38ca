"""`make setup` with a Python that will not do: what it says before it makes anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def python(path: Path, version: tuple[int, int, int]) -> Path:
    """An interpreter that says that it is of this version."""
    program = (
        f"import sys; sys.version_info = {version}; sys.version = {'.'.join(map(str, version))!r}; exec(sys.argv[1])"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$2"\n')
    path.chmod(0o755)
    return path


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "-C", str(ROOT), "python", f"VENV={tmp_path / 'venv'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_python_that_is_too_old_is_named_with_what_is_needed(tmp_path: Path) -> None:
    old = python(tmp_path / "python3.10", (3, 10, 13))
    said = make(tmp_path, f"PYTHON={old}")
    assert said.returncode
    assert f"iotpipe needs Python 3.11 or newer, and {old} is Python 3.10.13. Name another one" in said.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "there is no python3.99 here" in make(tmp_path, "PYTHON=python3.99").stderr


def test_an_environment_of_a_python_that_is_too_old_is_noticed_whatever_is_asked_for(tmp_path: Path) -> None:
    python(tmp_path / "venv/bin/python", (3, 10, 13))
    new = python(tmp_path / "python3.12", (3, 12, 1))
    for asked in ([], [f"PYTHON={new}"]):
        said = make(tmp_path, *asked)
        assert said.returncode
        assert f"that of {tmp_path / 'venv'} is Python 3.10.13. Remove it with: rm -rf" in said.stderr


def test_an_environment_of_another_python_than_is_asked_for_is_noticed(tmp_path: Path) -> None:
    python(tmp_path / "venv/bin/python", (3, 11, 7))
    said = make(tmp_path, f"PYTHON={python(tmp_path / 'python3.12', (3, 12, 1))}")
    assert "is there already, with Python 3.11, and not with Python 3.12" in said.stderr
    assert make(tmp_path).returncode == 0
    assert make(tmp_path, f"PYTHON={python(tmp_path / 'python3.11', (3, 11, 9))}").returncode == 0
