"""docs/python.md: its code runs, with pandas where that is installed and a reader of CSV in its place elsewhere."""

from __future__ import annotations

import csv
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.readings.test_readings_commands import Type, env, rows, rows_of, typed
from tests.support.handlers_world import World

__all__ = ["env", "rows", "typed"]  # fixtures

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def read_csv(path: str, parse_dates: list[str], index_col: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert all({*parse_dates, index_col} <= row.keys() for row in found)
    return found


def test_the_code_of_the_page_reads_what_was_stored(
    typed: Type, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows_of(world)
    (code,) = re.findall(r"^```python\n(.+?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "page.py").write_text(code.replace("sensor-001", "A"), encoding="utf-8")

    def run(words: list[str], check: bool) -> None:
        assert words[0] == "iotpipe" and check
        assert typed(*words[1:]).exception is None

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    if importlib.util.find_spec("pandas") is None:
        monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(read_csv=read_csv))  # type: ignore[arg-type]  # no module
    frame: Any = runpy.run_path("page.py")["frame"]
    assert len(frame) == 5
