"""The lock of a state file: one writer at a time, named in the lock file, and released when its process dies."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from iotpipe.errors import LedgerError, LedgerLocked
from iotpipe.provision import lock
from iotpipe.provision.lock import locked
from iotpipe.times import seconds

_HOLD = """
import sys
from pathlib import Path
from iotpipe.errors import LedgerLocked
from iotpipe.provision.lock import locked

try:
    with locked(Path(sys.argv[1]), sys.argv[2], "2026-11-22T10:00:00Z"):
        print("held", flush=True)
        sys.stdin.readline()
except LedgerLocked as error:
    print("refused", flush=True)
"""


@contextmanager
def process(state: Path, command: str = "up --env dev") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, or tries to, until the test lets it continue."""
    arguments = [sys.executable, "-c", _HOLD, str(state), command]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            yield other
        finally:
            other.kill()


def answer(other: subprocess.Popen[str]) -> str:
    assert other.stdout
    return other.stdout.readline().strip()


def release(other: subprocess.Popen[str]) -> None:
    assert other.stdin
    other.stdin.write("\n")
    other.stdin.flush()
    other.wait(timeout=30)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "dev.json"


def test_one_holds_it_and_then_the_next_may(state: Path) -> None:
    with locked(state, "up", "now"):
        pass
    with locked(state, "down", "later"):
        pass
    assert not list(state.parent.iterdir()), "what is released leaves no file"


def test_who_else_wants_it_is_told_who_holds_it_since_when_and_what_to_do(state: Path) -> None:
    with process(state, "up --env dev") as other:
        assert answer(other) == "held"
        with pytest.raises(LedgerLocked) as refused, locked(state, "down", "now"):
            pass
        for each in ("up --env dev", f"process {other.pid}", socket.gethostname(), "2026-11-22T10:00:00Z", str(state)):
            assert each in refused.value.message
        assert f"kill {other.pid}" in refused.value.hint
        release(other)
    with locked(state, "down", "now"):
        pass


@pytest.mark.parametrize(
    ("passed", "age"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (3 * 86400, "3 days")]
)
def test_who_else_wants_it_is_told_how_long_it_has_been_held(
    state: Path, monkeypatch: pytest.MonkeyPatch, passed: int, age: str
) -> None:
    with locked(state, "up", "2026-11-22T10:00:00Z"):
        monkeypatch.setattr(lock._CLOCK, "now", lambda: seconds("2026-11-22T10:00:00Z") + passed)
        with pytest.raises(LedgerLocked, match=f"since 2026-11-22T10:00:00Z, {age} ago"), locked(state, "down", "now"):
            pass


def test_who_was_refused_has_not_disturbed_the_holder(state: Path) -> None:
    with locked(state, "up", "now"):
        before = state.with_suffix(".lock").read_text()
        for _ in range(3):
            with pytest.raises(LedgerLocked), locked(state, "down", "later"):
                pass
        assert state.with_suffix(".lock").read_text() == before
        with process(state) as other:
            assert answer(other) == "refused"


def test_a_killed_holder_holds_nothing(state: Path) -> None:
    with process(state) as other:
        assert answer(other) == "held"
        os.kill(other.pid, signal.SIGKILL)
        other.wait(timeout=30)
        assert state.with_suffix(".lock").exists(), "it had no time to tidy up"
        with locked(state, "up", "now"):
            assert json.loads(state.with_suffix(".lock").read_text())["pid"] == os.getpid()
    assert not state.with_suffix(".lock").exists()


def test_the_holder_on_another_machine_is_respected_as_nobody_can_see_whether_it_lives(state: Path) -> None:
    path = state.with_suffix(".lock")
    path.parent.mkdir()
    text = json.dumps({"pid": 1, "host": "elsewhere", "command": "up --env dev", "since": "2026-11-22T10:00:00Z"})
    path.write_text(text)
    with pytest.raises(LedgerLocked, match="elsewhere") as refused, locked(state, "down", "now"):
        pass
    assert f"rm {path}" in refused.value.hint
    assert path.read_text() == text
    path.unlink()
    with locked(state, "down", "now"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_lock_file_that_says_nothing_is_a_dead_holders(state: Path, text: str) -> None:
    state.parent.mkdir()
    state.with_suffix(".lock").write_text(text)
    with locked(state, "up", "now"):
        assert json.loads(state.with_suffix(".lock").read_text())["command"] == "up"


@contextmanager
def nameless(state: Path) -> Iterator[IO[str]]:
    """A holder that has the lock but has not written its description yet."""
    state.parent.mkdir()
    with state.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def test_a_holder_that_has_only_just_come_is_given_the_time_to_say_who_it_is(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nameless(state) as file:

        def introduce(seconds: float, stop: threading.Event) -> None:
            json.dump({"pid": 4711, "host": "here", "command": "up --env dev", "since": "now"}, file)
            file.flush()

        monkeypatch.setattr(lock._CLOCK, "sleep", introduce)
        with pytest.raises(LedgerLocked, match="process 4711"), locked(state, "down", "later"):
            pass


def test_a_holder_that_lets_go_meanwhile_is_no_obstacle(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nameless(state) as file:
        monkeypatch.setattr(lock._CLOCK, "sleep", lambda seconds, stop: fcntl.flock(file, fcntl.LOCK_UN))
        with locked(state, "up", "now"):
            assert json.loads(state.with_suffix(".lock").read_text())["command"] == "up"


def test_a_holder_that_never_says_who_it_is_is_not_waited_for_for_long(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(lock._CLOCK, "sleep", lambda seconds, stop: waited.append(seconds))
    with nameless(state), pytest.raises(LedgerLocked, match="another command"), locked(state, "up", "now"):
        pass
    assert 0 < sum(waited) <= 2


def test_the_lock_goes_also_when_the_command_fails(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(state, "up", "now"):
        raise ZeroDivisionError
    assert not state.with_suffix(".lock").exists()


@pytest.mark.matrix
def test_of_many_processes_that_race_exactly_one_wins(state: Path) -> None:
    with ExitStack() as all_of_them:
        racers = [all_of_them.enter_context(process(state, f"up {number}")) for number in range(4)]
        assert sorted(answer(each) for each in racers) == ["held", "refused", "refused", "refused"]


def test_who_lets_go_does_not_take_away_the_lock_of_who_came_after(state: Path) -> None:
    path = state.with_suffix(".lock")
    with ExitStack() as others:
        with locked(state, "first", "now"):
            # The user removes the lock file although its holder runs.
            path.unlink()
            assert answer(others.enter_context(process(state))) == "held"
        assert path.exists()
        with pytest.raises(LedgerLocked), locked(state, "third", "later"):
            pass


def test_a_file_that_was_removed_between_its_opening_and_its_locking_is_not_the_lock(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, path = fcntl.flock, state.with_suffix(".lock")

    def late(file: IO[str], how: int) -> None:
        monkeypatch.setattr(lock.fcntl, "flock", really)
        path.unlink()
        really(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with locked(state, "up", "now"):
        assert json.loads(path.read_text())["command"] == "up"
        with pytest.raises(LedgerLocked), locked(state, "down", "later"):
            pass


def test_the_directory_is_made_with_all_above_it(tmp_path: Path) -> None:
    with locked(tmp_path / "some" / "state" / "dev.json", "up", "now"):
        assert (tmp_path / "some" / "state" / "dev.lock").exists()


def test_nobody_else_may_look_into_the_directory(state: Path) -> None:
    with locked(state, "up", "now"):
        assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(state.with_suffix(".lock").stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError) as refused, locked(tmp_path / "file" / "dev.json", "up", "now"):
        pass
    assert "--state-dir" in refused.value.hint and str(tmp_path / "file") in refused.value.message


def put_there(what: str, path: Path) -> None:
    if what == "link":
        path.symlink_to(path.with_suffix(".precious"))
    elif what == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("what", ["link", "directory", "pipe"])
def test_what_is_no_lock_file_is_neither_written_nor_waited_for(what: str, state: Path) -> None:
    state.parent.mkdir()
    path, precious = state.with_suffix(".lock"), state.with_suffix(".precious")
    precious.write_text("precious")
    put_there(what, path)
    before = path.lstat()
    with pytest.raises(LedgerError) as refused, locked(state, "up", "now"):
        pass
    assert str(path) in refused.value.message and f"but a {what}" in refused.value.message
    assert "remove it" in refused.value.hint
    assert lock.refusal(state) is None
    assert path.lstat() == before and precious.read_text() == "precious"
