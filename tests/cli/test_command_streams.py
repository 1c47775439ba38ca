"""What the command does where stdin, stdout or stderr are not what programs take for granted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.shell import Shell, settings

pytestmark = pytest.mark.subprocess


def in_bash(shell: Shell, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line as it is typed, `iotpipe` in it being ours; a warning is an error there."""
    path = f"{Path(shell.command()[0]).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=shell.directory,
        env=shell.environment | {"PATH": path, "PYTHONWARNINGS": "error"} | variables,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("iotpipe validate >&-", 0, "", ""),
        ("iotpipe validate 2>&-", 0, "local: the configuration is valid\n", ""),
        ("iotpipe validate --env nope <&- >&- 2>&-", 2, "", ""),
        (
            "iotpipe local reset <&-",
            2,
            "",
            "error: confirmation needs a terminal; nothing was changed\nhint: Pass --yes to go ahead.\n",
        ),
    ],
)
def test_a_stream_that_is_closed_is_only_not_read_or_written(
    shell: Shell, line: str, code: int, out: str, err: str
) -> None:
    done = in_bash(shell, line)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_what_is_written_is_utf_8_whatever_the_locale_is(shell: Shell) -> None:
    drawn = in_bash(shell, "iotpipe graph --what dependencies", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "├── table/raw-sensor-data-local" in drawn.stdout, drawn.stderr
    settings(shell, "dev", "tags:\n  größe: '€'\n")
    answered = in_bash(shell, "iotpipe validate --env dev --json", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert [each["key"] for each in json.loads(answered.stdout)["problems"]] == ["tags.größe"]


def test_a_locale_without_lines_and_arrows_gets_the_data_flow_in_ascii(shell: Shell) -> None:
    drawn = in_bash(shell, "iotpipe graph", PYTHONIOENCODING="latin-1", PYTHONUTF8="0").stdout
    assert drawn.isascii() and "|- POST /ingest -> data-ingestion-local" in drawn
    assert "├─ POST /ingest → data-ingestion-local" in in_bash(shell, "iotpipe graph", PYTHONUTF8="1").stdout


@pytest.mark.parametrize("buffering", ["", "1"])
def test_an_answer_that_nobody_takes_is_no_success_and_needs_no_words(shell: Shell, buffering: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        shell.command("validate", "--json"),
        cwd=shell.directory,
        env=shell.environment | {"PYTHONUNBUFFERED": buffering},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@pytest.mark.parametrize("buffering", ["", "1"])
def test_an_answer_that_cannot_be_written_is_a_failure_with_its_reason(shell: Shell, buffering: str) -> None:
    done = in_bash(shell, "iotpipe validate --json > /dev/full", PYTHONUNBUFFERED=buffering)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"].startswith("cannot write")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
