"""Read the dead-letter queue without removing messages: what failed and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import IotpipeError, RefusedError
from iotpipe.handlers import processed_row, queue_message
from iotpipe.operations.queue_client import BATCH, QueueClient


@dataclass(frozen=True)
class Letter:
    """One message of the dead-letter queue. `sent` is when it first entered a queue, in epoch milliseconds.

    `receives` counts the processor's attempts; None if the message did not come from the processor's queue.
    """

    message_id: str
    sent: int
    receives: int | None
    body: str
    attributes: Mapping[str, str]

    @property
    def device_id(self) -> str | None:
        """The reading's device; None if the body does not name one."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        device = document.get("device_id") if isinstance(document, dict) else None
        return device if isinstance(device, str) else None

    @property
    def correlation_id(self) -> str | None:
        return self.attributes.get("correlation_id")

    def permanent_error(self) -> str | None:
        """Why a retry cannot succeed; None if the processor would accept the message."""
        if failure := self.attributes.get("ErrorMessage"):
            # Lambda sent the event of a failed asynchronous invocation here.
            return f"a function was called with this and failed: {failure}"
        try:
            processed_row.processed(queue_message.read(self.body), "")
        except queue_message.Poison as error:
            return str(error)
        # On any exception the processor returns the message to its queue: report it instead of failing as well.
        except Exception as error:  # noqa: BLE001
            return f"the processor cannot work with it: {type(error).__name__}"
        return None


@dataclass(frozen=True)
class DeadLetters:
    """The messages that were received, the oldest first. `approximate_total` is SQS's own count of the queue.

    `hidden` messages could not be made visible again; SQS does so after `visibility_timeout` seconds.
    `startup_failure` is why the processor does not start; empty if it starts.
    """

    letters: tuple[Letter, ...]
    approximate_total: int
    hidden: int
    visibility_timeout: int
    startup_failure: str = ""

    def reason(self, letter: Letter) -> str | None:
        """Why the message would fail again; None if the processor would accept it."""
        not_started = f"the processor does not start: {self.startup_failure}" if self.startup_failure else None
        return letter.permanent_error() or not_started


def peek(queue: QueueClient, source: QueueClient, limit: int) -> DeadLetters:
    """Read up to `limit` different dead letters and leave them in the queue. `source` is the processor's queue.

    Raises RefusedError if receiving a message could move it to another queue.
    """
    if queue.attributes().get("RedrivePolicy"):
        raise RefusedError(
            f"{queue.name} has a redrive policy of its own, so reading it could move messages",
            f"`iotpipe up --env {queue.run.environment}` removes it",
        )
    total, visibility_timeout = queue.count(), 30 + limit // BATCH
    received: dict[str, dict[str, Any]] = {}
    handles: dict[str, str] = {}
    try:
        for messages in queue.receive(limit, visibility_timeout):
            for message in messages:
                handles[message["MessageId"]] = message["ReceiptHandle"]
                received.setdefault(message["MessageId"], message)
    finally:
        hidden = queue.make_visible(handles)
    max_receives = (
        _max_receive_count(source) if any(_came_from(source, message) for message in received.values()) else None
    )
    letters = sorted(
        (_letter(message, source, max_receives) for message in received.values()), key=lambda letter: letter.sent
    )
    return DeadLetters(tuple(letters), max(total, len(letters)), len(hidden), visibility_timeout)


def _came_from(source: QueueClient, message: Mapping[str, Any]) -> bool:
    """Whether SQS moved the message here from the `source` queue."""
    return bool(message.get("Attributes", {}).get("DeadLetterQueueSourceArn") == source.arn)


def _max_receive_count(source: QueueClient) -> int | None:
    """The queue's maxReceiveCount; None if it cannot be read."""
    try:
        policy = json.loads(source.attributes().get("RedrivePolicy") or "{}")
    except IotpipeError:
        return None
    return int(policy["maxReceiveCount"]) if "maxReceiveCount" in policy else None


def _letter(message: Mapping[str, Any], source: QueueClient, max_receives: int | None) -> Letter:
    system, own = message.get("Attributes", {}), message.get("MessageAttributes", {})
    texts = {name: each["StringValue"] for name, each in own.items() if "StringValue" in each}
    receives = None
    if max_receives is not None and _came_from(source, message):
        # ApproximateReceiveCount also grows with each receive from the dead-letter queue.
        receives = min(max_receives, int(system.get("ApproximateReceiveCount", max_receives)))
    return Letter(message["MessageId"], int(system.get("SentTimestamp", 0)), receives, message["Body"], texts)
