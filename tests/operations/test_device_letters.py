"""Dead letters of what devices published: how each form is shown, and where a redrive sends it."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from iotpipe.handlers import device_message, refused_message
from iotpipe.handlers.refused_message import Refusal
from iotpipe.handlers.web import detail
from iotpipe.operations.dead_letters import Letter, peek
from iotpipe.operations.queue_client import QueueClient
from iotpipe.operations.redrive import redrive
from iotpipe.render.dead_letters import letter_text, letters_data
from tests.support.dead_letter_world import MoveTasks, Queues, body
from tests.support.device_messages import TRACE, published
from tests.support.engine_world import World

SENT = 1_795_348_805_000
READING = '{"sensor_data": {"temperature": 21.5}}'
PUBLISHED = published(READING)
TYPE = detail("sensor_data.temperature", "type", "number required")


def refused(text: str = PUBLISHED, *problems: dict[str, Any]) -> str:
    """The dead letter that ingestion writes."""
    refusal = Refusal([3])
    refusal.add(problems or [TYPE | {"index": 3}])
    return refused_message.write(refusal, device_message.read(text), text)


def not_from_rule(text: str) -> str:
    refusal = Refusal()
    refusal.add([detail("message", "rule", "not a message of the topic rule: not JSON")])
    return refused_message.write(refusal, None, text)


def not_queued(payload: bytes = READING.encode(), **changes: Any) -> str:
    """AWS IoT's record of a rule action that failed."""
    record = {
        "ruleName": "iotpipe_test",
        "topic": "iotpipe/test/test:roof/readings",
        "cloudwatchTraceId": TRACE.format(7),
        "clientId": "test:roof",
        "sourceIp": "203.0.113.7",
        "base64OriginalPayload": base64.b64encode(payload).decode(),
        "failures": [
            {
                "failedAction": "SqsAction",
                "failedResource": "iot-device-queue-test",
                "errorMessage": "Access to the resource is denied",
            }
        ],
    }
    return json.dumps(record | changes)


def letter(text: str) -> Letter:
    return Letter("id", SENT, None, text, {})


@pytest.fixture
def queues(world: World) -> Queues:
    return Queues(world)


@pytest.fixture
def devices(queues: Queues) -> QueueClient:
    return queues.add("iot-device-queue-dev")


# What is seen


def test_of_a_refused_message_the_device_the_reasons_and_the_payload_are_shown() -> None:
    problems = [TYPE | {"index": 3}, detail("colour", "unknown", "not a field of a reading", 4), TYPE, TYPE, TYPE]
    seen = letter(refused(PUBLISHED, *problems))
    assert (seen.device_id, seen.correlation_id, seen.payload) == ("roof", TRACE.format(0), READING)
    assert seen.permanent_error() == (
        "reading 3: sensor_data.temperature: number required; reading 4: colour: not a field of a reading; "
        "sensor_data.temperature: number required; and 2 more"
    )


@pytest.mark.parametrize("text", [PUBLISHED, published(gzip.compress(READING.encode()))], ids=["plain", "gzip"])
def test_a_message_of_the_device_queue_is_shown_as_it_was_published(text: str) -> None:
    seen = letter(text)
    assert (seen.device_id, seen.correlation_id, seen.payload) == ("roof", TRACE.format(0), READING)
    assert (seen.permanent_error(), seen.failure, seen.retried_by) == (None, None, "ingestion")


def test_of_a_message_that_aws_iot_could_not_queue_its_reason_is_shown() -> None:
    seen = letter(not_queued())
    assert (seen.device_id, seen.correlation_id, seen.payload) == ("roof", TRACE.format(7), READING)
    assert seen.permanent_error() is None
    assert seen.failure == "SqsAction iot-device-queue-test: Access to the resource is denied"


def test_bytes_that_are_no_text_are_said_to_fail_again() -> None:
    for text in (published(b"\xff\xfe"), not_queued(b"\xff\xfe")):
        seen = letter(text)
        assert seen.payload is None
        assert seen.permanent_error() == "body: UTF-8 text required, plain or compressed with gzip"


def test_a_device_id_with_colons_is_whole() -> None:
    assert letter(published(READING, "hall:3")).device_id == "hall:3"


def test_what_the_rule_did_not_write_is_shown_with_the_reason() -> None:
    seen = letter(not_from_rule("odd"))
    assert (seen.device_id, seen.payload) == (None, None)
    assert seen.permanent_error() == "message: not a message of the topic rule: not JSON"


@pytest.mark.parametrize(
    "text",
    [
        '{"refused_by": "data-ingestion"}',
        '{"refused_by": "data-ingestion", "problems": {"a": 1}, "payload": 5}',
        '{"refused_by": "somebody"}',
        not_queued(topic="a/b"),
        not_queued(topic=None),
        not_queued(base64OriginalPayload=7),
        '{"base64OriginalPayload": "e30="}',
        body(),
        "[" * 100_000,
    ],
)
def test_what_only_looks_like_a_devices_letter_is_the_processors(text: str) -> None:
    assert letter(text).of_device is None


@pytest.mark.parametrize(
    "changes",
    [
        {"failures": None},
        {"failures": [None, {}]},
        {"clientId": None, "cloudwatchTraceId": 5},
        {"failures": [{"x": 1}]},
    ],
)
def test_a_record_of_aws_iot_in_another_form_is_still_shown(changes: dict[str, Any]) -> None:
    seen = letter(not_queued(**changes))
    assert seen.device_id == "roof"
    assert seen.failure


def test_the_list_names_each_form_and_quotes_no_base64(queues: Queues, devices: QueueClient) -> None:
    queues.put(refused(), PUBLISHED, not_queued())
    seen = peek(queues.dead, queues.target, 10, devices)
    shown = "\n".join(letter_text(each, seen).plain for each in seen.letters)
    assert "roof  reading 3: sensor_data.temperature: number required" in shown
    assert "roof  valid: ingestion would accept it now" in shown
    assert "AWS IoT could not queue it: SqsAction iot-device-queue-test: Access to the resource is denied" in shown
    data = letters_data("q", seen)["messages"]
    assert [each["payload"] for each in data] == [READING] * 3
    assert sorted(str(each["failure"])[:9] for each in data) == ["None", "None", "SqsAction"]


def test_the_receives_of_the_device_queue_are_told(queues: Queues, devices: QueueClient) -> None:
    policy = json.dumps({"deadLetterTargetArn": queues.dead.arn, "maxReceiveCount": 4})
    queues.sqs.set_queue_attributes(QueueUrl=queues.urls[devices.name], Attributes={"RedrivePolicy": policy})
    queues.comes_from(devices)
    queues.put(PUBLISHED)
    (seen,) = peek(queues.dead, queues.target, 10, devices).letters
    assert seen.receives == 1


# Where a redrive sends it


def test_each_goes_where_it_can_be_processed_and_none_is_lost(queues: Queues, devices: QueueClient) -> None:
    queues.put(body(), "odd", refused(), PUBLISHED.replace("roof", "cellar"), not_queued(), not_from_rule("strange"))
    done = redrive(queues.dead, queues.target, None, devices)
    assert (done.moved, done.to_devices, done.reasons) == (6, 4, {})
    assert queues.bodies(queues.target) == sorted([body(), "odd"])
    assert queues.bodies(queues.dead) == []
    sent = queues.bodies(devices)
    assert "strange" in sent
    messages = {one.trace: one for one in map(device_message.read, set(sent) - {"strange", PUBLISHED})}
    assert PUBLISHED.replace("roof", "cellar") in sent
    assert device_message.read(PUBLISHED) in map(device_message.read, set(sent) - {"strange"})
    converted = messages[TRACE.format(7)]
    assert (converted.thing, converted.client, device_message.text(converted)) == ("test:roof", "test:roof", READING)
    assert abs(converted.received - queues.run.clock.now() * 1000) < 600_000


def test_a_record_of_aws_iot_is_converted_to_the_same_message_each_time() -> None:
    """A copy that could not be deleted is converted again; it must become the same rows."""
    first, second = (letter(not_queued()).of_device for _ in range(2))
    assert first == second
    assert first and first.message and first.message.received == SENT


def test_the_topic_of_basic_ingest_names_the_same_thing() -> None:
    seen = letter(not_queued(topic="$aws/rules/iotpipe_test/iotpipe/test/test:roof/readings"))
    assert seen.device_id == "roof"


def test_what_came_from_the_device_queue_goes_back_there_whatever_it_is(queues: Queues, devices: QueueClient) -> None:
    queues.comes_from(devices)
    queues.put("odd")
    assert redrive(queues.dead, queues.target, None, devices).to_devices == 1
    assert queues.bodies(devices) == ["odd"]


def test_sqs_moves_nothing_itself_where_there_are_two_targets(queues: Queues, devices: QueueClient) -> None:
    queues.put(body())
    MoveTasks(queues)
    redrive(queues.dead, queues.target, None, devices)
    assert "StartMessageMoveTask" not in queues.world.calls


def test_what_ingestion_refuses_again_at_once_does_not_go_round_for_ever(queues: Queues, devices: QueueClient) -> None:
    """It is another message then, with another id."""
    queues.put(refused(), not_from_rule("strange"), not_queued())

    def ingestion(**call: Any) -> None:
        """Refuses what is there, as a function that is at work all the time."""
        for message in queues.taken(devices):
            text = message["Body"]
            queues.put(not_from_rule(text) if text == "strange" else refused(text))

    queues.run.client("sqs").meta.events.register("after-call.sqs.DeleteMessageBatch", ingestion)
    done = redrive(queues.dead, queues.target, None, devices)
    assert (done.moved, done.returned) == (3, 3)
    assert len(queues.bodies(queues.dead)) == 3


def test_without_a_device_queue_what_devices_published_stays_with_a_reason(queues: Queues) -> None:
    first, _ = queues.put(PUBLISHED, body())
    done = redrive(queues.dead, queues.target, 10)
    assert done.moved == 1
    assert done.reasons == {first: "a device published it, and the environment takes no such messages"}
    assert [each["MessageId"] for each in queues.visible(queues.dead)] == [first]
    assert queues.bodies(queues.target) == [body()]


def test_large_payloads_go_in_calls_of_their_own(queues: Queues, devices: QueueClient) -> None:
    queues.put(*(refused(published(b"x" * 120_000, f"d{number}")) for number in range(3)))
    assert redrive(queues.dead, queues.target, None, devices).moved == 3
    assert queues.world.calls.count("SendMessageBatch") == 3
