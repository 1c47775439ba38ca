"""One JSON line per invocation, which CloudWatch reads as metrics and which quotes no data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotpipe.handlers import processor, query, telemetry
from tests.support.handlers_world import NOON, Calls, Context, World, failure, proxy_event, reading, sqs_record


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the lines written since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def metrics(line: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that CloudWatch extracts from a line in embedded metric format."""
    about = line["_aws"]
    assert abs(about["Timestamp"] - NOON) < 86_400_000
    (directive,) = about["CloudWatchMetrics"]
    assert directive["Namespace"] == "iotpipe"
    assert directive["Dimensions"] == [["environment", "function"]]
    assert (line["environment"], line["function"]) in [("test", one) for one in ("ingestion", "processor", "query")]
    return {one["Name"]: (line[one["Name"]], one["Unit"]) for one in directive["Metrics"]}


def test_an_ingestion_counts_what_became_of_its_readings(world: World, lines: Any) -> None:
    world.ingest([reading(0), reading(1), reading(0)])
    (line,) = lines()
    assert {name: value for name, (value, _) in metrics(line).items() if name != "cold_starts"} == {
        "accepted": 2,
        "duplicates": 1,
        "failed": 0,
        "rejected": 0,
    }
    assert line["route"] == "/ingest"
    assert line["status"] == 200
    assert line["request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert line["lambda_request_id"] == Context.aws_request_id
    assert line["milliseconds"] >= 0


def test_a_refusal_is_counted_and_its_reasons_named(world: World, lines: Any) -> None:
    world.ingest('{"device_id": 5, "sensor_data": []}')
    world.ingest(None)
    first, second = lines()
    assert metrics(first)["rejected"] == (1, "Count")
    assert (first["status"], first["reasons"], second["reasons"]) == (400, ["type"], ["required"])


def test_a_batch_tells_the_lag_and_the_wait_of_each_row_and_what_went_back(world: World, lines: Any) -> None:
    world.ingest([reading(), reading(30_000)])
    world.clock.pass_(2)
    world.put_message("null")
    messages = world.receive(world.queue)
    lines()
    processor.lambda_handler({"Records": [sqs_record(message) for message in messages]}, world.context())
    (line,) = lines()
    found = metrics(line)
    assert (found["processed"][0], found["failed"][0]) == (2, 1)
    assert found["lag"][1] == "Milliseconds"
    assert sorted(found["lag"][0]) == [32_000, 62_000]
    assert found["wait"] == ([2000, 2000], "Milliseconds")
    assert line["route"] == "queue"
    assert line["reasons"] == {"not a message from ingestion": 1}
    assert line["milliseconds"] == 0


def test_a_large_batch_has_no_more_values_than_cloudwatch_takes(world: World, lines: Any) -> None:
    world.ingest([reading(index) for index in range(120)])
    records = [
        sqs_record({"MessageId": str(index), "ReceiptHandle": "r", "Body": body, "MD5OfBody": ""})
        for index, body in enumerate(world.bodies(world.queue))
    ]
    lines()
    processor.lambda_handler({"Records": records}, world.context())
    (line,) = lines()
    assert len(line["lag"]) == len(line["wait"]) == 100
    assert line["processed"] == 120


def test_a_batch_of_which_nothing_was_stored_has_neither_lag_nor_wait(world: World, lines: Any) -> None:
    record = sqs_record({"MessageId": "m", "ReceiptHandle": "r", "Body": "null", "MD5OfBody": ""})
    processor.lambda_handler({"Records": [record]}, world.context())
    (line,) = lines()
    assert not {"lag", "wait"} & metrics(line).keys()


def test_only_the_first_invocation_is_a_cold_start(world: World, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_cold", True)
    for _ in range(3):
        world.query(device_id="d")
    assert [metrics(line)["cold_starts"][0] for line in lines()] == [1, 0, 0]


def test_a_mistake_of_ours_is_raised_and_still_leaves_its_line(
    world: World, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROCESSED_TABLE_NAME")
    with pytest.raises(KeyError):
        world.query(device_id="d")
    (line,) = lines()
    assert "status" not in line


def test_neither_bodies_nor_what_aws_quotes_of_them_are_logged(
    world: World, calls: Calls, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = reading(device_id="s3cr3t", sensor_data={"s3cr3t": "s3cr3t"})
    world.ingest(secret)
    world.ingest(secret | {"s3cr3t": 1})
    world.process('{"s3cr3t": ')
    calls.answer("BatchWriteItem", lambda _: failure("ValidationException", message="the value s3cr3t is not allowed"))
    world.process(secret)
    captured = capsys.readouterr()
    assert "s3cr3t" not in captured.out + captured.err + caplog.text
    assert "ValidationException" in caplog.text


def test_aws_s_own_words_are_logged_on_one_line(world: World, calls: Calls, caplog: pytest.LogCaptureFixture) -> None:
    words = "User: x is not authorized\nto perform: dynamodb:BatchWriteItem"
    calls.answer("BatchWriteItem", lambda _: failure("AccessDeniedException", message=words))
    world.process(reading())
    assert "not authorized to perform: dynamodb:BatchWriteItem" in caplog.text


def test_a_context_of_another_kind_does_no_harm(world: World, lines: Any) -> None:
    class Odd:
        aws_request_id = 17

        def get_remaining_time_in_millis(self) -> str:
            return "soon"

    event = proxy_event("GET", "/query", queryStringParameters={"device_id": "d"}, requestContext=None)
    assert query.lambda_handler(event, Odd())["statusCode"] == 200
    (line,) = lines()
    assert line["request_id"] == "unknown"
