"""Looking at the pipeline on this machine: every number is what was sent, and a stopped engine is waited for."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.local_machine import Machine, eventually

pytestmark = pytest.mark.embedded

LOCAL = ("--env", "local")


def looked_at(machine: Machine, is_there: Callable[[Any], bool]) -> Any:
    """The answer of `status --json` as soon as what is under way has come."""

    def look() -> Any:
        answer = machine.json("status", *LOCAL)
        return answer if is_there(answer) else None

    return eventually(look)


def node(snapshot: Any, name: str) -> Any:
    return next(each for each in snapshot["nodes"] if each["name"] == name)


def test_what_was_sent_is_counted_once_at_each_place_with_the_reasons_of_the_rest(new_machine: Any) -> None:
    machine = new_machine()
    machine.run("up", *LOCAL)
    sent = machine.json("send-test-data", *LOCAL, "--count", "60", "--devices", "3", "--bad", "8", "--verify")
    assert machine.send("POST", f"{machine.api}/ingest", {}, b"{}")[0] == 403
    answer = looked_at(machine, lambda answer: answer["queues"]["iot-dlq-local"]["oldest_seconds"])
    found = answer["snapshot"]
    assert found["summary"].startswith("60 readings accepted and 60 stored in 15 minutes, half of them within ")
    assert [node(found, name)["value"] for name in ("raw-sensor-data", "processed-data")] == ["+60", "+60"]
    assert (found["devices"], found["missing"]) == ({"total": 3, "silent": 0, "complete": True, "enrolled": None}, None)
    assert not [each for each in found["sources"] if each["problem"]]
    refused = sum(each["count"] for each in found["reasons"] if each["kind"] == "refused")
    assert refused >= 4, sent
    number, what = node(found, "iot-api")["note"].split(" ", 1)
    # With the one that no function has seen, and those that came while every worker was busy.
    assert int(number) >= refused + 1 and what == "refused"
    dead = node(found, "iot-dlq")
    assert (dead["tone"], int(dead["value"])) == ("bad", answer["queues"]["iot-dlq-local"]["visible"])
    assert 0 < answer["queues"]["iot-dlq-local"]["oldest_seconds"] < 600
    assert answer["queues"]["iot-ingestion-queue-local"]["oldest_seconds"] is not None
    assert found["alarms"]["evaluated"] and sum(found["alarms"]["states"].values()) == len(answer["alarms"])


@contextmanager
def watching(machine: Machine) -> Iterator[Callable[[Callable[[Any], bool]], Any]]:
    """Yields what reads the looks of `status --watch` until one is as wanted."""
    with machine.begin("status", "--watch", "--every", "1s", *LOCAL) as process:
        lines = process.stdout
        assert lines

        def until(is_wanted: Callable[[Any], bool]) -> Any:
            for _ in range(60):
                look = json.loads(lines.readline())
                if is_wanted(look):
                    return look
            raise AssertionError(look)

        yield until
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_an_engine_that_stops_and_starts_again_is_followed(new_machine: Any) -> None:
    machine = new_machine()
    machine.run("up", *LOCAL)
    with watching(machine) as until:
        assert until(lambda look: look["devices"]["total"] is not None)["missing"] is None
        machine.run("local", "stop")
        stopped = until(lambda look: look["missing"])
        assert stopped["missing"]["text"] == "the embedded AWS is not running"
        assert all(each["problem"] for each in stopped["sources"] if each["name"] == "queues")
        machine.run("local", "start")
        found = until(lambda look: not look["missing"] and not any(each["problem"] for each in look["sources"]))
        assert found["sentence"][0]["text"] == "No reading was accepted in 15 minutes. "


def test_what_never_was_up_is_missing(new_machine: Any) -> None:
    machine = new_machine()
    found = machine.json("status", *LOCAL)["snapshot"]
    assert found["missing"]["text"] == "local is not up"
    assert {each["value"] for each in found["nodes"]} == {None}
