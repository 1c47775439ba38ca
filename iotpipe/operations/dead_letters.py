"""Read the dead-letter queue without removing messages: what failed and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iotpipe.errors import IotpipeError, RefusedError
from iotpipe.handlers import processed_row, queue_message
from iotpipe.operations.device_letters import DeviceLetter, device_letter
from iotpipe.operations.queue_client import BATCH, QueueClient


@dataclass(frozen=True)
class Letter:
    """One message of the dead-letter queue. `sent` is when it first entered a queue, in epoch milliseconds.

    `receives` counts the attempts of the function that reads its queue; None if it did not come from such a queue.
    """

    message_id: str
    sent: int
    receives: int | None
    body: str
    attributes: Mapping[str, str]

    @cached_property
    def of_device(self) -> DeviceLetter | None:
        """What a device published over MQTT; None if the letter is not about that."""
        return device_letter(self.body, self.sent)

    @property
    def device_id(self) -> str | None:
        """The reading's device; None if the body does not name one."""
        if self.of_device:
            return self.of_device.device_id
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        device = document.get("device_id") if isinstance(document, dict) else None
        return device if isinstance(device, str) else None

    @property
    def payload(self) -> str | None:
        """What a device published, as text; None if it is not text or not of a device."""
        return self.of_device.payload if self.of_device else None

    @property
    def failure(self) -> str | None:
        """Why AWS IoT could not queue what a device published; None if that is not what happened."""
        return (self.of_device.failure or None) if self.of_device else None

    @property
    def correlation_id(self) -> str | None:
        trace = self.of_device.message.trace if self.of_device and self.of_device.message else None
        return self.attributes.get("correlation_id") or trace

    @property
    def retried_by(self) -> str:
        """What takes the message after a redrive."""
        return "ingestion" if self.of_device else "the processor"

    def permanent_error(self) -> str | None:
        """Why a retry cannot succeed; None if the function would accept the message."""
        if failure := self.attributes.get("ErrorMessage"):
            # Lambda sent the event of a failed asynchronous invocation here.
            return f"a function was called with this and failed: {failure}"
        if self.of_device:
            return self.of_device.permanent_error()
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
        """Why the message would fail again; None if the function would accept it."""
        error = letter.permanent_error()
        if error is None and self.startup_failure and not letter.of_device:
            return f"the processor does not start: {self.startup_failure}"
        return error


def peek(queue: QueueClient, source: QueueClient, limit: int, devices: QueueClient | None = None) -> DeadLetters:
    """Read up to `limit` different dead letters and leave them in the queue.

    `source` is the processor's queue, `devices` that of what devices publish.

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
    sources = {_source(message) for message in received.values()}
    max_receives = {
        each.arn: _max_receive_count(each) for each in (source, devices) if each is not None and each.arn in sources
    }
    letters = sorted((_letter(message, max_receives) for message in received.values()), key=lambda letter: letter.sent)
    return DeadLetters(tuple(letters), max(total, len(letters)), len(hidden), visibility_timeout)


def _source(message: Mapping[str, Any]) -> str | None:
    """The ARN of the queue from which SQS moved the message here."""
    arn: str | None = message.get("Attributes", {}).get("DeadLetterQueueSourceArn")
    return arn


def _max_receive_count(source: QueueClient) -> int | None:
    """The queue's maxReceiveCount; None if it cannot be read."""
    try:
        policy = json.loads(source.attributes().get("RedrivePolicy") or "{}")
    except IotpipeError:
        return None
    return int(policy["maxReceiveCount"]) if "maxReceiveCount" in policy else None


def _letter(message: Mapping[str, Any], max_receives: Mapping[str, int | None]) -> Letter:
    """`max_receives` are the maxReceiveCounts of the queues whose functions are ours, by ARN."""
    system, own = message.get("Attributes", {}), message.get("MessageAttributes", {})
    texts = {name: each["StringValue"] for name, each in own.items() if "StringValue" in each}
    most = max_receives.get(_source(message) or "")
    # ApproximateReceiveCount also grows with each receive from the dead-letter queue.
    receives = None if most is None else min(most, int(system.get("ApproximateReceiveCount", most)))
    return Letter(message["MessageId"], int(system.get("SentTimestamp", 0)), receives, message["Body"], texts)
