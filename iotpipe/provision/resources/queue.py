"""SQS queues."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import MESSAGES, Properties, Recorded, Resource, optional, optional_found, tag_changes
from iotpipe.provision.rights import Right, regional_arn, use_key
from iotpipe.provision.run import Run

REUSED = "300"
"""Seconds for which SQS goes on with a data key before it asks KMS for another; AWS's default."""
_ENCRYPTION = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds")


_ARN = (regional_arn("sqs", "{name}"),)


@dataclass(frozen=True, eq=False)
class Queue(Resource):
    """A standard queue; times in seconds. A message that is received `max_receives` times moves to `dead_letter`.

    `kms_key` is the ARN of the KMS key that encrypts it; None leaves that to SQS.
    """

    kind: ClassVar[str] = "queue"
    aws_service: ClassVar[str] = "sqs"
    name_reuse_delay: ClassVar[int] = 60
    # CreateQueue does not return it, and a new queue cannot be read at once: the next `up` records it.
    assigned: ClassVar[tuple[str, ...]] = ("CreatedTimestamp",)
    identity: ClassVar[tuple[str, ...]] = ("CreatedTimestamp",)
    arn_form: ClassVar[str] = r"sqs:(?P<name>.+)"
    holds: ClassVar[str] = MESSAGES
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Queues",
            "sqs",
            _ARN,
            plan="GetQueueAttributes ListQueueTags",
            up="CreateQueue SetQueueAttributes TagQueue UntagQueue",
            down="DeleteQueue",
            operate="GetQueueUrl",
            view="GetQueueAttributes",
        ),
        # Redriving asks for all of these at the dead-letter queue, and for SendMessage at the other.
        Right(
            "DeadLetters",
            "sqs",
            _ARN,
            of="used_by_queue",
            operate="ReceiveMessage DeleteMessage ChangeMessageVisibility PurgeQueue"
            " StartMessageMoveTask ListMessageMoveTasks",
            view="ReceiveMessage ChangeMessageVisibility",
        ),
        Right("Readings", "sqs", _ARN, of="queue", operate="SendMessage"),
        use_key("sqs", operate="Decrypt GenerateDataKey", view="Decrypt"),
        # Metrics have no ARN.
        Right("Anywhere", "cloudwatch", ("*",), plan="GetMetricData", view="GetMetricData"),
    )

    retention: int
    visibility_timeout: int = 30
    dead_letter: Queue | None = None
    max_receives: int = 0
    kms_key: str | None = None

    def arn(self, run: Run) -> str:
        return run.aws.arn("sqs", self.name)

    def url(self, run: Run) -> str:
        return url_of(run, self.name)

    def desired(self, run: Run) -> Properties:
        redrive: Properties = {}
        if self.dead_letter:
            target = self.dead_letter.arn(run)
            redrive = {"deadLetterTargetArn": target, "maxReceiveCount": self.max_receives}
        return {
            "VisibilityTimeout": str(self.visibility_timeout),
            "MessageRetentionPeriod": str(self.retention),
            "RedrivePolicy": redrive,
            **optional(run, self, "KmsMasterKeyId", self.kms_key, ""),
            **({"KmsDataKeyReusePeriodSeconds": REUSED} if self.kms_key else {}),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        sqs = run.client("sqs")
        try:
            found = sqs.get_queue_attributes(QueueUrl=self.url(run), AttributeNames=["All"])["Attributes"]
        except sqs.exceptions.QueueDoesNotExist:
            return None
        policy = json.loads(found.get("RedrivePolicy") or "{}")
        if "maxReceiveCount" in policy:
            policy["maxReceiveCount"] = int(policy["maxReceiveCount"])
        key = optional_found(run, self, "KmsMasterKeyId", found.get("KmsMasterKeyId", ""))
        return {**found, **key, "RedrivePolicy": policy, "Tags": _tags(run, self.name) or {}}

    def create(self, run: Run, desired: Properties) -> Properties:
        attributes = {key: value for key, value in _attributes(desired).items() if value}
        run.client("sqs").create_queue(QueueName=self.name, Attributes=attributes, tags=desired["Tags"])
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        sqs = run.client("sqs")
        wanted, live = _attributes(desired), _attributes(observed)
        if attributes := {key: value for key, value in wanted.items() if value != live.get(key)}:
            if "KmsMasterKeyId" in attributes:
                # SQS encrypts either with a KMS key or with its own, and requires both attributes in one call.
                attributes["SqsManagedSseEnabled"] = "false" if attributes["KmsMasterKeyId"] else "true"
            sqs.set_queue_attributes(QueueUrl=self.url(run), Attributes=attributes)
        changed, removed = tag_changes(desired, observed)
        if changed:
            sqs.tag_queue(QueueUrl=self.url(run), Tags=changed)
        if removed:
            sqs.untag_queue(QueueUrl=self.url(run), TagKeys=removed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        sqs = run.client("sqs")
        try:
            sqs.delete_queue(QueueUrl=url_of(run, recorded.name))
        except sqs.exceptions.QueueDoesNotExist:
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return _tags(run, recorded.name)

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        sqs = run.client("sqs")
        found: Properties = sqs.get_queue_attributes(
            QueueUrl=url_of(run, recorded.name), AttributeNames=["CreatedTimestamp"]
        )["Attributes"]
        return found


def url_of(run: Run, name: str) -> str:
    """The queue's URL, which follows from its name; `up` need not ask for it and handlers get it before it exists."""
    return f"https://{run.aws.host('sqs')}/{run.aws.account}/{name}"


def _tags(run: Run, name: str) -> dict[str, str] | None:
    sqs = run.client("sqs")
    try:
        tags: dict[str, str] = sqs.list_queue_tags(QueueUrl=url_of(run, name)).get("Tags", {})
    except sqs.exceptions.QueueDoesNotExist:
        return None
    return tags


def _attributes(properties: Properties) -> dict[str, Any]:
    """As the queue's attributes want it. SQS clears the redrive policy with an empty text and refuses "{}"."""
    policy = properties["RedrivePolicy"]
    return {
        "VisibilityTimeout": properties["VisibilityTimeout"],
        "MessageRetentionPeriod": properties["MessageRetentionPeriod"],
        "RedrivePolicy": json.dumps(policy, sort_keys=True) if policy else "",
        **{key: properties[key] for key in _ENCRYPTION if key in properties},
    }
