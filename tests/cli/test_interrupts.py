"""Ctrl-C and SIGTERM, once and twice, on a terminal and without: running calls finish, the next command continues."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import click
import pytest

from iotpipe.cli import confirm
from iotpipe.cli.session import interruptible, stoppable
from tests.support.shell import Shell

pytestmark = pytest.mark.subprocess

COMMANDS = {
    "up": ("up", "--env", "dev"),
    "down": ("down", "--env", "dev", "--delete-data", "--yes"),
}
WHILE = {"up": "CreateQueue", "down": "DeleteQueue"}
"""The one queue has the other for its dead letters: there is always something that cannot begin before this ends."""


@dataclass
class Running:
    """A command under way, and everything that it says."""

    process: subprocess.Popen[bytes]
    typed: Callable[[bytes], object]
    said: bytearray = field(default_factory=bytearray)

    def wait(self, code: int) -> str:
        assert self.process.wait(60) == code, self.said.decode()
        self.reader.join(60)
        text = self.said.decode()
        assert "Traceback" not in text
        return text

    def listen(self, source: int) -> None:
        self.reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        self.reader.start()

    def _read(self, source: int) -> None:
        try:
            while part := os.read(source, 4096):
                self.said += part
        except OSError:  # a terminal whose last process has ended
            return


@contextmanager
def on_a_terminal(cloud: Shell, command: str) -> Iterator[Running]:
    """Typed into a terminal of its own, where Ctrl-C is a key."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        cloud.command(*COMMANDS[command]),
        cwd=cloud.directory,
        env=cloud.environment | {"TERM": "xterm", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    yield from _running(Running(process, lambda keys: os.write(mine, keys)), mine)


@contextmanager
def in_a_job(cloud: Shell, command: str) -> Iterator[Running]:
    """Started by a machine, with nobody to look at it."""
    mine, theirs = os.pipe()
    process = subprocess.Popen(
        cloud.command(*COMMANDS[command]),
        cwd=cloud.directory,
        env=cloud.environment | {"CI": "true"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    yield from _running(Running(process, lambda keys: None), mine)


def _running(running: Running, source: int) -> Iterator[Running]:
    running.listen(source)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        os.close(source)


def ctrl_c(running: Running) -> None:
    running.typed(b"\x03")


def sigint(running: Running) -> None:
    running.process.send_signal(signal.SIGINT)


def sigterm(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)


Start = Callable[[Shell, str], AbstractContextManager[Running]]
Interrupt = Callable[[Running], None]
TYPED, TERMINATED = (on_a_terminal, ctrl_c), (in_a_job, sigterm)
ONCE = {
    "up, Ctrl-C on a terminal": ("up", *TYPED),
    "up, SIGTERM in a job": ("up", *TERMINATED),
    "up, SIGINT in a job": ("up", in_a_job, sigint),
    "down, Ctrl-C on a terminal": ("down", *TYPED),
    "down, SIGTERM in a job": ("down", *TERMINATED),
}
TWICE = {"up, Ctrl-C on a terminal": ("up", *TYPED), "down, SIGTERM in a job": ("down", *TERMINATED)}


def until_it_is_said(running: Running, text: bytes) -> None:
    while text not in running.said and running.process.poll() is None:
        running.reader.join(0.01)
    assert text in running.said, running.said.decode()


def recorded(cloud: Shell) -> dict[str, str]:
    rows = json.loads((cloud.directory / ".iotpipe" / "dev.json").read_text())["resources"]
    return {address: row["status"] for address, row in rows.items()}


@contextmanager
def interrupted(cloud: Shell, command: str, start: Start, interrupt: Interrupt) -> Iterator[Running]:
    """The command, told to stop while AWS is asked for what it does not answer as long as this lasts."""
    with cloud.held(WHILE[command]) as asked, start(cloud, command) as running:
        asked()
        interrupt(running)
        until_it_is_said(running, b"stopping: waiting for running calls to finish")
        yield running


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("command", "start", "interrupt"), ONCE.values(), ids=ONCE)
def test_what_runs_is_let_finish_and_the_next_command_goes_on(
    cloud: Shell, bring_up: Callable[[], None], command: str, start: Start, interrupt: Interrupt
) -> None:
    if command == "down":
        bring_up()
    with interrupted(cloud, command, start, interrupt) as running:
        cloud.let_go()
        said = running.wait(130)
    assert "resources are left to do" in said
    queues = {address for address in recorded(cloud) if address.startswith("queue/")}
    assert queues == {"queue/iot-dlq-dev"}, "either what was just made, or what has not gone yet"
    if command == "up":
        assert set(recorded(cloud).values()) == {"ready"}
    cloud.run(*COMMANDS[command])
    goes_on_to_the_end(cloud, command)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("command", "start", "interrupt"), TWICE.values(), ids=TWICE)
def test_a_second_one_quits_at_once_and_the_next_command_goes_on(
    cloud: Shell, bring_up: Callable[[], None], command: str, start: Start, interrupt: Interrupt
) -> None:
    if command == "down":
        bring_up()
    with interrupted(cloud, command, start, interrupt) as running:
        interrupt(running)
        # AWS has still not answered.
        said = running.wait(130)
    assert "quitting at once; the next `up` or `down` continues from the state file" in said
    cloud.run(*COMMANDS[command])
    goes_on_to_the_end(cloud, command)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_a_question_it_is_an_answer(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    stop = threading.Event()
    monkeypatch.setattr(confirm, "terminal", lambda stream: True)
    monkeypatch.setattr(click, "confirm", lambda question, err: signal.raise_signal(number))
    with stoppable(stop), pytest.raises(KeyboardInterrupt):
        confirm.confirm(False, "Take dev down?")
    assert not stop.is_set()


def goes_on_to_the_end(cloud: Shell, command: str) -> None:
    tables = sorted(cloud.client("dynamodb").list_tables()["TableNames"])
    if command == "up":
        assert "Nothing to do" in cloud.run("plan", "--env", "dev").stdout
        assert tables == ["processed-data-dev", "raw-sensor-data-dev"]
        assert len(cloud.client("apigateway").get_rest_apis()["items"]) == 1
    else:
        assert tables == cloud.client("lambda").list_functions()["Functions"] == []
        assert not cloud.client("apigateway").get_rest_apis()["items"]


class Finalized(io.RawIOBase):
    """A stream that is interrupted while it is finalized, as the answer of an HTTP call may be."""

    def close(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_what_would_go_on_for_ever_hears_ctrl_c_also_where_python_drops_it() -> None:
    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    with interruptible(stop):
        Finalized()
        assert stop.is_set(), "or its next pause would not end it"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_would_go_on_for_ever_ends_at_the_first_ctrl_c() -> None:
    stop = threading.Event()
    with pytest.raises(KeyboardInterrupt), interruptible(stop):
        signal.raise_signal(signal.SIGINT)
    assert stop.is_set()
