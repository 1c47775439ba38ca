"""SQS: new queues cannot be used at once, deleted ones still answer, tags and attributes are seen late."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.aws_rules.layer import Asked, Late, Refused, Service

COOL_DOWN = 60


@dataclass
class KnownQueue:
    made: float
    visibility: Late
    tags: Late
    deleted: float | None = None
    last_words: Any = None


def _missing() -> Refused:
    return Refused(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
        shape="QueueDoesNotExist",
    )


class Sqs(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.queues: dict[str, KnownQueue] = {}

    def living(self, name: str) -> KnownQueue | None:
        queue = self.queues.get(name)
        return queue if queue and queue.deleted is None else None

    def usable(self, arn: str) -> bool:
        """Whether other services find the queue."""
        queue = self.living(arn.rsplit(":", 1)[1])
        return queue is not None and self.now >= queue.made + self.delays.queue_usable

    def visibility(self, arn: str) -> int:
        """The visibility timeout as Lambda sees it."""
        return int(self.queues[arn.rsplit(":", 1)[1]].visibility.seen(self.now))

    def before_create_queue(self, asked: Asked) -> None:
        queue = self.queues.get(asked["QueueName"])
        if queue and queue.deleted is not None and self.now < queue.deleted + COOL_DOWN:
            raise Refused(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
                shape="QueueDeletedRecently",
            )
        self._find_target(asked["Attributes"])

    def after_create_queue(self, asked: Asked, answer: Any) -> None:
        if not self.living(asked["QueueName"]):
            visibility = Late(self.now, asked["Attributes"].get("VisibilityTimeout", "30"))
            tags = Late(self.now, asked.get("tags", {}), self.delays.queue_tags)
            self.queues[asked["QueueName"]] = KnownQueue(self.now, visibility, tags)

    def _find_target(self, attributes: Asked) -> None:
        policy = attributes.get("RedrivePolicy")
        if policy and not self.usable(json.loads(policy)["deadLetterTargetArn"]):
            raise Refused(
                "InvalidParameterValue",
                f"Value {policy} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
            )

    def _read(self, asked: Asked) -> KnownQueue | None:
        """What reads see: nothing yet of a new queue, and still something of a deleted one."""
        queue = self.queues.get(asked["QueueUrl"].rsplit("/", 1)[1])
        if queue and self.now < queue.made + self.delays.unseen:
            raise _missing()
        lingers = queue and queue.deleted is not None and self.now < queue.deleted + self.delays.queue_gone
        return queue if lingers else None

    def before_get_queue_attributes(self, asked: Asked) -> Any:
        lingering = self._read(asked)
        return {"Attributes": dict(lingering.last_words)} if lingering else None

    def before_list_queue_tags(self, asked: Asked) -> Any:
        lingering = self._read(asked)
        return {"Tags": lingering.tags.newest} if lingering else None

    def after_list_queue_tags(self, asked: Asked, answer: Any) -> None:
        queue = self.living(asked["QueueUrl"].rsplit("/", 1)[1])
        if queue:
            answer["Tags"] = queue.tags.seen(self.now, {})

    def _write(self, asked: Asked) -> None:
        queue = self.living(asked["QueueUrl"].rsplit("/", 1)[1])
        if queue and self.now < queue.made + self.delays.queue_usable:
            raise _missing()

    def before_set_queue_attributes(self, asked: Asked) -> None:
        self._write(asked)
        self._find_target(asked["Attributes"])

    def after_set_queue_attributes(self, asked: Asked, answer: Any) -> None:
        queue = self.queues[asked["QueueUrl"].rsplit("/", 1)[1]]
        if "VisibilityTimeout" in asked["Attributes"]:
            queue.visibility.set(self.now, asked["Attributes"]["VisibilityTimeout"], self.delays.queue_attributes)

    def before_tag_queue(self, asked: Asked) -> None:
        self._write(asked)

    def before_untag_queue(self, asked: Asked) -> None:
        self._write(asked)

    def after_tag_queue(self, asked: Asked, answer: Any) -> None:
        queue = self.queues[asked["QueueUrl"].rsplit("/", 1)[1]]
        queue.tags.set(self.now, queue.tags.newest | asked["Tags"], self.delays.queue_tags)

    def after_untag_queue(self, asked: Asked, answer: Any) -> None:
        queue = self.queues[asked["QueueUrl"].rsplit("/", 1)[1]]
        kept = {key: value for key, value in queue.tags.newest.items() if key not in asked["TagKeys"]}
        queue.tags.set(self.now, kept, self.delays.queue_tags)

    def before_delete_queue(self, asked: Asked) -> None:
        queue = self.living(asked["QueueUrl"].rsplit("/", 1)[1])
        if queue:
            queue.last_words = self._attributes(asked["QueueUrl"])

    def after_delete_queue(self, asked: Asked, answer: Any) -> None:
        queue = self.queues.get(asked["QueueUrl"].rsplit("/", 1)[1])
        if queue:
            queue.deleted = self.now

    def _attributes(self, url: str) -> Any:
        found = self.reality.plain("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return found["Attributes"]
