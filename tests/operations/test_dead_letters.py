"""What is seen of the dead letters, and that seeing them changes nothing for anybody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from iotpipe.errors import RefusedError, ResourceError
from iotpipe.handlers import processed_row
from iotpipe.operations.dead_letters import Letter, peek
from iotpipe.render.dead_letters import letter_text, letters_data, summary
from tests.support.dead_letter_world import Queues, body
from tests.support.engine_world import World, refusal


@pytest.fixture
def queues(world: World) -> Queues:
    return Queues(world)


def letter(text: str, **attributes: str) -> Letter:
    return Letter("id", 0, 4, text, attributes)


def test_every_message_is_seen_once_and_is_there_for_others_at_once(queues: Queues) -> None:
    ids = queues.put(*(body(reading_id=f"r{number}") for number in range(25)))
    seen = peek(queues.dead, queues.target, 100)
    assert sorted(each.message_id for each in seen.letters) == sorted(ids)
    assert (seen.approximate_total, seen.hidden) == (25, 0)
    assert sorted(each["MessageId"] for each in queues.visible(queues.dead)) == sorted(ids)
    assert "DeleteMessage" not in "".join(queues.world.calls)


def test_no_more_is_touched_than_asked_for_and_the_rest_is_counted(queues: Queues) -> None:
    queues.put(*(body(reading_id=f"r{number}") for number in range(25)))
    seen = peek(queues.dead, queues.target, 12)
    assert (len(seen.letters), seen.approximate_total) == (12, 25)
    receives = [int(each["Attributes"]["ApproximateReceiveCount"]) for each in queues.visible(queues.dead)]
    assert sorted(receives) == [1] * 13 + [2] * 12


def test_a_message_that_comes_twice_is_seen_once_and_made_visible_by_its_last_handle(queues: Queues) -> None:
    queues.put("first", "second")
    queues.hide_nothing()
    shown = []
    queues.answers("ChangeMessageVisibilityBatch", lambda request: shown.extend(request["Entries"]) or {})
    handles = []
    queues.run.client("sqs").meta.events.register(
        "after-call.sqs.ReceiveMessage", lambda parsed, **call: handles.extend(parsed["Messages"])
    )
    assert sorted(each.body for each in peek(queues.dead, queues.target, 100).letters) == ["first", "second"]
    last = {each["MessageId"]: each["ReceiptHandle"] for each in handles}
    assert len(handles) > len(last) == 2
    assert sorted(each["ReceiptHandle"] for each in shown) == sorted(last.values())


def test_an_attribute_that_is_no_text_is_left_out_and_stops_nobody(queues: Queues) -> None:
    raw = {"raw": {"DataType": "Binary", "BinaryValue": b"\xff"}}
    queues.sqs.send_message(QueueUrl=queues.urls["iot-dlq-dev"], MessageBody="text", MessageAttributes=raw)
    (seen,) = peek(queues.dead, queues.target, 10).letters
    assert (seen.body, seen.attributes) == ("text", {})


def test_what_is_known_of_a_message_is_told(queues: Queues) -> None:
    queues.put(body(), correlation_id="abc-1")
    (seen,) = peek(queues.dead, queues.target, 10).letters
    assert (seen.device_id, seen.correlation_id, seen.receives) == ("sensor-1", "abc-1", None)
    assert abs(seen.sent - queues.run.clock.now() * 1000) < 600_000


def test_looks_are_not_counted_among_the_receives_of_the_processor(queues: Queues) -> None:
    policy = json.dumps({"deadLetterTargetArn": queues.dead.arn, "maxReceiveCount": 3})
    queues.sqs.set_queue_attributes(QueueUrl=queues.urls[queues.target.name], Attributes={"RedrivePolicy": policy})

    # moto does not say where a message came from.
    def moved(parsed: dict[str, Any], **call: Any) -> None:
        for number, message in enumerate(parsed.get("Messages", [])):
            message["Attributes"]["ApproximateReceiveCount"] = str(3 + 40 * number)
            message["Attributes"]["DeadLetterQueueSourceArn"] = queues.target.arn

    queues.run.client("sqs").meta.events.register("after-call.sqs.ReceiveMessage", moved)
    queues.put("first", "second")
    seen = peek(queues.dead, queues.target, 10)
    assert [each.receives for each in seen.letters] == [3, 3]
    assert all("received 3 times" in letter_text(each, seen).plain for each in seen.letters)


def test_a_message_that_did_not_come_from_the_processors_queue_tells_no_receives(queues: Queues) -> None:
    queues.put("first")
    for _ in range(3):
        seen = peek(queues.dead, queues.target, 10)
    assert "received" not in letter_text(seen.letters[0], seen).plain


def test_what_a_processor_that_does_not_start_could_not_take_is_not_said_to_be_right(queues: Queues) -> None:
    queues.put(body(), "not JSON")
    seen = peek(queues.dead, queues.target, 10)
    assert sorted(str(seen.reason(each)) for each in seen.letters) == [
        "None",
        "not JSON: Expecting value at character 0",
    ]
    assert any("1 can be processed if redriven" in line for line in summary("q", seen))
    seen = replace(seen, startup_failure="No module named 'x'")
    assert [each["reason"] for each in letters_data("q", seen)["messages"] if each["device_id"]] == [
        "the processor does not start: No module named 'x'"
    ]
    assert not any("would be processed" in line for line in summary("q", seen))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not JSON", "not JSON: Expecting value at character 0"),
        ('{"version', "not JSON: Unterminated string starting at character 1"),
        ("{}", "not a message from ingestion"),
        (body(sensor_data={"temperature": "hot"}), "sensor_data.temperature: number required"),
        (body(device_id="no spaces, please"), "device_id: 1 to 128 of A-Z a-z 0-9 . _ : / # - required"),
        (body(timestamp="soon"), "timestamp: epoch milliseconds required"),
        (body(event_date="2026-01-15"), "event_date: not a key of the processed table for this timestamp"),
        ("[" * 100_000, "nested deeper than 16 levels"),
    ],
)
def test_the_reason_is_what_the_processor_would_say(text: str, why: str) -> None:
    assert letter(text).permanent_error() == why


def test_a_message_that_the_processor_fails_on_is_not_taken_for_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise KeyError("metric")

    monkeypatch.setattr(processed_row, "processed", fail)
    assert letter(body()).permanent_error() == "the processor cannot work with it: KeyError"


def test_what_the_processor_would_take_now_has_no_flaw() -> None:
    assert letter(body()).permanent_error() is None


def test_what_lambda_put_there_tells_lambdas_reason() -> None:
    failed = letter(json.dumps({"any": "event"}), RequestID="1", ErrorCode="200", ErrorMessage="KeyError: 'x'")
    assert failed.permanent_error() == "a function was called with this and failed: KeyError: 'x'"


@pytest.mark.parametrize("text", ["[1]", '{"device_id": 7}', "", "[" * 100_000])
def test_a_device_that_cannot_be_read_is_none(text: str) -> None:
    assert letter(text).device_id is None


def test_messages_that_cannot_be_shown_again_are_counted_and_what_was_found_is_told(queues: Queues) -> None:
    queues.put(*(body(reading_id=f"r{number}") for number in range(12)))
    denied = refusal(
        "ChangeMessageVisibilityBatch",
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: sqs:changemessagevisibility on "
        "resource: arn:aws:sqs:us-east-1:123456789012:iot-dlq-dev because no identity-based policy allows the "
        "sqs:changemessagevisibility action",
    )
    queues.world.before = lambda operation, params: denied if operation.startswith("Change") else None
    seen = peek(queues.dead, queues.target, 100)
    assert (len(seen.letters), seen.hidden, seen.visibility_timeout) == (12, 12, 40)


def test_an_error_in_the_middle_hides_nothing(queues: Queues) -> None:
    queues.put(*(f"{number}" for number in range(15)))
    answers = iter([None, refusal("ReceiveMessage", "AccessDenied", "not authorized to perform: sqs:receivemessage")])
    queues.world.before = lambda operation, params: next(answers) if operation == "ReceiveMessage" else None
    with pytest.raises(ResourceError, match="cannot receive from queue/iot-dlq-dev: AccessDenied"):
        peek(queues.dead, queues.target, 100)
    queues.world.before = None
    assert len(queues.visible(queues.dead)) == 15


def test_a_queue_that_is_not_there_says_what_to_do(queues: Queues) -> None:
    queues.sqs.delete_queue(QueueUrl=queues.urls["iot-dlq-dev"])
    with pytest.raises(ResourceError, match="there is no queue iot-dlq-dev") as caught:
        peek(queues.dead, queues.target, 10)
    assert "iotpipe up --env dev" in caught.value.hint


def test_where_looking_would_move_messages_on_nothing_is_looked_at(queues: Queues) -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:iot-ingestion-queue-dev"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    queues.sqs.set_queue_attributes(QueueUrl=queues.urls["iot-dlq-dev"], Attributes={"RedrivePolicy": policy})
    with pytest.raises(RefusedError, match="redrive policy of its own"):
        peek(queues.dead, queues.target, 10)
    assert "ReceiveMessage" not in queues.world.calls
