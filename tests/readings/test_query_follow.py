"""`query --follow`: each row once, also those that are stored late, until Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.provision.run import Run
from tests.readings.test_readings_commands import Type, env, rows, typed
from tests.support.handlers_world import NOON, Clock, World
from tests.support.local_gateway import Gateway, answering

__all__ = ["env", "rows", "typed"]  # fixtures

MINUTE = 60_000
Events = Callable[..., None]


@pytest.fixture
def events(run: Run, monkeypatch: pytest.MonkeyPatch, now: Clock) -> Events:
    """Let one of the functions be called in each pause between two polls, and Ctrl-C be pressed after the last."""

    def script(*steps: Callable[[], Any]) -> None:
        left = [*steps]

        def sleep(seconds: float, stop: threading.Event) -> None:
            now.pass_(seconds)
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(run.clock, "sleep", sleep)

    return script


def stored(world: World, device: str, *minutes: float, **metrics: Any) -> Callable[[], None]:
    """A function that stores a reading for each time, in minutes before noon."""

    def store() -> None:
        for each in minutes:
            data = metrics or {"temperature": each}
            world.ingest({"device_id": device, "timestamp": NOON - int(each * MINUTE), "sensor_data": data})
        world.deliver()

    return store


def shown(text: str) -> list[str]:
    """The temperatures of the lines."""
    return re.findall(r"temperature=(\S+)", text)


@pytest.mark.parametrize("table", ["processed", "raw"])
def test_rows_that_come_are_shown_once_and_those_before_are_not(
    typed: Type, world: World, events: Events, table: str
) -> None:
    stored(world, "A", 9, 5)()
    events(stored(world, "A", 4), lambda: None, stored(world, "A", 3, 2), lambda: None)
    result = typed("query", "A", "--follow", "--table", table)
    assert shown(result.stdout) == ["4", "3", "2"]
    assert result.stdout.splitlines()[0] == "2026-11-22T11:56:00.000Z  A  temperature=4"
    assert result.return_value == 130 and result.exception is None
    assert result.stderr == "waiting for new rows; Ctrl-C ends it\n"


def test_rows_that_are_stored_late_are_shown(typed: Type, world: World, events: Events) -> None:
    stored(world, "A", 20)()
    events(stored(world, "A", 1), stored(world, "A", 10.5, 3), stored(world, "A", 15), stored(world, "A", 0, 6))
    assert shown(typed("query", "A", "-f").stdout) == ["1", "10.5", "3", "6", "0"], "15 is older than 10 minutes"


def test_a_device_that_has_sent_nothing_yet_may_have_any_time(typed: Type, world: World, events: Events) -> None:
    events(stored(world, "A", 300), stored(world, "A", 1))
    assert shown(typed("query", "A", "--follow").stdout) == ["300", "1"]


def test_a_device_whose_clock_is_fast_hides_no_readings(typed: Type, world: World, events: Events) -> None:
    stored(world, "A", -4)()
    events(stored(world, "A", 1), stored(world, "A", 9), lambda: None)
    assert shown(typed("query", "A", "--follow").stdout) == ["1", "9"]


@pytest.mark.matrix
def test_a_device_whose_clock_is_slow_is_followed_as_well(typed: Type, world: World, events: Events) -> None:
    stored(world, "A", 600)()
    stored(world, "B", 1)()
    events(stored(world, "A", 599), stored(world, "B", 0), stored(world, "A", 598))
    assert shown(typed("query", "A", "B", "--follow").stdout) == ["599", "0", "598"]


@pytest.mark.matrix
def test_what_was_stored_before_comes_first_if_a_period_is_named(typed: Type, world: World, events: Events) -> None:
    stored(world, "A", 90, 50, 40)()
    stored(world, "B", 45)()
    events(stored(world, "A", 1), stored(world, "B", 0.5))
    result = typed("query", "A", "B", "--follow", "--last", "1h")
    assert shown(result.stdout) == ["50", "45", "40", "1", "0.5"], "in the order of time"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_row_that_comes_while_the_beginning_is_read_is_shown_once(
    typed: Type, world: World, events: Events, gateway: Gateway, number: int
) -> None:
    stored(world, "A", 30)()
    gateway.faults.extend([lambda _: None] * number + [lambda _: stored(world, "A", 25, 1)()])
    events(lambda: None, stored(world, "A", 0))
    assert shown(typed("query", "A", "--follow", "--last", "1h").stdout) == ["30", "25", "1", "0"]


@pytest.mark.matrix
def test_equal_readings_at_the_same_time_are_all_shown(typed: Type, world: World, events: Events) -> None:
    def both() -> None:
        for identity in ("x", "y"):
            reading = {"device_id": "A", "timestamp": NOON, "reading_id": identity, "sensor_data": {"temperature": 1}}
            world.ingest(reading)
        world.deliver()

    for table in ("processed", "raw"):
        events(both)
        assert shown(typed("query", "A", "--follow", "--last", "1h", "--table", table).stdout) == ["1", "1"]


@pytest.mark.matrix
def test_no_row_is_lost_where_a_poll_has_several_pages(
    typed: Type, world: World, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotpipe.readings.stored_rows.MAX_ROWS", 2)
    stored(world, "A", 9, 8, 7, 6, 5)()
    events(stored(world, "A", 8.5, 4, 3, 2, 1), lambda: None, stored(world, "A", 0))
    assert shown(typed("query", "A", "--follow", "--from", "8m").stdout) == [*"8765", "8.5", *"4321", "0"]


def test_json_is_a_line_for_each_row(typed: Type, world: World, events: Events) -> None:
    events(stored(world, "A", 1, sky="\x1b[2J\n\u2028", temperature=25.5), stored(world, "A", 0))
    result = typed("query", "A", "--follow", "--json", "--metric", "sky")
    assert not {each for each in result.stdout if not each.isprintable()} - {"\n"}
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["sensor_data"] == {"sky": "\x1b[2J\n\u2028"} and "temperature" not in first
    assert first["device_id"] == second["device_id"] == "A"


def test_text_of_a_device_stays_on_its_line(typed: Type, world: World, events: Events) -> None:
    events(stored(world, "A", 1, **{"na\nme": "\x1b[2J\nforged"}))
    assert typed("query", "A", "--follow").stdout.splitlines() == [
        "2026-11-22T11:59:00.000Z  A  na\\nme=\\x1b[2J\\nforged"
    ]


def test_ctrl_c_ends_it_also_between_two_polls(typed: Type, world: World, run: Run, gateway: Gateway) -> None:
    main = threading.main_thread().ident
    assert main
    gateway.faults.extend([lambda _: None, lambda _: None, lambda _: signal.pthread_kill(main, signal.SIGINT)])
    result = typed("query", "A", "--follow")
    assert result.return_value == 130 and result.exception is None


def test_an_api_that_refuses_ends_it_with_the_reason(typed: Type, gateway: Gateway, events: Events) -> None:
    gateway.faults.extend([lambda _: None, lambda _: None, answering(403, '{"message": "expired"}')])
    events(lambda: None)
    result = typed("query", "A", "--follow")
    assert isinstance(result.exception, IotpipeError) and "expired" in str(result.exception)


@pytest.mark.parametrize(
    ("time", "told"),
    [("1969-12-31", "from: a time from 1970 to 9999"), (str(NOON // 1000), "looks like epoch seconds")],
)
def test_a_time_that_the_api_refuses_is_told(typed: Type, events: Events, time: str, told: str) -> None:
    events()
    for words in (["--follow"], ["--plot"]):
        error = typed("query", "A", *words, "--from", time).exception
        assert isinstance(error, UsageError) and told in str(error)


@pytest.mark.parametrize(
    "words",
    [
        ["--every", "1h"],
        ["--plot"],
        ["--csv"],
        ["-o", "rows.csv"],
        ["--limit", "5"],
        ["--all"],
        ["--order", "desc"],
        ["--date", "2026-11-22"],
        ["--to", "1h"],
    ],
)
def test_what_cannot_be_followed_is_refused_before_any_request(typed: Type, gateway: Gateway, words: list[str]) -> None:
    from_ = ["--last", "1d"] if words[0] == "--every" else []
    result: Any = typed("query", "A", "--follow", *words, *from_)
    assert isinstance(result.exception, UsageError)
    assert f"--follow excludes {words[0]}. It prints each row as it comes" in str(result.exception)
    assert not gateway.requests
