"""The processor's batches from the queue: poison messages, timeouts and alerts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from iotpipe.handlers import processed_row, processor, queue_message
from tests.support.handlers_world import Calls, World, all_stored, failure, reading, sqs_record, success


def record(body: str, message_id: str) -> dict[str, Any]:
    message = {"MessageId": message_id, "ReceiptHandle": "r", "Body": body, "MD5OfBody": ""}
    return sqs_record(message)


def good(world: World, count: int) -> list[str]:
    """Return message bodies as ingestion writes them."""
    assert world.ingest([reading(index) for index in range(count)])["statusCode"] == 200
    return world.bodies(world.queue)


def batch(*bodies: str) -> dict[str, Any]:
    return {"Records": [record(body, f"m{index}") for index, body in enumerate(bodies)]}


def failed(answer: dict[str, Any]) -> list[str]:
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def changed(body: str, **changes: Any) -> str:
    document = json.loads(body) | changes
    return json.dumps({name: value for name, value in document.items() if value != "absent"})


def poison(body: str) -> list[str]:
    """Return messages that ingestion never writes, each made from a valid one."""
    return [
        "not JSON",
        "null",
        "[]",
        '"text"',
        "17",
        "{}",
        "[" * 100_000,
        '{"device_id": "d"}',
        '{"Message": "from a topic", "Type": "Notification"}',
        json.dumps(reading()),
        changed(body, device_id="absent"),
        changed(body, device_id=""),
        changed(body, device_id=None),
        changed(body, device_id={"S": "d"}),
        changed(body, version=2),
        changed(body, version="absent"),
        changed(body, version=True),
        changed(body, version="1"),
        changed(body, event_date="absent"),
        changed(body, event_date=""),
        changed(body, event_date="2026-11-22"),
        changed(body, event_date=json.loads(body)["event_date"].replace("2026-11", "2026-13")),
        changed(body, event_date=json.loads(body)["event_date"].replace("2026-11", "2026-12")),
        changed(body, event_date=json.loads(body)["event_date"] + "0"),
        changed(body, timestamp=json.loads(body)["timestamp"] + 1),
        changed(body, timestamp="2026-11-22T12:00:00Z"),
        changed(body, timestamp=1.5),
        changed(body, timestamp=-1),
        changed(body, timestamp=10**15),
        changed(body, timestamp=10**30 + 1),
        changed(body, timestamp=True),
        changed(body, received_at="absent"),
        changed(body, received_at=5),
        changed(body, received_at="yesterday"),
        changed(body, reading_id=5),
        changed(body, sensor_data=[]),
        changed(body, sensor_data="absent"),
        changed(body, sensor_data={"temperature": "25.5"}),
        changed(body, sensor_data={"temperature": True}),
        changed(body, sensor_data={"": 1}),
        body.replace("25.5", "NaN"),
        body.replace("25.5", "1" * 39),
        body.replace("25.5", "25.5, " + '"temperature": 1'),
        body.replace("25.5", "6E125"),
        body[:-1],
    ]


@pytest.mark.matrix
def test_only_poison_goes_to_the_dead_letter_queue_and_with_its_body_intact(world: World) -> None:
    bodies = good(world, 12)
    bad = poison(bodies[0])
    mixed = [body for pair in zip(bad, bodies * 4, strict=False) for body in pair]
    for body in mixed:
        world.put_message(body)
    world.deliver()
    assert sorted(world.bodies(world.dead)) == sorted(bad)
    assert len(world.rows(world.processed)) == 12


def test_each_kind_of_poison_fails_alone(world: World, calls: Calls) -> None:
    (body,) = good(world, 1)
    for bad in poison(body):
        answer = processor.lambda_handler(batch(bad, body), world.context())
        assert failed(answer) == ["m0"], bad[:80]


@pytest.mark.parametrize("body", [None, 5, {"device_id": "d"}])
def test_a_record_whose_body_is_no_text_goes_back(world: World, body: Any) -> None:
    event = batch("null")
    event["Records"][0]["body"] = body
    assert failed(processor.lambda_handler(event, world.context())) == ["m0"]


def test_a_message_that_trips_over_a_mistake_of_ours_goes_back_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = processed_row.processed

    def mistaken(message: Any, now: str) -> Any:
        return 1 / 0 if message.timestamp % 2 else original(message, now)

    monkeypatch.setattr(processed_row, "processed", mistaken)
    answer = processor.lambda_handler(batch(*good(world, 4)), world.context())
    assert len(failed(answer)) == 2
    assert len(world.rows(world.processed)) == 2
    assert "ZeroDivisionError in mistaken" in capsys.readouterr().out


def test_a_row_that_dynamodb_refuses_goes_back_alone(world: World, calls: Calls) -> None:
    bodies = good(world, 10)

    def refuse_one(request: dict[str, Any]) -> Any:
        items = [one["PutRequest"]["Item"] for one in request["RequestItems"][world.processed]]
        return failure("ValidationException") if any(one["timestamp"]["N"].endswith("3") for one in items) else None

    calls.answer("BatchWriteItem", refuse_one)
    answer = processor.lambda_handler(batch(*bodies), world.context())
    (name,) = failed(answer)
    assert json.loads(bodies[int(name[1:])])["timestamp"] % 10 == 3
    assert len(world.rows(world.processed)) == 9


def test_what_is_throttled_to_the_end_goes_back_whole(world: World, calls: Calls) -> None:
    bodies = good(world, 10)
    calls.answer("BatchWriteItem", lambda request: success(UnprocessedItems=request["RequestItems"]))
    answer = processor.lambda_handler(batch(*bodies), world.context())
    assert failed(answer) == [f"m{index}" for index in range(10)]


def test_both_messages_of_one_reading_go_back_if_it_is_not_stored(world: World, calls: Calls) -> None:
    (body,) = good(world, 1)
    calls.answer("BatchWriteItem", lambda _: failure("AccessDeniedException"))
    assert failed(processor.lambda_handler(batch(body, body), world.context())) == ["m0", "m1"]


def test_when_time_runs_short_the_rest_goes_back_unharmed_and_is_no_failure(
    world: World, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    world.configure(batch_size=10)
    bodies = good(world, 60)

    def slowly(_: Any) -> Any:
        world.clock.pass_(5)

    calls.answer("BatchWriteItem", slowly)
    begun = world.clock.elapsed()
    answer = processor.lambda_handler(batch(*bodies), world.context(30))
    assert failed(answer) == [f"m{index}" for index in range(50, 60)]
    assert world.clock.elapsed() - begun < 30
    assert len(world.rows(world.processed)) == 50
    assert world.alerts() == []
    assert "alert" not in caplog.text


@pytest.mark.matrix
def test_a_large_batch_is_worked_off_part_by_part(world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parsed message takes twenty times its length in memory: 6 MB at once would end the worker."""
    calls.answer("BatchWriteItem", all_stored)
    (body,) = good(world, 1)
    large = [changed(body, device_id=f"d{index}", sensor_data={"list": [1] * 45_000}) for index in range(12)]
    parsed: list[int] = []
    understand = queue_message.read

    def read(text: Any) -> Any:
        parsed.append(len(calls.of("BatchWriteItem")))
        return understand(text)

    monkeypatch.setattr(queue_message, "read", read)
    assert failed(processor.lambda_handler(batch(*large), world.context())) == []
    most = max(Counter(parsed).values())
    assert most * len(large[0]) <= 1_000_000
    assert len(Counter(parsed)) == 2


def test_the_handler_s_own_time_counts_where_lambda_gives_more(world: World, calls: Calls) -> None:
    world.configure(batch_size=10, processing_timeout=16)
    bodies = good(world, 60)
    calls.answer("BatchWriteItem", lambda _: world.clock.pass_(5))
    answer = processor.lambda_handler(batch(*bodies), world.context(900))
    assert len(failed(answer)) == 40


def test_even_a_short_timeout_leaves_time_for_work(world: World) -> None:
    (body,) = good(world, 1)
    assert failed(processor.lambda_handler(batch(body), world.context(1))) == []


def bad_batch(count: int) -> dict[str, Any]:
    return batch(*["null"] * count)


def test_more_failures_than_the_threshold_raise_one_alert_per_cool_down(world: World) -> None:
    processor.lambda_handler(bad_batch(5), world.context())
    assert world.alerts() == []
    processor.lambda_handler(bad_batch(6), world.context())
    (alert,) = world.alerts()
    assert (alert["environment"], alert["failed"], alert["records"]) == ("test", 6, 6)
    assert sorted(alert["message_ids"]) == [f"m{index}" for index in range(6)]
    assert sum(one["count"] for one in alert["reasons"]) == 6
    world.clock.pass_(899)
    processor.lambda_handler(bad_batch(10), world.context())
    assert world.alerts() == []
    world.clock.pass_(2)
    processor.lambda_handler(bad_batch(10), world.context())
    assert len(world.alerts()) == 1


def test_threshold_and_cool_down_are_those_of_the_configuration(world: World) -> None:
    world.configure(alert_threshold=0, alert_cooldown=0)
    for _ in range(2):
        processor.lambda_handler(bad_batch(1), world.context())
    assert len(world.alerts()) == 2


def test_an_alert_that_cannot_be_sent_changes_nothing_and_is_tried_with_the_next_batch(
    world: World, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = good(world, 2)
    calls.answer("Publish", lambda _: failure("AuthorizationError", 403))
    answer = processor.lambda_handler(batch(*["null"] * 6, *bodies), world.context())
    assert failed(answer) == [f"m{index}" for index in range(6)]
    assert "cannot publish an alert of 6 failures" in caplog.text
    assert len(world.rows(world.processed)) == 2
    calls.let_through("Publish")
    processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 1


def test_no_alert_is_begun_when_the_time_is_over(world: World, calls: Calls, caplog: pytest.LogCaptureFixture) -> None:
    bodies = good(world, 6)

    def too_slow(_: Any) -> Any:
        world.clock.pass_(53)
        return failure("AccessDeniedException")

    calls.answer("BatchWriteItem", too_slow)
    assert len(failed(processor.lambda_handler(batch(*bodies), world.context()))) == 6
    assert "Publish" not in calls.names()
    assert "no time left" in caplog.text


def test_an_alert_never_quotes_a_message(world: World, calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    secret = '{"device_id": "s3cr3t", "version": 1, "sensor_data": {"s3cr3t": 1}}'
    processor.lambda_handler(batch(*[secret] * 6, *['"s3cr3t'] * 6), world.context())
    assert "s3cr3t" not in json.dumps(world.alerts())
    assert "s3cr3t" not in capsys.readouterr().out


@pytest.mark.matrix
def test_all_workers_together_send_one_alert_per_cool_down(world: World, worker: Callable[[], None]) -> None:
    for _ in range(100):
        worker()
        processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 1
    world.clock.pass_(901)
    for _ in range(10):
        worker()
        processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 1


def test_a_worker_that_knows_of_an_alert_asks_the_table_no_more(
    world: World, calls: Calls, worker: Callable[[], None]
) -> None:
    processor.lambda_handler(bad_batch(6), world.context())
    world.clock.pass_(500)
    worker()
    for _ in range(5):
        processor.lambda_handler(bad_batch(6), world.context())
    assert len(calls.of("PutItem")) == 2
    world.clock.pass_(401)
    processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 2


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ThrottlingException"])
def test_where_the_table_cannot_tell_each_worker_keeps_its_own_peace(
    world: World, calls: Calls, worker: Callable[[], None], code: str
) -> None:
    """As during IAM's propagation of the permission: two alerts are better than none."""
    calls.answer("PutItem", lambda _: failure(code))
    for _ in range(2):
        worker()
        for _ in range(3):
            processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 2


def test_an_alert_that_one_worker_could_not_send_is_left_to_any_other(
    world: World, calls: Calls, worker: Callable[[], None]
) -> None:
    calls.answer("Publish", lambda _: failure("AuthorizationError", 403))
    processor.lambda_handler(bad_batch(6), world.context())
    calls.let_through("Publish")
    worker()
    processor.lambda_handler(bad_batch(6), world.context())
    assert len(world.alerts()) == 1


def test_the_row_of_the_last_alert_is_no_device_s_and_no_query_shows_it(world: World) -> None:
    processor.lambda_handler(bad_batch(6), world.context())
    row = world.last_alert()
    name = row["device_id"]["S"]
    assert set(row) == {"device_id", "event_date", "alerted_at"}
    for table in ("processed", "raw"):
        assert world.query(device_id=name, table=table)["statusCode"] == 400
    assert world.ingest(reading(device_id=name))["statusCode"] == 400
    assert world.process(reading(device_id=name))["statusCode"] == 400
    (body,) = good(world, 1)
    assert failed(processor.lambda_handler(batch(changed(body, device_id=name)), world.context())) == ["m0"]
