"""Redrive dead letters to the processor's queue, and purge the dead-letter queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iotpipe.errors import ResourceError
from iotpipe.handlers.tables import chunks
from iotpipe.operations.queue_client import BATCH, QueueClient
from iotpipe.provision.run import Event

# Some queues still accept no more in one call, though newer ones accept 1 MiB.
_MAX_BYTES = 262_144
_VISIBILITY_TIMEOUT = 120
_UNSUPPORTED = ("InvalidAction", "UnknownOperationException", "NotImplemented", "501")
_PURGING = ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress")
_ALREADY_RUNNING = "There is already a task running"
_NOT_A_DLQ = "Source queue must be configured as a Dead Letter Queue"
_IN_PROGRESS = ("RUNNING", "CANCELLING")
Message = Mapping[str, Any]


@dataclass
class Moved:
    """How many messages were moved. `reasons` is why others stayed, by message id.

    `returned` counts moved messages that failed again during the redrive and are dead letters once more.
    """

    moved: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    returned: int = 0


def redrive(dead: QueueClient, target: QueueClient, limit: int | None) -> Moved:
    """Move dead letters to `target`: by SQS's message move task if all are moved, else one batch at a time."""
    total = dead.count()
    target.count()  # raises a clear error if the target queue does not exist
    if limit is None:
        try:
            return _by_move_task(dead, target, total)
        except ResourceError as error:
            if error.code not in _UNSUPPORTED:
                raise
    return _by_batches(dead, target, limit, total if limit is None else min(limit, total))


def _by_move_task(dead: QueueClient, target: QueueClient, total: int) -> Moved:
    """Start a message move task, or follow the running one. SQS continues it in the background."""
    before = _move_tasks(dead)
    if not any(task["Status"] in _IN_PROGRESS for task in before):
        _start(dead, target)
    finished = [task["StartedTimestamp"] for task in before if task["Status"] not in _IN_PROGRESS]
    task = _wait_for_task(dead, finished, total)
    if task.get("Status") != "COMPLETED":
        why = task.get("FailureReason") or task.get("Status", "it does not list the move").lower()
        hint = (
            f"Run `iotpipe dlq redrive --env {dead.run.environment}` again: the other messages are still in {dead.name}"
        )
        raise ResourceError(f"SQS moved {_moved(task)} messages and then stopped: {why}", hint, address=dead.address)
    return Moved(_moved(task))


def _start(dead: QueueClient, target: QueueClient) -> None:
    """Start the move task, unless another client has started one since the tasks were listed."""
    try:
        # Without a destination, SQS cannot return messages that did not come from a queue.
        _call(dead, "move the messages of", "start_message_move_task", SourceArn=dead.arn, DestinationArn=target.arn)
    except ResourceError as error:
        if _ALREADY_RUNNING in error.message:
            return
        if _NOT_A_DLQ not in error.message:
            raise
        env = dead.run.environment
        hint = (
            f"Run `iotpipe up --env {env}`: it makes {dead.name} the dead-letter queue of {target.name} again. Or move "
            f"the messages without SQS's redrive: `iotpipe dlq redrive --env {env} --limit N`"
        )
        raise ResourceError(error.message, hint, address=error.address, code=error.code) from error


def _wait_for_task(dead: QueueClient, finished: Sequence[Any], total: int) -> Message:
    """Wait for the task whose start time is not in `finished`, and return it; empty if SQS does not list it."""
    deadline = dead.run.clock.now() + 60
    task: Message = {}
    while task.get("Status") in _IN_PROGRESS or (not task and dead.run.clock.now() < deadline):
        if task:
            dead.run.pause(1)
        new = (listed for listed in _move_tasks(dead) if listed["StartedTimestamp"] not in finished)
        task = next(new, task)
        _report_progress(dead, _moved(task), task.get("ApproximateNumberOfMessagesToMove") or total)
        if not task:
            dead.run.pause(1)
    return task


def _moved(task: Message) -> int:
    return int(task.get("ApproximateNumberOfMessagesMoved") or 0)


def _move_tasks(dead: QueueClient) -> Sequence[Message]:
    """The queue's message move tasks, the latest first."""
    response = _call(dead, "read the moves of", "list_message_move_tasks", SourceArn=dead.arn, MaxResults=10)
    tasks: Sequence[Message] = response.get("Results") or []
    return tasks


def _call(dead: QueueClient, verb: str, operation: str, **parameters: Any) -> Any:
    sqs = dead.run.client("sqs")
    return dead.run.with_retries(verb, dead.address, lambda attempt: getattr(sqs, operation)(**parameters))


def _by_batches(dead: QueueClient, target: QueueClient, limit: int | None, total: int) -> Moved:
    result = Moved()
    sent: set[str] = set()
    seen: set[str] = set()
    hidden: dict[str, str] = {}
    try:
        for messages in dead.receive(limit, _VISIBILITY_TIMEOUT):
            hidden |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            new = {message["MessageId"]: message for message in messages if message["MessageId"] not in seen}
            seen.update(new)
            # A message that fails again returns with its id. Moving it again would loop for ever.
            result.returned += len(new.keys() & sent)
            unsent = [message for message_id, message in new.items() if message_id not in sent]
            for chunk in chunks(unsent, BATCH, _MAX_BYTES, _size):
                for message_id in _move(dead, target, chunk, sent, result):
                    del hidden[message_id]
            _report_progress(dead, result.moved, total)
    except ResourceError as error:
        message = f"{result.moved} messages were sent back, then: {error.message}"
        raise ResourceError(message, error.hint, address=error.address, code=error.code) from error
    finally:
        dead.make_visible(hidden)
    return result


def _move(
    dead: QueueClient, target: QueueClient, messages: Sequence[Message], sent: set[str], result: Moved
) -> list[str]:
    """Send the messages, then delete them, so that each is always in at least one queue. Return the deleted ids.

    A message that cannot be deleted stays as a copy; the processor stores both as one row.
    """
    entries = [{"Id": str(number), **_entry(message)} for number, message in enumerate(messages)]
    response = target.call("send to", "send_message_batch", Entries=entries)
    for failure in response.get("Failed", []):
        why = ": ".join(filter(None, (failure.get("Code"), failure.get("Message"))))
        result.reasons[messages[int(failure["Id"])]["MessageId"]] = why or "SQS gives no reason"
    accepted = {success["Id"]: messages[int(success["Id"])] for success in response.get("Successful", [])}
    sent.update(success["MessageId"] for success in response.get("Successful", []))
    result.moved += len(accepted)
    if not accepted:
        return []
    handles = [{"Id": number, "ReceiptHandle": message["ReceiptHandle"]} for number, message in accepted.items()]
    for failure in dead.call("delete from", "delete_message_batch", Entries=handles).get("Failed", []):
        message_id = accepted.pop(failure["Id"])["MessageId"]
        result.reasons[message_id] = f"was sent back, but a copy remains: {failure.get('Code')}"
    return [message["MessageId"] for message in accepted.values()]


def _entry(message: Message) -> dict[str, Any]:
    """The SendMessageBatch entry of a received message."""
    parts = ("DataType", "StringValue", "BinaryValue")
    attributes = {
        name: {part: attribute[part] for part in parts if part in attribute}
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    entry = {"MessageBody": message["Body"], "MessageAttributes": attributes}
    if trace := message.get("Attributes", {}).get("AWSTraceHeader"):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry


def _size(message: Message) -> int:
    """Bytes as SQS counts them: the body, and names, types and values of the attributes."""
    attributes = message.get("MessageAttributes", {})
    values = (each.get("BinaryValue", b"") or each.get("StringValue", "").encode() for each in attributes.values())
    names_and_types = sum(len(name) + len(each["DataType"]) for name, each in attributes.items())
    return len(message["Body"].encode()) + names_and_types + sum(map(len, values))


def _report_progress(dead: QueueClient, moved: int, total: int) -> None:
    dead.run.tell(Event(dead.address, "waiting", f"sending back: {moved} of about {total}"))


def purge(dead: QueueClient) -> None:
    """Delete all messages of the queue. SQS allows one purge per 60 s: a second purge waits."""
    began = dead.run.clock.now()
    while True:
        try:
            dead.call("purge", "purge_queue")
            return
        except ResourceError as error:
            left = 65 - (dead.run.clock.now() - began)
            if error.code not in _PURGING or left <= 0:
                raise
        for second in range(5):
            dead.run.tell(
                Event(dead.address, "waiting", f"SQS purges a queue only once every 60 s: {left - second:.0f} s left")
            )
            dead.run.pause(1)
