"""`iotpipe view`: the page of a pipeline on this machine, from the link that is printed to Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.local.conftest import New
from tests.support.json_shapes import assert_as_described
from tests.support.local_machine import IOTPIPE, Machine, eventually

pytestmark = pytest.mark.embedded


@contextmanager
def viewing(machine: Machine, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs. It ends at the first Ctrl-C."""
    process = subprocess.Popen(
        [IOTPIPE, "view", "--env", "local", "--no-browser", *options],
        cwd=machine.directory,
        env=machine.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said


def link_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def press_enter(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def told(link: str) -> Callable[..., Any]:
    """A function that asks the page's API with the key that the link gives."""
    address, _, token = link.partition("#")
    key = ask(f"{address}session", {"token": token})["key"]
    return lambda path, document=None: ask(f"{address}api/{path}", document, key)


def ask(url: str, document: Any = None, key: str = "") -> Any:
    body = None if document is None else json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return json.loads(answer.read())


def test_the_page_shows_a_pipeline_on_this_machine(up: Machine) -> None:
    up.run("send-test-data", "--env", "local", "--devices", "3", "--count", "30", "--bad", "1", "--verify")
    with viewing(up) as process:
        page = told(link_of(process))
        snapshot = eventually(lambda: shown if (shown := page("snapshot"))["series"]["accepted"] else None)
        assert (snapshot["environment"], snapshot["local"], snapshot["missing"]) == ("local", True, None)
        devices = eventually(lambda: page("devices")["items"])
        assert [each["device_id"] for each in devices] == ["sensor-001", "sensor-002", "sensor-003"]
        end = snapshot["time"] + 60_000
        series = page(f"series?device=sensor-001&every=1h&from={end - 90_000_000}&to={end}")["series"]
        assert {"temperature", "humidity"} <= {each["metric"] for each in series}
        newest = json.loads(page("rows?device=sensor-001&limit=1")["items"][0])
        assert newest["device_id"] == "sensor-001"
        assert page("dead-letters", {})["items"] is not None
        press_enter(process)
        assert told(link_of(process))("snapshot")["environment"] == "local"


def test_a_port_that_is_taken_is_told(up: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with viewing(up, "--port", str(port), "--json") as process:
            answer = json.loads(link_of(process))
            assert_as_described("view", answer)
            assert urlsplit(answer["url"]).port != port
            assert process.stderr and process.stderr.readline().startswith(f"port {port} is taken: serving on ")


def test_an_environment_that_is_not_up_has_a_page_that_says_so(
    new_machine: New,
) -> None:
    machine = new_machine()
    machine.run("init")
    with viewing(machine, "--every", "60") as process:
        snapshot = told(link_of(process))("snapshot")
        assert snapshot["every"] == 60
        assert "iotpipe up --env local" in snapshot["missing"]["hint"]
