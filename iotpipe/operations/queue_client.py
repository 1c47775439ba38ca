"""One queue as it is looked into: received from without taking, and made visible again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import IotpipeError, ResourceError
from iotpipe.provision.resources.queue import url_of
from iotpipe.provision.run import Run

BATCH = 10
"""SQS receives, sends, deletes and makes visible so many messages in one call at most."""

_GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
# A standard queue may answer with the same messages again and again while others wait.
_MOST_REPEATS = 3


@dataclass(frozen=True)
class Mailbox:
    """A queue of this environment, by its name."""

    run: Run
    name: str

    @property
    def address(self) -> str:
        return f"queue/{self.name}"

    @property
    def arn(self) -> str:
        return self.run.aws.arn("sqs", self.name)

    def ask(self, verb: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call SQS about this queue. Raises ResourceError, with what to do where the queue is gone."""
        url = url_of(self.run, self.name)

        def attempt(number: int) -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self.run.client("sqs"), operation)(QueueUrl=url, **parameters)
            return answer

        try:
            return self.run.trying(verb, self.address, attempt)
        except ResourceError as error:
            if error.code not in _GONE:
                raise
            hint = f"Run `iotpipe up --env {self.run.environment}`: it creates what is missing"
            raise ResourceError(f"there is no queue {self.name}", hint, address=self.address, code=error.code) from None

    def attributes(self) -> dict[str, str]:
        """What SQS says of the queue; its counts are approximate."""
        found: dict[str, str] = self.ask("read", "get_queue_attributes", AttributeNames=["All"])["Attributes"]
        return found

    def count(self) -> int:
        """About how many messages there are, those included that somebody is just working on."""
        found = self.attributes()
        names = ("", "NotVisible", "Delayed")
        return sum(int(found.get(f"ApproximateNumberOfMessages{each}", 0)) for each in names)

    def received(self, limit: int | None, hold: int) -> Iterator[list[dict[str, Any]]]:
        """Messages as they come, in batches, each hidden for `hold` seconds; `limit` counts different ones.

        One may come twice: its newer receipt handle is the one that works.
        """
        known: set[str] = set()
        repeats = 0
        while repeats < _MOST_REPEATS and (limit is None or len(known) < limit):
            # Waiting makes SQS ask all its servers: without it, it may overlook messages.
            answer = self.ask(
                "receive from",
                "receive_message",
                MaxNumberOfMessages=BATCH if limit is None else min(BATCH, limit - len(known)),
                VisibilityTimeout=hold,
                WaitTimeSeconds=1,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages") or []
            if not messages:
                return
            repeats = repeats + 1 if all(each["MessageId"] in known for each in messages) else 0
            known.update(each["MessageId"] for each in messages)
            yield messages

    def show_again(self, handles: Mapping[str, str]) -> list[str]:
        """Make messages visible at once, by id and receipt handle. Answers with the ids that stay hidden for now."""
        hidden = []
        for ids in in_batches(list(handles)):
            entries = [
                {"Id": str(number), "ReceiptHandle": handles[name], "VisibilityTimeout": 0}
                for number, name in enumerate(ids)
            ]
            try:
                answer = self.ask("show again in", "change_message_visibility_batch", Entries=entries)
            except IotpipeError:
                # They come back by themselves when their time is over, and what was found is not lost over this.
                hidden += ids
            else:
                hidden += [ids[int(each["Id"])] for each in answer.get("Failed", [])]
        return hidden


def messages_lost(run: Run, name: str) -> str:
    """What is lost with a queue that is deleted, as a line; empty where it holds nothing."""
    box = Mailbox(run, name)
    try:
        number = box.count()
    except ResourceError as error:
        return "" if error.code in _GONE else f"the number of messages in {box.address} is unknown: {error}"
    return f"{box.address}: its pending messages will be deleted, about {number}" if number else ""


def in_batches(values: list[str]) -> Iterator[list[str]]:
    """As many at once as SQS takes."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
