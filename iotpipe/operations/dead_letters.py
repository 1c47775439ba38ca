"""The dead letters: what failed and why. Looking takes nothing away, and hides nothing for longer than it lasts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import IotpipeError, RefusedError
from iotpipe.handlers import processed_row, queue_message
from iotpipe.operations.queue_client import BATCH, Mailbox


@dataclass(frozen=True)
class Letter:
    """One message of the dead-letter queue. `sent` is when it first entered a queue, in epoch milliseconds.

    `receives` is how often the processor had it before it came here; None where it did not come from there.
    """

    message_id: str
    sent: int
    receives: int | None
    body: str
    attributes: Mapping[str, str]

    @property
    def device_id(self) -> str | None:
        """Whose reading it is, where that can be told."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        device = found.get("device_id") if isinstance(found, dict) else None
        return device if isinstance(device, str) else None

    @property
    def correlation_id(self) -> str | None:
        return self.attributes.get("correlation_id")

    def flaw(self) -> str | None:
        """Why no repetition would help; None where the processor would take the message as it is."""
        if failure := self.attributes.get("ErrorMessage"):
            # Lambda itself put it here: a function failed that was called asynchronously.
            return f"a function was called with this and failed: {failure}"
        try:
            processed_row.processed(queue_message.read(self.body), "")
        except queue_message.Poison as error:
            return str(error)
        # Whatever the processor trips over, it hands the message back: say so instead of tripping as well.
        except Exception as error:  # noqa: BLE001
            return f"the processor cannot work with it: {type(error).__name__}"
        return None


@dataclass(frozen=True)
class Look:
    """What was seen, the oldest first. `about` is how many messages SQS counts in all.

    `hidden` messages could not be made visible again; they are by themselves after `hold` seconds. `broken` is why
    the processor does not start, if that is so.
    """

    letters: tuple[Letter, ...]
    about: int
    hidden: int
    hold: int
    broken: str = ""

    def reason(self, letter: Letter) -> str | None:
        """Why the message would fail again; None where the processor would take it as it is."""
        broken = f"the processor does not start: {self.broken}" if self.broken else None
        return letter.flaw() or broken


def look(box: Mailbox, source: Mailbox, limit: int) -> Look:
    """See up to `limit` dead letters, each once; all of them stay where they are. `source` is the processor's queue.

    Raises RefusedError where even looking could move a message on.
    """
    if box.attributes().get("RedrivePolicy"):
        raise RefusedError(
            f"{box.name} has a redrive policy of its own, so reading it could move messages",
            f"`iotpipe up --env {box.run.environment}` removes it",
        )
    about, hold = box.count(), 30 + limit // BATCH
    found: dict[str, dict[str, Any]] = {}
    handles: dict[str, str] = {}
    try:
        for messages in box.received(limit, hold):
            for message in messages:
                handles[message["MessageId"]] = message["ReceiptHandle"]
                found.setdefault(message["MessageId"], message)
    finally:
        hidden = box.show_again(handles)
    most = _most_receives(source) if any(_came_from(source, message) for message in found.values()) else None
    letters = sorted((_letter(message, source, most) for message in found.values()), key=lambda letter: letter.sent)
    return Look(tuple(letters), max(about, len(letters)), len(hidden), hold)


def _came_from(source: Mailbox, message: Mapping[str, Any]) -> bool:
    """Whether SQS itself has moved the message here."""
    return bool(message.get("Attributes", {}).get("DeadLetterQueueSourceArn") == source.arn)


def _most_receives(source: Mailbox) -> int | None:
    """After how many receives SQS moves a message on; None where that cannot be read."""
    try:
        policy = json.loads(source.attributes().get("RedrivePolicy") or "{}")
    except IotpipeError:
        return None
    return int(policy["maxReceiveCount"]) if "maxReceiveCount" in policy else None


def _letter(message: Mapping[str, Any], source: Mailbox, most: int | None) -> Letter:
    system, own = message.get("Attributes", {}), message.get("MessageAttributes", {})
    texts = {name: each["StringValue"] for name, each in own.items() if "StringValue" in each}
    receives = None
    if most is not None and _came_from(source, message):
        # SQS goes on counting here, with each look.
        receives = min(most, int(system.get("ApproximateReceiveCount", most)))
    return Letter(message["MessageId"], int(system.get("SentTimestamp", 0)), receives, message["Body"], texts)
