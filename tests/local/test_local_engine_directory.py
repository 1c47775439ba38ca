"""The engine's lock and record in unusual states: contended, starting or stopping, writable by other users."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import ministack
import pytest

from iotpipe.errors import LedgerError
from iotpipe.local import launcher
from iotpipe.local.engine import settings
from iotpipe.local.engine_directory import EngineDirectory, Record


@pytest.fixture
def directory(tmp_path: Path) -> EngineDirectory:
    directory = EngineDirectory(tmp_path / "local")
    directory.create()
    return directory


def test_who_only_looks_whether_an_engine_runs_keeps_none_from_starting(
    directory: EngineDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = os.open(directory.path / "engine.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
    held = directory.take_lock()
    os.close(looking)
    assert held is not None
    assert directory.alive()
    os.close(held)


def test_a_second_engine_does_not_start(directory: EngineDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    first = directory.take_lock()
    assert first is not None
    assert directory.take_lock() is None
    os.close(first)


@pytest.mark.parametrize("pid", [0, 1])
def test_reset_waits_for_an_engine_that_is_going_down_and_kills_nobody_else(
    directory: EngineDirectory, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    directory.write(Record(4566, pid))
    engine = directory.take_lock()
    assert engine is not None
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda *asked: killed.append(asked[0]))
    monkeypatch.setattr(time, "sleep", lambda seconds: directory.alive() and os.close(engine))
    launcher.reset(directory)
    assert killed == []
    assert not directory.path.exists()


@pytest.mark.parametrize("read", [EngineDirectory.record, EngineDirectory.root_key])
def test_what_everybody_could_have_written_of_an_engine_is_not_believed(
    read: Callable[[EngineDirectory], object], directory: EngineDirectory
) -> None:
    directory.create()
    directory.write(Record(1, pid=os.getpid()))
    assert read(directory)
    directory.path.chmod(0o777)
    with pytest.raises(LedgerError, match="every user of this machine may write"):
        read(directory)


def test_an_environment_whose_state_file_is_not_believed_keeps_no_engine_running(tmp_path: Path) -> None:
    path = tmp_path / "stage.json"
    path.write_text("{}")
    path.chmod(0o666)
    assert launcher.in_use(tmp_path) == []


def test_ministack_keeps_nothing_in_a_place_that_every_user_of_the_machine_may_write(
    directory: EngineDirectory,
) -> None:
    told = settings(directory, 4566)
    sources = Path(ministack.__file__).parent.rglob("*.py")
    asked = re.compile(r'environ\.get\("([A-Z0-9_]+)", "/tmp[^"]*"\)')
    named = {name for source in sources for name in asked.findall(source.read_text())}
    assert {"STATE_DIR", "S3_DATA_DIR"} <= named
    # TMPDIR is set for the whole process.
    for name in named - {"TMPDIR"}:
        assert directory.temporary in Path(told[name]).parents
