"""Client of one SQS queue: attributes, message counts, receive without delete, and make visible again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import IotpipeError, ResourceError
from iotpipe.provision.resources.queue import url_of
from iotpipe.provision.run import Run

BATCH = 10
"""The most messages that one SQS call receives, sends, deletes or makes visible."""

GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
"""The error codes of a queue that does not exist."""

# A standard queue may return the same messages several times while others wait.
_MAX_REPEATS = 3


@dataclass(frozen=True)
class QueueClient:
    """A queue of this environment, by its name."""

    run: Run
    name: str

    @property
    def address(self) -> str:
        return f"queue/{self.name}"

    @property
    def arn(self) -> str:
        return self.run.aws.arn("sqs", self.name)

    def call(self, verb: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call SQS with this queue's URL. Raises ResourceError, with a hint if the queue does not exist."""
        url = url_of(self.run, self.name)

        def attempt(number: int) -> dict[str, Any]:
            response: dict[str, Any] = getattr(self.run.client("sqs"), operation)(QueueUrl=url, **parameters)
            return response

        try:
            return self.run.with_retries(verb, self.address, attempt)
        except ResourceError as error:
            if error.code not in GONE:
                raise
            hint = f"Run `iotpipe up --env {self.run.environment}`: it creates what is missing"
            raise ResourceError(f"there is no queue {self.name}", hint, address=self.address, code=error.code) from None

    def attributes(self) -> dict[str, str]:
        """All attributes of the queue; the message counts are approximate."""
        attributes: dict[str, str] = self.call("read", "get_queue_attributes", AttributeNames=["All"])["Attributes"]
        return attributes

    def count(self) -> int:
        """The approximate number of messages: visible, in-flight and delayed."""
        attributes = self.attributes()
        names = ("", "NotVisible", "Delayed")
        return sum(int(attributes.get(f"ApproximateNumberOfMessages{each}", 0)) for each in names)

    def receive(self, limit: int | None, visibility_timeout: int) -> Iterator[list[dict[str, Any]]]:
        """Receive batches until the queue is empty or `limit` different messages have come.

        A message may come twice; only its newest receipt handle works. `visibility_timeout` is in seconds.
        """
        known: set[str] = set()
        repeats = 0
        while repeats < _MAX_REPEATS and (limit is None or len(known) < limit):
            # Long polling queries all SQS servers; short polling may miss messages.
            response = self.call(
                "receive from",
                "receive_message",
                MaxNumberOfMessages=BATCH if limit is None else min(BATCH, limit - len(known)),
                VisibilityTimeout=visibility_timeout,
                WaitTimeSeconds=1,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = response.get("Messages") or []
            if not messages:
                return
            repeats = repeats + 1 if all(message["MessageId"] in known for message in messages) else 0
            known.update(message["MessageId"] for message in messages)
            yield messages

    def make_visible(self, handles: Mapping[str, str]) -> list[str]:
        """Make messages visible at once, by id and receipt handle. Return the ids that stay hidden for now."""
        hidden = []
        for ids in batches(list(handles)):
            entries = [
                {"Id": str(number), "ReceiptHandle": handles[message_id], "VisibilityTimeout": 0}
                for number, message_id in enumerate(ids)
            ]
            try:
                response = self.call("make messages visible in", "change_message_visibility_batch", Entries=entries)
            except IotpipeError:
                # They become visible when their visibility timeout ends; this must not discard what was received.
                hidden += ids
            else:
                hidden += [ids[int(failure["Id"])] for failure in response.get("Failed", [])]
        return hidden


def messages_lost(run: Run, name: str) -> str:
    """One line about the messages that deleting the queue loses; empty if it has none."""
    queue = QueueClient(run, name)
    try:
        number = queue.count()
    except ResourceError as error:
        return "" if error.code in GONE else f"the number of messages in {queue.address} is unknown: {error}"
    return f"{queue.address}: its pending messages will be deleted, about {number}" if number else ""


def batches(values: list[str]) -> Iterator[list[str]]:
    """Split into groups of at most BATCH."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
