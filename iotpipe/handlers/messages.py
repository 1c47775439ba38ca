"""Sends messages to the queue: SendMessageBatch in chunks that SQS accepts, with retries of failed entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from iotpipe.handlers import aws, clock
from iotpipe.handlers.tables import chunks

# Ten entries per call. Their total limit is 1 MiB today, but 256 KiB for a queue that was created with the old limit.
_MAX_ENTRIES, _MAX_BYTES = 10, 262_144
_ATTRIBUTES = 256  # bytes, more than the correlation id and its name and type


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: its body, in ASCII, and the id by which the logs of all functions find it."""

    body: str
    correlation_id: str


def send(queue_url: str, messages: Sequence[Message], budget: clock.Budget) -> list[str | None]:
    """Send the messages; return for each None if it is in the queue, else the reason."""
    reasons: list[str | None] = []
    for chunk in chunks(messages, _MAX_ENTRIES, _MAX_BYTES, lambda message: len(message.body) + _ATTRIBUTES):
        left = aws.retry_undone(len(chunk), partial(_send, queue_url, chunk), budget)
        reasons += [left.get(index) for index in range(len(chunk))]
    return reasons


def _send(queue_url: str, messages: Sequence[Message], indexes: list[int]) -> aws.Outcome:
    entries = [{"Id": str(index), **_entry(messages[index])} for index in indexes]
    with aws.checked_response():
        answer = aws.client("sqs").send_message_batch(QueueUrl=queue_url, Entries=entries)
    return _outcome(answer, indexes)


def _entry(message: Message) -> dict[str, Any]:
    attributes = {"correlation_id": {"DataType": "String", "StringValue": message.correlation_id}}
    return {"MessageBody": message.body, "MessageAttributes": attributes}


def _outcome(answer: dict[str, Any], indexes: list[int]) -> aws.Outcome:
    """Only the entries in `Successful` are in the queue. Entries that the response does not name are retried."""
    confirmed = {entry.get("Id") for entry in _entries(answer, "Successful")}
    failures = {entry.get("Id"): entry for entry in _entries(answer, "Failed")}
    outcome = aws.Outcome()
    for index in indexes:
        failure = failures.get(str(index))
        if failure is not None:
            undone = outcome.rejected if failure.get("SenderFault") is True else outcome.retry
            undone[index] = str(failure.get("Code") or "Failed")
        elif str(index) not in confirmed:
            outcome.retry[index] = "Unconfirmed"
    return outcome


def _entries(answer: dict[str, Any], member: str) -> list[dict[str, Any]]:
    entries = [entry for entry in answer.get(member) or [] if entry is not None]
    return [entry for entry in entries if isinstance(entry.get("Id"), str)]
