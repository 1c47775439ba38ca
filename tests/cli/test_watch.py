"""`status --watch` on a terminal and without one, against an AWS in another process."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import termios
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.test_logs_and_dlq import LINE, fail, log
from tests.support.shell import Shell, read_until

pytestmark = pytest.mark.subprocess


@contextmanager
def watching(shell: Shell) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """The command on a terminal of its own: the process, and both ends of the terminal."""
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(mine, (40, 130))
    kept = {name: value for name, value in shell.environment.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        shell.command("status", "--watch"),
        cwd=shell.directory,
        env=kept | {"TERM": "xterm", "LANG": "C.UTF-8", "BROWSER": "true"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        try:
            yield process, mine, theirs
        finally:
            process.kill()
            os.close(mine)
            os.close(theirs)


def test_on_a_terminal_keys_hold_and_end_it_and_the_terminal_is_as_before(deployed: Shell) -> None:
    fail(deployed, "a", "b")
    log(deployed, "ingestion", LINE, LINE | {"status": 400, "rejected": 1, "reasons": ["\x1b]0;title\x07"]})
    with watching(deployed) as (process, mine, theirs):
        before = termios.tcgetattr(theirs)
        shown = read_until(mine, "q ends")
        assert "2 dead letters" in shown
        assert "\\x1b]0;title\\x07" in shown
        assert "50 accepted" in shown
        os.write(mine, b" ")
        read_until(mine, "space goes on")
        os.write(mine, b" ")
        read_until(mine, "space holds")
        os.write(mine, b"o")
        [link] = re.findall(r"http://127\.0\.0\.1:[0-9]+/#\S+", read_until(mine, "good once"))
        with urllib.request.urlopen(link) as page:
            assert b"<html" in page.read()
        os.write(mine, b"xq")
        assert "\x1b[?1049l" in read_until(mine, "\x1b[?1049l"), "the screen from before"
        assert process.wait(30) == 0
        assert termios.tcgetattr(theirs) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_leaves_the_terminal_as_before(deployed: Shell, number: signal.Signals) -> None:
    with watching(deployed) as (process, mine, theirs):
        before = termios.tcgetattr(theirs)
        read_until(mine, "q ends")
        process.send_signal(number)
        read_until(mine, "\x1b[?1049l")
        assert process.wait(30) == 130
        assert termios.tcgetattr(theirs) == before


def test_without_a_terminal_each_look_is_a_line_of_json_until_it_is_ended(deployed: Shell) -> None:
    with subprocess.Popen(
        deployed.command("status", "--watch", "--every", "1s"),
        cwd=deployed.directory,
        env=deployed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        assert (first["environment"], first["missing"], first["devices"]["total"]) == ("dev", None, 0)
        assert second["time"] > first["time"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


def test_what_is_not_up_is_watched_until_it_is(cloud: Shell) -> None:
    with watching(cloud) as (process, mine, _):
        shown = read_until(mine, "q ends")
        assert "dev is not up." in shown or "local is not up." in shown
        assert "iotpipe up --env" in shown
        os.write(mine, b"q")
        read_until(mine, "\x1b[?1049l")
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--every", "2s"], "--every goes with --watch"),
        (["--every", ""], "--every goes with --watch"),
        (["--watch", "--every", "0s"], "is not a time between"),
        (["--watch", "--every", ""], "is not a time between"),
    ],
)
def test_a_time_between_looks_has_to_be_one_and_needs_looks(cloud: Shell, words: list[str], told: str) -> None:
    assert told in cloud.run("status", "--env", "dev", *words, code=2).stderr
