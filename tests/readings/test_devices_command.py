"""`iotpipe devices`: every device once, when it was last seen, and its latest values."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.handlers import devices as handlers_devices
from iotpipe.readings import devices
from tests.readings.test_readings_commands import Type, env, rows, typed
from tests.support.handlers_world import NOON, World
from tests.support.json_shapes import assert_as_described
from tests.support.local_gateway import Gateway, answering

__all__ = ["env", "rows", "typed"]  # fixtures

EXACT = "12345678901234567890.123456789012345678"


def send(world: World, device: str, seconds: int, data: str = '"temperature": 1') -> None:
    """Store a reading of so many seconds before noon."""
    time = NOON - 1000 * seconds
    world.ingest(f'{{"device_id": {json.dumps(device)}, "timestamp": {time}, "sensor_data": {{{data}}}}}')
    world.deliver()


def test_every_device_is_listed_with_its_latest_values(typed: Type, world: World) -> None:
    send(world, "roof", 7200, '"temperature": 9')
    send(world, "roof", 45, f'"odd": {EXACT}, "temperature": 25.50, "sky": "fair, mostly"')
    send(world, "cellar", 200)
    lines = typed("devices").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "device_id last seen latest values",
        "cellar 2026-11-22T11:56:40.000Z 3 min ago temperature=1",
        f"roof 2026-11-22T11:59:15.000Z 45 s ago temperature=25.5 odd={EXACT} sky=fair, mostly",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7200, "2 h ago"),
        (172_800, "2 d ago"),
        (-200, "in 3 min"),
    ],
)
def test_the_age_is_in_a_unit_that_suits_it(typed: Type, world: World, seconds: int, told: str) -> None:
    send(world, "A", seconds)
    assert told in typed("devices").stdout


def test_json_and_csv_have_the_same(typed: Type, world: World) -> None:
    send(world, "roof", 10, f'"odd": {EXACT}, "last_seen": 3, "=sum": "=1"')
    send(world, "cellar", 60)
    found = json.loads(typed("devices", "--json").stdout, parse_float=str)
    assert_as_described("devices", found)
    assert [item["device_id"] for item in found["items"]] == ["cellar", "roof"]
    assert (found["items"][1]["last_seen"], found["items"][1]["seconds_ago"]) == ("2026-11-22T11:59:50.000Z", 10)
    assert found["items"][1]["latest"]["sensor_data"]["odd"] == EXACT
    cellar, roof = csv.DictReader(io.StringIO(typed("devices", "--csv").stdout))
    assert roof == {
        "device_id": "roof",
        "last_seen": "2026-11-22T11:59:50.000Z",
        "temperature": "",
        "'=sum": "'=1",
        "sensor_data.last_seen": "3",
        "odd": EXACT,
    }
    assert cellar["temperature"] == "1" and cellar["odd"] == ""


def test_all_pages_are_listed(typed: Type, world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        send(world, f"device-{number}", number)
    monkeypatch.setattr(devices, "MAX_DEVICES", 2)
    listed = typed("devices", "--csv").stdout.splitlines()
    assert [line.split(",")[0] for line in listed] == ["device_id", *(f"device-{number}" for number in range(5))]
    assert len(gateway.requests) == 3


def test_none_are_told(typed: Type) -> None:
    result = typed("devices")
    assert (result.stdout, result.stderr) == ("", "no device has sent readings yet\n")
    assert json.loads(typed("devices", "--json").stdout) == {"count": 0, "items": []}
    assert typed("devices", "--csv").stdout == ""


def test_what_a_device_sends_makes_no_terminal_obey(typed: Type, world: World) -> None:
    send(world, "A", 1, json.dumps({"\x1b[31m\n\u202e": "\x9b2J\nerror: forged"})[1:-1])
    for words in ([], ["--json"], ["--csv"]):
        shown = typed("devices", *words).output
        assert not {each for each in shown if not each.isprintable()} - {"\n"}
        assert "\nerror: forged" not in shown
    assert re.search(r"\\x1b\[31m\\n\\u202e=\\x9b2J\\nerror: forged$", typed("devices").stdout, re.M)


def test_the_limit_is_that_of_the_api() -> None:
    assert devices.MAX_DEVICES == handlers_devices.MAX_LIMIT


def test_an_api_without_this_route_is_told(typed: Type, gateway: Gateway) -> None:
    gateway.faults.append(answering(403, '{"message": "Missing Authentication Token"}'))
    error = typed("devices").exception
    assert isinstance(error, IotpipeError) and "has no such route" in str(error) and "iotpipe up" in str(error)


def test_two_forms_at_once_are_refused(typed: Type, gateway: Gateway) -> None:
    result: Any = typed("devices", "--csv", "--json")
    assert isinstance(result.exception, UsageError) and not gateway.requests
