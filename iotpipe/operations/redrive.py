"""Sending dead letters back to the queue that the processor reads, and emptying the dead-letter queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iotpipe.errors import ResourceError
from iotpipe.handlers.tables import chunks
from iotpipe.operations.queue_client import BATCH, Mailbox
from iotpipe.provision.run import Event

# Some queues still take no more in one call, though newer ones take 1 MiB.
_MOST_BYTES = 262_144
_HOLD = 120
_MISSING = ("InvalidAction", "UnknownOperationException", "NotImplemented", "501")
_PURGING = ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress")
_STARTED = "There is already a task running"
_NO_DEAD_LETTERS = "Source queue must be configured as a Dead Letter Queue"
_UNDER_WAY = ("RUNNING", "CANCELLING")
Message = Mapping[str, Any]


@dataclass
class Moved:
    """How many messages went back. `reasons` is why others stayed, by message id.

    `returned` went back and failed again while the rest was still being moved: they are dead letters once more.
    """

    moved: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    returned: int = 0


def redrive(dead: Mailbox, target: Mailbox, limit: int | None) -> Moved:
    """Move dead letters to `target`: SQS does it itself where it can and all are to go, else one batch at a time."""
    about = dead.count()
    target.count()  # says at once, and in our words, when there is no such queue
    if limit is None:
        try:
            return _by_sqs(dead, target, about)
        except ResourceError as error:
            if error.code not in _MISSING:
                raise
    return _by_hand(dead, target, limit, about if limit is None else min(limit, about))


def _by_sqs(dead: Mailbox, target: Mailbox, about: int) -> Moved:
    """Let SQS move all of them, or watch it if it is already at it. It goes on also when nobody watches."""
    before = _tasks(dead)
    if not any(each["Status"] in _UNDER_WAY for each in before):
        _start(dead, target)
    task = _watched(dead, [each["StartedTimestamp"] for each in before if each["Status"] not in _UNDER_WAY], about)
    if task.get("Status") != "COMPLETED":
        why = task.get("FailureReason") or task.get("Status", "it does not list the move").lower()
        hint = f"What stayed is still in {dead.name}: run `iotpipe dlq redrive --env {dead.run.environment}` again"
        raise ResourceError(f"SQS moved {_moved(task)} messages and then stopped: {why}", hint, address=dead.address)
    return Moved(_moved(task))


def _start(dead: Mailbox, target: Mailbox) -> None:
    """Start the move, unless somebody else has done so since the moves were listed."""
    try:
        # Named, since SQS finds no way back for what did not come from a queue.
        _ask(dead, "move the messages of", "start_message_move_task", SourceArn=dead.arn, DestinationArn=target.arn)
    except ResourceError as error:
        if _STARTED in error.message:
            return
        if _NO_DEAD_LETTERS not in error.message:
            raise
        env = dead.run.environment
        hint = (
            f"No queue sends its dead letters to {dead.name} any more: `iotpipe up --env {env}` makes {target.name} do "
            f"so again. Or move them without SQS: `iotpipe dlq redrive --env {env} --limit N`"
        )
        raise ResourceError(error.message, hint, address=error.address, code=error.code) from error


def _watched(dead: Mailbox, finished: Sequence[Any], about: int) -> Message:
    """The task that did not start at one of these times, as it is in the end; empty if SQS never lists it."""
    deadline = dead.run.clock.now() + 60
    task: Message = {}
    while task.get("Status") in _UNDER_WAY or (not task and dead.run.clock.now() < deadline):
        if task:
            dead.run.pause(1)
        new = (each for each in _tasks(dead) if each["StartedTimestamp"] not in finished)
        task = next(new, task)
        _tell(dead, _moved(task), task.get("ApproximateNumberOfMessagesToMove") or about)
        if not task:
            dead.run.pause(1)
    return task


def _moved(task: Message) -> int:
    return int(task.get("ApproximateNumberOfMessagesMoved") or 0)


def _tasks(dead: Mailbox) -> Sequence[Message]:
    """The latest first."""
    answer = _ask(dead, "read the moves of", "list_message_move_tasks", SourceArn=dead.arn, MaxResults=10)
    found: Sequence[Message] = answer.get("Results") or []
    return found


def _ask(dead: Mailbox, verb: str, operation: str, **parameters: Any) -> Any:
    sqs = dead.run.client("sqs")
    return dead.run.trying(verb, dead.address, lambda attempt: getattr(sqs, operation)(**parameters))


def _by_hand(dead: Mailbox, target: Mailbox, limit: int | None, about: int) -> Moved:
    done = Moved()
    sent: set[str] = set()
    seen: set[str] = set()
    kept: dict[str, str] = {}
    try:
        for messages in dead.received(limit, _HOLD):
            kept |= {each["MessageId"]: each["ReceiptHandle"] for each in messages}
            new = {each["MessageId"]: each for each in messages if each["MessageId"] not in seen}
            seen.update(new)
            # A message that fails again keeps its id on the way back here; without this it would go round for ever.
            done.returned += len(new.keys() & sent)
            fresh = [each for name, each in new.items() if name not in sent]
            for chunk in chunks(fresh, BATCH, _MOST_BYTES, _size):
                for name in _move(dead, target, chunk, sent, done):
                    del kept[name]
            _tell(dead, done.moved, about)
    except ResourceError as error:
        message = f"{done.moved} messages were sent back, then: {error.message}"
        raise ResourceError(message, error.hint, address=error.address, code=error.code) from error
    finally:
        dead.show_again(kept)
    return done


def _move(dead: Mailbox, target: Mailbox, messages: Sequence[Message], sent: set[str], done: Moved) -> list[str]:
    """Send, and only then delete: in between a message is in both queues, but never in none.

    Answers with the ids that are gone from here. Of one that could not be deleted a copy stays; the processor
    stores both as one row.
    """
    entries = [{"Id": str(number), **_as_new(each)} for number, each in enumerate(messages)]
    answer = target.ask("send to", "send_message_batch", Entries=entries)
    for each in answer.get("Failed", []):
        why = ": ".join(filter(None, (each.get("Code"), each.get("Message"))))
        done.reasons[messages[int(each["Id"])]["MessageId"]] = why or "SQS gives no reason"
    accepted = {each["Id"]: messages[int(each["Id"])] for each in answer.get("Successful", [])}
    sent.update(each["MessageId"] for each in answer.get("Successful", []))
    done.moved += len(accepted)
    if not accepted:
        return []
    handles = [{"Id": number, "ReceiptHandle": each["ReceiptHandle"]} for number, each in accepted.items()]
    for each in dead.ask("delete from", "delete_message_batch", Entries=handles).get("Failed", []):
        name = accepted.pop(each["Id"])["MessageId"]
        done.reasons[name] = f"was sent back, but a copy remains: {each.get('Code')}"
    return [each["MessageId"] for each in accepted.values()]


def _as_new(message: Message) -> dict[str, Any]:
    """What SendMessageBatch takes of a message that was received."""
    parts = ("DataType", "StringValue", "BinaryValue")
    own = {
        name: {part: each[part] for part in parts if part in each}
        for name, each in message.get("MessageAttributes", {}).items()
    }
    entry = {"MessageBody": message["Body"], "MessageAttributes": own}
    if trace := message.get("Attributes", {}).get("AWSTraceHeader"):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry


def _size(message: Message) -> int:
    """Bytes as SQS counts them: the body, and names, types and values of the attributes."""
    own = message.get("MessageAttributes", {})
    values = (each.get("BinaryValue", b"") or each.get("StringValue", "").encode() for each in own.values())
    named = sum(len(name) + len(each["DataType"]) for name, each in own.items())
    return len(message["Body"].encode()) + named + sum(map(len, values))


def _tell(dead: Mailbox, moved: int, about: int) -> None:
    dead.run.tell(Event(dead.address, "waiting", f"sending back: {moved} of about {about}"))


def purge(dead: Mailbox) -> None:
    """Delete every message of the queue. SQS does it once in 60 s: a second time waits for its turn."""
    began = dead.run.clock.now()
    while True:
        try:
            dead.ask("purge", "purge_queue")
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
