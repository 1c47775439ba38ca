"""Which readings share a row, and which never do: no reading overwrites another."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from iotpipe.handlers import ingestion
from tests.support.handlers_world import NOON, Calls, World, answered, proxy_event, reading


def stored(world: World) -> tuple[int, int]:
    return len(world.rows(world.raw)), len(world.rows(world.processed))


@pytest.mark.matrix
def test_different_readings_of_one_device_in_one_millisecond_are_all_kept(world: World) -> None:
    same_time = [reading(sensor_data={"temperature": index}) for index in range(200)]
    assert answered(world.ingest(same_time))["accepted"] == 200
    world.deliver()
    assert stored(world) == (200, 200)
    found = answered(world.query(device_id="sensor-001", limit=1000))["items"]
    assert {item["temperature"] for item in found} == set(range(200))


@pytest.mark.parametrize(
    "change",
    [
        {"reading_id": "a"},
        {"timestamp": NOON - 60_000 + Decimal("0.5")},
        {"device_id": "sensor-002"},
        {"sensor_data": {}},
        {"sensor_data": {"a": 1, "b": 2}},
        {"sensor_data": {"a": 1, "c": 2}},
        {"sensor_data": {"a": [1, 2]}},
        {"sensor_data": {"a": [12]}},
        {"sensor_data": {"a": "1"}},
        {"sensor_data": {"a": None}},
        {"sensor_data": {"a": False}},
        {"sensor_data": {"a": 0}},
        {"sensor_data": {"a": ""}},
    ],
)
def test_a_reading_that_differs_in_anything_is_another_row(world: World, change: dict[str, Any]) -> None:
    first = reading(sensor_data={"a": 1})
    other = json.loads(json.dumps(first | change, default=float))
    assert answered(world.ingest([first, other]))["accepted"] == 2
    world.deliver()
    assert stored(world) == (2, 2)


def test_the_same_reading_ten_times_is_one_row(world: World) -> None:
    for _ in range(5):
        assert world.ingest(reading())["statusCode"] == 200
    answer = answered(world.ingest([reading()] * 5))
    assert (answer["accepted"], answer["duplicates"], answer["failed"]) == (1, 4, 0)
    assert [result["status"] for result in answer["results"]] == ["accepted"] + ["duplicate"] * 4
    world.deliver()
    assert stored(world) == (1, 1)


@pytest.mark.parametrize(
    "written",
    [
        '{"sensor_data":{"t":25.5,"h":60},"timestamp":1795348740000,"device_id":"d"}',
        '{"device_id":"d","timestamp":1795348740000.0,"sensor_data":{"h":6e1,"t":25.50}}',
        '{"device_id":"d","timestamp":"2026-11-22T11:59:00Z","sensor_data":{"h":60.0,"t":2.55E+1}}',
        '{"device_id":"d","timestamp":"2026-11-22T12:59:00.000+01:00","sensor_data":{"h":60,"\\u0074":25.5}}',
    ],
)
def test_the_same_reading_written_otherwise_is_the_same_row(world: World, written: str) -> None:
    world.ingest('{"device_id":"d","timestamp":1795348740000,"sensor_data":{"h":60,"t":25.5}}')
    assert world.ingest(written)["statusCode"] == 200
    world.deliver()
    assert stored(world) == (1, 1)


UNTIMED = {"device_id": "roof", "sensor_data": {"temperature": 21.5}}


def of_request(name: str, time: int | None = NOON) -> dict[str, Any]:
    """Return API Gateway's request context."""
    return {"requestContext": {"requestId": name, "requestTimeEpoch": time}}


def test_equal_readings_without_a_time_are_one_each_also_within_one_millisecond(world: World) -> None:
    """Equal readings are common; the test's clock gives them the same time."""
    for number in range(50):
        assert world.ingest(UNTIMED, **of_request(f"r{number}"))["statusCode"] == 200
    world.deliver()
    assert stored(world) == (50, 50)


@pytest.mark.parametrize("wrap", [lambda batch: batch, lambda batch: {"readings": batch}], ids=["array", "object"])
def test_equal_readings_without_a_time_in_one_batch_are_one_each(world: World, wrap: Any) -> None:
    answer = answered(world.ingest(wrap([UNTIMED] * 5)))
    assert (answer["accepted"], answer["duplicates"], answer["failed"]) == (5, 0, 0)
    world.deliver()
    assert stored(world) == (5, 5)


def test_a_request_that_lambda_repeats_is_the_same_readings(world: World) -> None:
    for _ in range(3):
        assert world.ingest([UNTIMED] * 4, **of_request("r"))["statusCode"] == 200
        world.clock.pass_(60)
    world.deliver()
    assert stored(world) == (4, 4)
    assert {row["timestamp"]["N"].partition(".")[0] for row in world.rows(world.raw)} == {str(NOON)}


def test_an_id_that_a_client_has_chosen_does_not_make_two_requests_one(world: World) -> None:
    """A client may choose the request id by the header X-Amzn-RequestId, but not API Gateway's extended id."""
    for number in range(3):
        about = {"requestId": "mine", "extendedRequestId": f"JJbxUFzKoAMF{number}=", "requestTimeEpoch": NOON}
        assert world.ingest(UNTIMED, requestContext=about)["statusCode"] == 200
    world.deliver()
    assert stored(world) == (3, 3)


@pytest.mark.parametrize("about", [None, {}, {"requestId": None}, {"requestId": ""}, {"requestId": 5}, "text"])
def test_without_the_request_s_id_lambda_s_counts_and_without_that_none_is_like_another(
    world: World, about: Any
) -> None:
    event = proxy_event("POST", "/ingest", body=json.dumps(UNTIMED), requestContext=about)
    for _ in range(3):
        assert ingestion.lambda_handler(event, world.context())["statusCode"] == 200
    assert stored(world) == (1, 0)
    for _ in range(3):
        assert ingestion.lambda_handler(event, None)["statusCode"] == 200
    assert stored(world) == (4, 0)


@pytest.mark.parametrize("time", [None, "1795348800000", NOON / 1000, NOON // 1000, NOON + 86_400_000, True, -1])
def test_a_time_of_the_request_that_cannot_be_is_not_taken(world: World, time: Any) -> None:
    world.ingest(UNTIMED, **of_request("r", time))
    (row,) = world.rows(world.raw)
    assert row["timestamp"]["N"].partition(".")[0] == str(NOON)


def test_a_reading_keeps_the_key_that_it_has_always_had(world: World) -> None:
    """A retry after an update of the functions must get the same row."""
    world.ingest(reading(reading_id="r"))
    (row,) = world.rows(world.raw)
    assert row["timestamp"]["N"] == "1795348740000.177005269597194544"


def test_zero_and_minus_zero_are_the_same_number(world: World) -> None:
    world.ingest(reading(sensor_data={"t": 0}))
    world.ingest(reading(sensor_data={"t": -0.0}))
    assert stored(world) == (1, 0)


def test_a_message_delivered_twice_is_one_row_also_within_one_batch(world: World, calls: Calls) -> None:
    world.ingest(reading())
    (message,) = world.receive(world.queue)
    for _ in range(3):
        world.put_message(message["Body"])
    before = len(calls.made)
    assert world.deliver() == [{"batchItemFailures": []}]
    assert len(calls.made) == before + 1
    assert stored(world) == (1, 1)


def test_process_and_the_queue_give_a_reading_the_same_row(world: World) -> None:
    world.ingest([reading(index) for index in range(3)])
    world.process([reading(index) for index in range(3)])
    world.deliver()
    assert stored(world) == (3, 3)


def test_the_raw_key_is_the_millisecond_with_a_fraction_so_that_ranges_are_numeric(world: World) -> None:
    world.ingest([reading(index) for index in range(5)])
    found = answered(world.query(device_id="sensor-001", table="raw"))["items"]
    assert [int(item["timestamp"]) for item in found] == [NOON - 60_000 + index for index in range(5)]
    assert all(item["timestamp"] % 1 > 0 for item in found)


def test_both_tables_carry_the_same_hash(world: World) -> None:
    world.ingest(reading())
    world.deliver()
    (raw,), (processed,) = world.rows(world.raw), world.rows(world.processed)
    fraction = raw["timestamp"]["N"].partition(".")[2].ljust(18, "0")
    assert processed["event_date"]["S"].endswith(f"#{fraction}")
