"""The defects by which the pipeline that iotpipe replaces lost or changed data do not occur here."""

from __future__ import annotations

import time

import pytest

from iotpipe.handlers import ingestion
from tests.support.handlers_world import NOON, TODAY, Calls, World, answered, failure, proxy_event, reading

DAY = 86_400_000


def test_the_day_s_readings_of_a_device_do_not_overwrite_each_other(world: World) -> None:
    world.ingest([reading(index * 1000) for index in range(20)])
    world.deliver()
    assert len(world.rows(world.processed)) == 20


def test_event_date_is_the_day_of_the_reading_not_of_its_processing(world: World) -> None:
    world.ingest(reading(timestamp=NOON - 3 * DAY))
    world.deliver()
    assert answered(world.query(device_id="sensor-001", event_date="2026-11-19"))["count"] == 1
    assert answered(world.query(device_id="sensor-001", event_date=TODAY))["count"] == 0


def test_a_decimal_is_neither_refused_nor_an_error(world: World) -> None:
    assert world.ingest(reading(sensor_data={"temperature": 25.5}))["statusCode"] == 200
    assert world.deliver() == [{"batchItemFailures": []}]


def test_what_could_not_be_stored_is_not_acknowledged_and_ends_in_the_dead_letter_queue(
    world: World, calls: Calls
) -> None:
    world.ingest(reading())
    calls.answer("BatchWriteItem", lambda _: failure("AccessDeniedException"))
    answers = world.deliver()
    assert [len(answer["batchItemFailures"]) for answer in answers] == [1, 1, 1]
    assert len(world.bodies(world.dead)) == 1


@pytest.mark.parametrize("body", [None, "", "   ", "not JSON", "{", "null", "[]", "17", '"text"', "true"])
def test_a_missing_or_malformed_body_is_the_client_s_error(world: World, body: str | None) -> None:
    assert world.ingest(body)["statusCode"] == 400
    assert world.process(body)["statusCode"] == 400


def test_a_query_without_any_parameters_is_the_client_s_error(world: World) -> None:
    assert world.query()["statusCode"] == 400


def test_post_process_is_answered_and_raises_no_alert(world: World) -> None:
    assert world.process([reading(index) for index in range(10)])["statusCode"] == 200
    assert world.process("{}")["statusCode"] == 400
    assert world.alerts() == []


def test_an_answer_has_numbers_not_texts(world: World) -> None:
    world.process(reading(sensor_data={"temperature": 0, "level": 7}))
    body = world.query(device_id="sensor-001")["body"]
    assert '"temperature":0,' in body
    assert '"level":7' in body


def test_more_rows_than_fit_one_answer_are_announced_by_a_token(world: World) -> None:
    world.process([reading(index) for index in range(120)])
    body = answered(world.query(device_id="sensor-001"))
    assert body["count"] == 100
    assert "next_token" in body


def test_the_device_s_own_time_is_kept_and_two_readings_of_one_millisecond_are_two(world: World) -> None:
    world.ingest(reading(sensor_data={"temperature": 1}))
    world.ingest(reading(sensor_data={"temperature": 2}))
    rows = world.rows(world.raw)
    assert len(rows) == 2
    assert {row["timestamp"]["N"].partition(".")[0] for row in rows} == {str(NOON - 60_000)}


def test_stored_but_not_queued_is_no_success_and_the_repetition_makes_it_one(world: World, calls: Calls) -> None:
    calls.answer("SendMessageBatch", lambda _: failure("AccessDenied"))
    refused = world.ingest(reading())
    assert refused["statusCode"] == 503
    assert answered(refused)["results"][0]["status"] == "failed"
    calls.let_through("SendMessageBatch")
    assert world.ingest(reading())["statusCode"] == 200
    world.deliver()
    assert len(world.rows(world.raw)) == len(world.rows(world.processed)) == 1


def test_keys_do_not_depend_on_the_time_zone_of_the_machine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        world.ingest(reading(timestamp=f"{TODAY}T00:30:00Z"))
        world.deliver()
    finally:
        monkeypatch.undo()
        time.tzset()
    (row,) = world.rows(world.processed)
    assert row["event_date"]["S"].startswith(f"{TODAY}T00:30:00.000Z#")
    (raw,) = world.rows(world.raw)
    assert raw["timestamp"]["N"].startswith(str(NOON - 11 * 3_600_000 - 1_800_000))


def test_the_handlers_do_without_a_lambda_context(world: World) -> None:
    event = proxy_event("POST", "/ingest", body='{"device_id": "d", "sensor_data": {}}')
    assert ingestion.lambda_handler(event, None)["statusCode"] == 200
