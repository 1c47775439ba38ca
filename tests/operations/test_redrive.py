"""Sending dead letters back: by SQS itself, or one batch at a time; and emptying the queue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import ResourceError
from iotpipe.operations.redrive import purge, redrive
from tests.support.dead_letter_world import MoveTasks, Queues, body
from tests.support.engine_world import World, refusal

BODIES = [body(reading_id=f"r{number:02}") for number in range(25)]


@pytest.fixture
def queues(world: World) -> Queues:
    return Queues(world)


def no_move_tasks(operation: str, params: dict[str, Any]) -> ClientError | None:
    """An SQS that does not know the operations, as ministack answers."""
    if "MessageMoveTask" not in operation:
        return None
    return refusal(operation, "InvalidAction", f"The action {operation} is not valid for this endpoint.")


# By SQS


def test_sqs_moves_them_itself_where_it_can_and_progress_is_told(queues: Queues) -> None:
    queues.put(*BODIES)
    MoveTasks(queues)
    assert redrive(queues.dead, queues.target, None).moved == 25
    assert queues.bodies(queues.target) == BODIES
    assert "SendMessageBatch" not in queues.world.calls
    told = [event.detail for event in queues.world.events]
    assert told[0] == "sending back: 0 of about 25"
    assert "sending back: 8 of about 25" in told
    assert queues.world.clock.slept == [1.0] * 8


def test_a_move_that_is_under_way_is_watched_and_no_second_one_started(queues: Queues) -> None:
    queues.put(*BODIES[:6])
    tasks = MoveTasks(queues)
    tasks.add("RUNNING", to_move=9, moved=3)
    assert redrive(queues.dead, queues.target, None).moved == 9
    assert "StartMessageMoveTask" not in queues.world.calls


def test_an_older_move_is_not_taken_for_this_one_when_sqs_lists_it_late(queues: Queues) -> None:
    queues.put(*BODIES[:3])
    tasks = MoveTasks(queues, late=2)
    tasks.add("COMPLETED", to_move=99, moved=99)
    assert redrive(queues.dead, queues.target, None).moved == 3


def test_a_move_that_fails_says_how_far_it_came_and_why(queues: Queues) -> None:
    queues.put(*BODIES)
    MoveTasks(queues, fails="AWS.SimpleQueueService.NonExistentQueue")
    with pytest.raises(
        ResourceError, match=r"SQS moved 4 messages and then stopped: AWS\.SimpleQueueService"
    ) as caught:
        redrive(queues.dead, queues.target, None)
    assert "still in iot-dlq-dev" in caught.value.hint


def test_a_move_that_somebody_cancels_is_watched_until_it_has_ended(queues: Queues) -> None:
    queues.put(*BODIES)
    MoveTasks(queues, cancelled=True)
    with pytest.raises(ResourceError, match="SQS moved 8 messages and then stopped"):
        redrive(queues.dead, queues.target, None)


def test_a_move_that_is_never_listed_is_given_up_after_a_minute(queues: Queues) -> None:
    queues.put("one")
    MoveTasks(queues, late=1000)
    with pytest.raises(ResourceError, match="does not list the move"):
        redrive(queues.dead, queues.target, None)
    assert sum(queues.world.clock.slept) == 60


def test_a_refusal_of_the_move_is_no_reason_to_move_by_hand(queues: Queues) -> None:
    queues.put("one")
    denied = refusal("StartMessageMoveTask", "AccessDenied", "is not authorized to perform: sqs:startmessagemovetask")
    MoveTasks(queues)
    queues.world.before = lambda operation, params: denied if operation.startswith("Start") else None
    with pytest.raises(ResourceError, match="startmessagemovetask"):
        redrive(queues.dead, queues.target, None)
    assert queues.bodies(queues.dead) == ["one"]


# By hand


def test_where_sqs_cannot_they_are_sent_before_they_are_deleted_with_their_attributes(queues: Queues) -> None:
    queues.put(*BODIES, correlation_id="abc-1")
    queues.world.before = no_move_tasks
    assert redrive(queues.dead, queues.target, None).moved == 25
    sent = queues.visible(queues.target)
    assert sorted(each["Body"] for each in sent) == BODIES
    expected = {"correlation_id": {"DataType": "String", "StringValue": "abc-1"}}
    assert [each["MessageAttributes"] for each in sent] == [expected] * 25
    assert queues.bodies(queues.dead) == []
    moves = [call for call in queues.world.calls if call in ("SendMessageBatch", "DeleteMessageBatch")]
    assert moves == ["SendMessageBatch", "DeleteMessageBatch"] * 3


def test_binary_attributes_and_the_trace_survive(queues: Queues) -> None:
    queues.sqs.send_message(
        QueueUrl=queues.urls["iot-dlq-dev"],
        MessageBody="one",
        MessageAttributes={"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-abc"}},
    )
    asked = []

    def before(operation: str, params: dict[str, Any]) -> ClientError | None:
        if operation == "SendMessageBatch":
            asked.extend(json.loads(params["body"])["Entries"])
        return no_move_tasks(operation, params)

    queues.world.before = before
    redrive(queues.dead, queues.target, None)
    (sent,) = queues.visible(queues.target)
    assert sent["MessageAttributes"] == {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    # moto takes a trace from SendMessage only, so what was asked for has to do.
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-abc"}}
    assert [each["MessageSystemAttributes"] for each in asked] == [trace]


def test_a_limit_moves_so_many_and_leaves_the_others_visible(queues: Queues) -> None:
    queues.put(*BODIES)
    MoveTasks(queues)
    assert redrive(queues.dead, queues.target, 12).moved == 12
    assert len(queues.bodies(queues.target)) == 12
    assert len(queues.bodies(queues.dead)) == 13
    assert "StartMessageMoveTask" not in queues.world.calls


def test_messages_too_large_for_one_call_go_in_several(queues: Queues) -> None:
    queues.put(*(f"{number}" + "x" * 100_000 for number in range(5)))
    queues.world.before = no_move_tasks
    assert redrive(queues.dead, queues.target, None).moved == 5
    assert queues.world.calls.count("SendMessageBatch") == 3


def test_what_cannot_be_sent_stays_and_is_visible_at_once(queues: Queues) -> None:
    ids = queues.put(*BODIES[:3])
    queues.world.before = no_move_tasks

    def half(request: dict[str, Any]) -> dict[str, Any]:
        first, *others = request["Entries"]
        sent = queues.sqs.send_message_batch(QueueUrl=queues.urls["iot-ingestion-queue-dev"], Entries=others)
        failed = {"Id": first["Id"], "SenderFault": False, "Code": "InternalError", "Message": "try again"}
        return {"Successful": sent["Successful"], "Failed": [failed]}

    queues.answers("SendMessageBatch", half)
    done = redrive(queues.dead, queues.target, None)
    (left,) = queues.visible(queues.dead)
    assert done.moved == 2
    assert done.reasons == {left["MessageId"]: "InternalError: try again"}
    assert left["MessageId"] in ids


def test_what_cannot_be_sent_for_no_reason_told_is_told_by_its_code_alone(queues: Queues) -> None:
    (name,) = queues.put("one")
    failed = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}
    queues.answers("SendMessageBatch", lambda request: {"Failed": [failed]})
    assert redrive(queues.dead, queues.target, 1).reasons == {name: "InvalidMessageContents"}


def test_what_cannot_be_sent_is_not_tried_again_when_it_comes_again(queues: Queues) -> None:
    queues.put("one")
    queues.hide_nothing()
    queues.world.before = no_move_tasks
    failed = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
    queues.answers("SendMessageBatch", lambda request: {"Failed": [failed]})
    assert redrive(queues.dead, queues.target, None).moved == 0
    assert queues.world.calls.count("SendMessageBatch") == 1
    assert queues.world.calls.count("ReceiveMessage") == 4


def test_a_copy_that_cannot_be_deleted_is_told_and_not_sent_twice(queues: Queues) -> None:
    (name,) = queues.put("one")
    queues.world.before = no_move_tasks
    failed = {"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": "expired"}
    queues.answers("DeleteMessageBatch", lambda request: {"Failed": [failed]})
    done = redrive(queues.dead, queues.target, None)
    assert done.moved == 1
    assert done.reasons == {name: "was sent back, but a copy remains: ReceiptHandleIsInvalid"}
    assert queues.bodies(queues.dead) == queues.bodies(queues.target) == ["one"]


def test_nothing_is_deleted_when_sending_is_refused(queues: Queues) -> None:
    queues.put(*BODIES[:12])
    calls: list[str] = []

    def before(operation: str, params: dict[str, Any]) -> ClientError | None:
        calls.append(operation)
        if operation == "SendMessageBatch" and calls.count(operation) == 2:
            return refusal(operation, "AccessDenied", "is not authorized to perform: sqs:sendmessage")
        return no_move_tasks(operation, params)

    queues.world.before = before
    with pytest.raises(ResourceError, match="10 messages were sent back, then: cannot send to queue/iot-ingestion"):
        redrive(queues.dead, queues.target, None)
    queues.world.before = None
    assert len(queues.bodies(queues.dead)) == 2
    assert len(queues.bodies(queues.target)) == 10


def test_killed_between_sending_and_deleting_nothing_is_lost(queues: Queues) -> None:
    queues.put(*BODIES[:3])

    def before(operation: str, params: dict[str, Any]) -> ClientError | None:
        if operation == "DeleteMessageBatch":
            raise KeyboardInterrupt
        return no_move_tasks(operation, params)

    queues.world.before = before
    with pytest.raises(KeyboardInterrupt):
        redrive(queues.dead, queues.target, None)
    queues.world.before = None
    assert queues.bodies(queues.dead) == queues.bodies(queues.target) == BODIES[:3]


def test_what_fails_again_at_once_does_not_go_round_for_ever(queues: Queues) -> None:
    queues.put("poison", "other poison")
    arn = "arn:aws:sqs:us-east-1:123456789012:iot-dlq-dev"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    queues.sqs.set_queue_attributes(
        QueueUrl=queues.urls["iot-ingestion-queue-dev"], Attributes={"RedrivePolicy": policy}
    )
    queues.world.before = no_move_tasks

    def processor(operation: str) -> None:
        """Receives what is there and fails, so that SQS moves it back."""
        for _ in range(2):
            queues.sqs.receive_message(
                QueueUrl=queues.urls["iot-ingestion-queue-dev"], MaxNumberOfMessages=10, VisibilityTimeout=0
            )

    sqs = queues.run.client("sqs")
    sqs.meta.events.register("after-call.sqs.DeleteMessageBatch", lambda **call: processor("after"))
    done = redrive(queues.dead, queues.target, None)
    assert (done.moved, done.returned) == (2, 2)
    assert queues.bodies(queues.dead) == ["other poison", "poison"]


@pytest.mark.parametrize("gone", ["iot-dlq-dev", "iot-ingestion-queue-dev"])
def test_a_queue_that_is_not_there_says_what_to_do_and_nothing_is_moved(queues: Queues, gone: str) -> None:
    queues.put("one")
    queues.sqs.delete_queue(QueueUrl=queues.urls[gone])
    with pytest.raises(ResourceError, match=f"there is no queue {gone}") as caught:
        redrive(queues.dead, queues.target, None)
    assert "iotpipe up --env dev" in caught.value.hint
    assert "ReceiveMessage" not in queues.world.calls


# Emptying


def test_purging_deletes_everything(queues: Queues) -> None:
    queues.put(*BODIES)
    purge(queues.dead)
    assert queues.bodies(queues.dead) == []
    assert queues.world.clock.slept == []


def test_a_second_purge_within_a_minute_waits_for_its_turn_and_says_how_long(queues: Queues) -> None:
    busy = refusal(
        "PurgeQueue",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "Only one PurgeQueue operation on iot-dlq-dev is allowed every 60 seconds.",
    )
    queues.put("one")
    answers = iter([busy] * 3)
    queues.world.before = lambda operation, params: next(answers, None)
    purge(queues.dead)
    assert queues.bodies(queues.dead) == []
    assert sum(queues.world.clock.slept) == 15
    told = [event.detail for event in queues.world.events]
    assert told[0] == "SQS purges a queue only once every 60 s: 65 s left"
    assert told[-1] == "SQS purges a queue only once every 60 s: 51 s left"


def test_a_purge_that_is_never_let_in_gives_up(queues: Queues) -> None:
    busy = refusal("PurgeQueue", "AWS.SimpleQueueService.PurgeQueueInProgress", "Only one PurgeQueue operation")
    queues.world.before = lambda operation, params: busy
    with pytest.raises(ResourceError, match="PurgeQueueInProgress"):
        purge(queues.dead)
    assert 60 <= sum(queues.world.clock.slept) <= 70
