"""Only entries that AWS's response confirms are acknowledged; no malformed response raises or counts as success."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from iotpipe.handlers import aws, processor
from tests.support.handlers_world import World, answered, reading, sqs_record

STORE, QUEUE, FIND, READ = (
    ("dynamodb", "BatchWriteItem"),
    ("sqs", "SendMessageBatch"),
    ("dynamodb", "Query"),
    ("ssm", "GetParameter"),
)
NO_ANSWERS = {
    "null": b"null",
    "array": b"[]",
    "object": b"{}",
    "empty": b"",
    "text": b'"done"',
    "number": b"17",
    "HTML": b"<html><body>502 Bad Gateway</body></html>",
    "cut off": b'{"UnprocessedItems": {}, "Items": [], "Parameter": {"Value": "{}"}, "Successful": [{"Id": "0", "Mess',
    "no UTF-8": b"\xff\xfe\x00",
    "nulls": b'{"Successful": null, "UnprocessedItems": null, "Items": null, "Parameter": null}',
    "texts": b'{"Successful": "0", "UnprocessedItems": "", "Items": "0", "Parameter": ""}',
    "arrays": b'{"Successful": [], "UnprocessedItems": [], "Items": {"0": {}}, "Parameter": []}',
    "nothing in arrays": b'{"Successful": [null], "UnprocessedItems": {"t": [null]}, "Items": [null], "Parameter": {}}',
}


class Wire:
    """Replace an operation's response with these bytes; moto still performs the request."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []
        self.asked = 0

    def answers(self, what: tuple[str, str], body: Any, *, status: int = 200) -> None:
        events, name = aws.client(what[0]).meta.events, f"before-send.{what[0]}.{what[1]}"

        def hook(request: Any, **_: Any) -> Any:
            self.asked += 1
            text = body(json.loads(request.body)) if callable(body) else body
            raw = text if isinstance(text, bytes) else json.dumps(text).encode()
            return AWSResponse(request.url, status, {}, Raw(raw))

        events.register_first(name, hook)
        self._ends.append(lambda: events.unregister(name, hook))

    def end(self) -> None:
        for end in self._ends:
            end()


class Raw:
    """A response body, with the interface that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    found = Wire()
    yield found
    found.end()


def named(asked: dict[str, Any]) -> list[dict[str, str]]:
    """Return the entries of a request to SQS, as a response names them."""
    return [{"Id": entry["Id"]} for entry in asked["Entries"]]


def records(world: World, count: int) -> list[dict[str, Any]]:
    """Return messages for the processor; the tables and the queue are empty."""
    assert world.ingest([reading(index) for index in range(count)])["statusCode"] == 200
    bodies = world.bodies(world.queue)
    message = {"ReceiptHandle": "r", "MD5OfBody": ""}
    return [sqs_record(message | {"MessageId": f"m{index}", "Body": body}) for index, body in enumerate(bodies)]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("what", [STORE, QUEUE])
def test_ingestion_acknowledges_nothing_on_an_answer_that_is_none(
    world: World, wire: Wire, what: tuple[str, str], body: bytes, status: int
) -> None:
    wire.answers(what, body, status=status)
    for sent in (reading(), [reading(index) for index in range(3)]):
        answer = world.ingest(sent)
        assert answer["statusCode"] == 503
        assert answer["headers"]["Retry-After"]
        assert {one["status"] for one in answered(answer)["results"]} == {"failed"}


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_the_processor_hands_back_what_an_answer_does_not_confirm(
    world: World, wire: Wire, body: bytes, status: int
) -> None:
    batch = records(world, 3)
    wire.answers(STORE, body, status=status)
    answer = processor.lambda_handler({"Records": batch}, world.context())
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["m0", "m1", "m2"]
    assert world.process(reading())["statusCode"] == 503


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_query_is_not_answered_with_no_rows_because_of_an_answer_that_is_none(
    world: World, wire: Wire, body: bytes
) -> None:
    wire.answers(FIND, body)
    assert world.query(device_id="d")["statusCode"] == 503


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"event_date": {}},
        {"event_date": {"N": "1"}},
        {"temperature": {}},
        {"temperature": {"N": "warm"}},
        {"temperature": {"N": "1", "S": "1"}},
        {"sensor_data": {"M": {"x": {"Q": 1}}}},
        {"sensor_data": {"L": [None]}},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_no_fault_of_the_handler(world: World, wire: Wire, change: dict[str, Any]) -> None:
    item = {"device_id": {"S": "d"}, "event_date": {"S": "2026-11-22T12:00:00.000Z#1"}} | change
    wire.answers(FIND, {"Items": [item], "Count": 1})
    assert world.query(device_id="d")["statusCode"] == (503 if change else 200)


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_parameter_that_cannot_be_read_is_as_if_ssm_were_out_of_reach(
    world: World, wire: Wire, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wire.answers(READ, body)
    assert world.ingest(reading())["statusCode"] == 200
    assert "cannot read the parameter" in caplog.text


def test_of_a_batch_only_the_messages_that_are_named_are_in_the_queue(world: World, wire: Wire) -> None:
    """Each response confirms one of three entries; the others are retried."""
    wire.answers(QUEUE, lambda asked: {"Successful": named(asked)[:1]})
    assert answered(world.ingest([reading(index) for index in range(3)]))["accepted"] == 3
    assert wire.asked == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda asked: {"Successful": []},
        lambda asked: {"Successful": [{"Id": "nine"}, {"MessageId": "m"}], "Failed": [{"Id": "ten"}, {}]},
        lambda asked: {"Successful": [{"Id": 0}, {"Id": {}}, {"Id": []}, {"Id": True}], "Failed": [{"Id": {}}]},
        lambda asked: {"Failed": [{"Id": "7", "SenderFault": True, "Code": "x"}]},
        lambda asked: {"Failed": [{"Id": "x", "SenderFault": False, "Code": None}]},
        lambda asked: {"Successful": named(asked), "Failed": [one | {"SenderFault": True} for one in named(asked)]},
    ],
)
def test_ids_that_nobody_sent_confirm_nothing(world: World, wire: Wire, change: Any) -> None:
    wire.answers(QUEUE, change)
    answer = world.ingest([reading(index) for index in range(3)])
    assert answer["statusCode"] == 503
    assert answered(answer)["failed"] == 3


@pytest.mark.parametrize(
    "left",
    [
        {"another-table": []},
        {"another-table": [{"PutRequest": {"Item": {}}}]},
        {"raw-sensor-data-test": [{"PutRequest": {"Item": {"device_id": {"S": "sensor-001"}}}}]},
        {"raw-sensor-data-test": [{"DeleteRequest": {"Key": {}}}]},
        {"raw-sensor-data-test": [{}]},
    ],
)
def test_unprocessed_items_that_nobody_sent_confirm_nothing(world: World, wire: Wire, left: Any) -> None:
    wire.answers(STORE, {"UnprocessedItems": left})
    assert world.ingest(reading())["statusCode"] == 503


@pytest.mark.parametrize("what", [STORE, QUEUE])
def test_an_error_without_a_code_is_an_error(world: World, wire: Wire, what: tuple[str, str]) -> None:
    """Its reason was empty, and a failure without a reason counted as success."""
    wire.answers(what, b'{"__type": ""}', status=400)
    answer = world.ingest([reading(0), reading(1)])
    assert (answer["statusCode"], answered(answer)["failed"]) == (503, 2)
    assert all(one["reason"] for one in answered(answer)["results"])


def test_a_failed_entry_without_a_code_is_a_failure(world: World, wire: Wire) -> None:
    wire.answers(QUEUE, {"Failed": [{"Id": "0", "SenderFault": True, "Code": ""}]})
    assert world.ingest(reading())["statusCode"] == 503


@pytest.mark.parametrize(
    "body", [b"<PublishResponse/>", b"<html/>", b"null", b"", b"<PublishResponse><PublishResult/></PublishResponse>"]
)
def test_an_alert_that_is_not_confirmed_takes_no_stored_reading_back(world: World, wire: Wire, body: bytes) -> None:
    wire.answers(("sns", "Publish"), body)
    batch = records(world, 2)
    poison = [one | {"messageId": f"p{index}", "body": "null"} for index, one in enumerate(batch * 3)]
    answer = processor.lambda_handler({"Records": batch + poison}, world.context())
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == [f"p{index}" for index in range(6)]
    sent = len(world.alerts())
    wire.end()
    processor.lambda_handler({"Records": poison}, world.context())
    assert len(world.alerts()) == sent == 1


def test_an_answer_that_is_lost_once_costs_one_more_call_and_no_reading(world: World, wire: Wire) -> None:
    bodies = [b"null", b'{"UnprocessedItems": {}}']
    wire.answers(STORE, lambda _: bodies.pop(0))
    assert world.ingest(reading())["statusCode"] == 200
    assert wire.asked == 2
    assert len(world.rows(world.raw)) == len(world.bodies(world.queue)) == 1
