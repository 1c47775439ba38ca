"""Move dead letters one batch at a time, each to the queue where it can be processed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iotpipe.errors import ResourceError
from iotpipe.handlers.tables import chunks
from iotpipe.operations.device_letters import device_letter, identity
from iotpipe.operations.queue_client import BATCH, QueueClient
from iotpipe.provision.run import Event

# Some queues still accept no more in one call, though newer ones accept 1 MiB.
_MAX_BYTES = 262_144
_VISIBILITY_TIMEOUT = 120
Message = Mapping[str, Any]


@dataclass
class Moved:
    """How many messages were moved, `to_devices` of them to the device queue. `reasons` is why others stayed, by id.

    `returned` counts moved messages that failed again during the redrive and are dead letters once more.
    """

    moved: int = 0
    to_devices: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    returned: int = 0


@dataclass
class _Letter:
    """A dead letter on its way: where to, and with which body."""

    message: Message
    to: QueueClient
    body: str
    identity: str | None = None
    """What it has in common with the dead letter that ingestion writes if it refuses it again."""


@dataclass
class Batches:
    """Moves dead letters one batch at a time."""

    dead: QueueClient
    target: QueueClient
    devices: QueueClient | None
    result: Moved = field(default_factory=Moved)
    sent: set[str] = field(default_factory=set)
    """Ids that SQS gave to messages that were sent, and identities of what devices published."""

    def move(self, limit: int | None, total: int) -> Moved:
        """Move up to `limit` messages, or all; `total` is for the progress."""
        result = self.result
        seen: set[str] = set()
        hidden: dict[str, str] = {}
        try:
            for messages in self.dead.receive(limit, _VISIBILITY_TIMEOUT):
                hidden |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
                new = {message["MessageId"]: message for message in messages if message["MessageId"] not in seen}
                seen.update(new)
                for chunk in self._chunks(list(self._unsent(new))):
                    for message_id in self._move(chunk):
                        del hidden[message_id]
                report_progress(self.dead, result.moved, total)
        except ResourceError as error:
            message = f"{result.moved} messages were sent back, then: {error.message}"
            raise ResourceError(message, error.hint, address=error.address, code=error.code) from error
        finally:
            self.dead.make_visible(hidden)
        return result

    def _unsent(self, new: Mapping[str, Message]) -> Iterator[_Letter]:
        """The letters to move. One that has failed again returns: moving it again would loop for ever.

        SQS returns it with the id that it was sent with. Ingestion writes a new dead letter about the same message.
        """
        for message_id, message in new.items():
            letter = self._letter(message)
            if letter is None:
                self.result.reasons[message_id] = "a device published it, and the environment takes no such messages"
            elif message_id in self.sent or letter.identity in self.sent:
                self.result.returned += 1
            else:
                yield letter

    def _letter(self, message: Message) -> _Letter | None:
        """Decide where a message goes; None if the queue that it belongs to does not exist."""
        attributes = message.get("Attributes", {})
        found = device_letter(message["Body"], int(attributes.get("SentTimestamp", 0)))
        if found:
            return _Letter(message, self.devices, found.resend, found.identity) if self.devices else None
        # Not the topic rule's, but only ingestion's dead letter of it says why.
        if self.devices and attributes.get("DeadLetterQueueSourceArn") == self.devices.arn:
            return _Letter(message, self.devices, message["Body"], identity(message["Body"]))
        return _Letter(message, self.target, message["Body"])

    def _chunks(self, letters: Sequence[_Letter]) -> Iterator[list[_Letter]]:
        """What can be sent in one call: to one queue, and not too large."""
        for queue in (self.target, self.devices):
            yield from chunks([letter for letter in letters if letter.to is queue], BATCH, _MAX_BYTES, _size)

    def _move(self, letters: Sequence[_Letter]) -> list[str]:
        """Send the messages, then delete them, so that each is always in at least one queue. Return the deleted ids.

        A message that cannot be deleted stays as a copy; its function stores both as one row.
        """
        result = self.result
        entries = [{"Id": str(number), **_entry(letter)} for number, letter in enumerate(letters)]
        response = letters[0].to.call("send to", "send_message_batch", Entries=entries)
        for failure in response.get("Failed", []):
            why = ": ".join(filter(None, (failure.get("Code"), failure.get("Message"))))
            result.reasons[letters[int(failure["Id"])].message["MessageId"]] = why or "SQS gives no reason"
        accepted = {success["Id"]: letters[int(success["Id"])] for success in response.get("Successful", [])}
        self.sent.update(success["MessageId"] for success in response.get("Successful", []))
        self.sent.update(letter.identity for letter in accepted.values() if letter.identity is not None)
        result.moved += len(accepted)
        result.to_devices += sum(letter.to is self.devices for letter in accepted.values())
        if not accepted:
            return []
        handles = [{"Id": number, "ReceiptHandle": each.message["ReceiptHandle"]} for number, each in accepted.items()]
        for failure in self.dead.call("delete from", "delete_message_batch", Entries=handles).get("Failed", []):
            message_id = accepted.pop(failure["Id"]).message["MessageId"]
            result.reasons[message_id] = f"was sent back, but a copy remains: {failure.get('Code')}"
        return [letter.message["MessageId"] for letter in accepted.values()]


def _entry(letter: _Letter) -> dict[str, Any]:
    """The SendMessageBatch entry of a received message."""
    parts = ("DataType", "StringValue", "BinaryValue")
    attributes = {
        name: {part: attribute[part] for part in parts if part in attribute}
        for name, attribute in letter.message.get("MessageAttributes", {}).items()
    }
    entry = {"MessageBody": letter.body, "MessageAttributes": attributes}
    if trace := letter.message.get("Attributes", {}).get("AWSTraceHeader"):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry


def _size(letter: _Letter) -> int:
    """Bytes as SQS counts them: the body, and names, types and values of the attributes."""
    attributes = letter.message.get("MessageAttributes", {})
    values = (each.get("BinaryValue", b"") or each.get("StringValue", "").encode() for each in attributes.values())
    names_and_types = sum(len(name) + len(each["DataType"]) for name, each in attributes.items())
    return len(letter.body.encode()) + names_and_types + sum(map(len, values))


def report_progress(dead: QueueClient, moved: int, total: int) -> None:
    dead.run.tell(Event(dead.address, "waiting", f"sending back: {moved} of about {total}"))
