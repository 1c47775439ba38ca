"""CloudWatch Logs, SSM, SNS and CloudWatch: what each of them is particular about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.aws_rules.layer import Asked, Bucket, Refused, Service

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
PARAMETER_COOL_DOWN = 30


class Logs(Service):
    """Log groups: one change at a time, and some come back when the last logs of their writer are delivered."""

    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.groups: dict[str, float] = {}
        self._deliveries: list[tuple[float, str]] = []

    def every_call(self, operation: str, asked: Asked) -> None:
        self.deliver()
        name = asked.get("logGroupName")
        if name and operation.startswith(("Create", "Put", "Delete")):
            text = "A conflicting operation is currently in progress against this resource. Please try again."
            self.alone(f"log group {name}", Refused("OperationAbortedException", text))

    def deliver_late(self, name: str, role: str) -> None:
        """What a deleted function still had to say comes a little later, and makes its group if the role may."""
        arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{name}"
        if self.reality.iam.may(role, "logs:CreateLogGroup", arn):
            self._deliveries.append((self.now + self.delays.late_logs, name))

    def deliver(self) -> None:
        """Whatever is due of it by now."""
        due = [name for when, name in self._deliveries if when <= self.now]
        self._deliveries = [each for each in self._deliveries if each[0] > self.now]
        for name in due:
            self.make(name)

    def make(self, name: str) -> None:
        """AWS itself makes the group, unless it is there."""
        logs = self.reality.plain("logs")
        if not logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
            logs.create_log_group(logGroupName=name)
            self.groups[name] = self.now - self.delays.unseen

    def before_create_log_group(self, asked: Asked) -> None:
        if asked["logGroupName"] in self.groups:
            raise Refused("ResourceAlreadyExistsException", "The specified log group already exists")

    def after_create_log_group(self, asked: Asked, answer: Any) -> None:
        self.groups[asked["logGroupName"]] = self.now

    def after_describe_log_groups(self, asked: Asked, answer: Any) -> None:
        answer["logGroups"] = [
            each
            for each in answer["logGroups"]
            if self.now >= self.groups.get(each["logGroupName"], 0) + self.delays.unseen
        ]

    def before_put_retention_policy(self, asked: Asked) -> None:
        if asked["retentionInDays"] not in RETENTIONS:
            text = f"1 validation error detected: Value '{asked['retentionInDays']}' at 'retentionInDays' failed"
            raise Refused("InvalidParameterException", text)

    def after_delete_log_group(self, asked: Asked, answer: Any) -> None:
        self.groups.pop(asked["logGroupName"], None)


class Ssm(Service):
    """Parameters: AWS asks to wait 30 s before a deleted name is used again."""

    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.made: dict[str, float] = {}
        self.deleted: dict[str, float] = {}

    def before_put_parameter(self, asked: Asked) -> None:
        name = asked["Name"]
        if not asked.get("Overwrite"):
            deleted = self.deleted.get(name)
            if name in self.made or (deleted is not None and self.now < deleted + PARAMETER_COOL_DOWN):
                # What exactly it answers within the 30 s is not documented: the old one still being there is likely.
                raise Refused("ParameterAlreadyExists", _PARAMETER_THERE)
        text = "There are concurrent updates for a resource that supports one update at a time."
        self.alone(f"parameter {name}", Refused("TooManyUpdates", text))

    def after_put_parameter(self, asked: Asked, answer: Any) -> None:
        self.made.setdefault(asked["Name"], self.now)

    def _unseen(self, name: str) -> bool:
        return name in self.made and self.now < self.made[name] + self.delays.unseen

    def before_get_parameter(self, asked: Asked) -> None:
        if self._unseen(asked["Name"]):
            raise Refused("ParameterNotFound", "")  # AWS says no more than that

    def after_describe_parameters(self, asked: Asked, answer: Any) -> None:
        answer["Parameters"] = [each for each in answer["Parameters"] if not self._unseen(each["Name"])]

    def after_delete_parameter(self, asked: Asked, answer: Any) -> None:
        self.made.pop(asked["Name"], None)
        self.deleted[asked["Name"]] = self.now


_PARAMETER_THERE = (
    "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
)


@dataclass
class KnownTopic:
    made: float
    tags: Any
    attributes: Any
    mails: dict[str, int] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)


class Sns(Service):
    """Topics: subscriptions are pending until their owner has clicked; tags are changed one after the other."""

    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.topics: dict[str, KnownTopic] = {}
        self.deleted: dict[str, float] = {}

    def before_create_topic(self, asked: Asked) -> None:
        topic = self.topics.get(asked["Name"])
        for name in ("Attributes", "Tags"):
            if topic and getattr(topic, name.lower()) != asked.get(name, type(getattr(topic, name.lower()))()):
                text = f"Invalid parameter: {name} Reason: Topic already exists with different {name.lower()}"
                raise Refused("InvalidParameter", text)

    def after_create_topic(self, asked: Asked, answer: Any) -> None:
        made = KnownTopic(self.now, asked.get("Tags", []), asked.get("Attributes", {}))
        self.topics.setdefault(asked["Name"], made)

    def _topic(self, arn: str) -> KnownTopic | None:
        return self.topics.get(arn.split(":")[5])

    def before_get_topic_attributes(self, asked: Asked) -> None:
        topic = self._topic(asked["TopicArn"])
        if topic and self.now < topic.made + self.delays.unseen:
            raise Refused("NotFound", "Topic does not exist", 404)

    def after_delete_topic(self, asked: Asked, answer: Any) -> None:
        name = asked["TopicArn"].split(":")[5]
        if self.topics.pop(name, None):
            self.deleted[name] = self.now

    def _retag(self, asked: Asked) -> None:
        name = asked["ResourceArn"].split(":")[5]
        if self.now < self.deleted.get(name, -1e9) + self.delays.stale_tags:
            text = "A tag has been added to a resource with the same ARN as a deleted resource."
            raise Refused("StaleTag", text)
        text = "Can't perform multiple operations on a tag. Perform the operations sequentially."
        self.alone(f"tags of {name}", Refused("ConcurrentAccess", text))

    def before_tag_resource(self, asked: Asked) -> None:
        self._retag(asked)

    def before_untag_resource(self, asked: Asked) -> None:
        self._retag(asked)

    def after_subscribe(self, asked: Asked, answer: Any) -> None:
        topic = self._topic(asked["TopicArn"])
        assert topic
        topic.mails[asked["Endpoint"]] = topic.mails.get(asked["Endpoint"], 0) + 1
        answer["SubscriptionArn"] = "pending confirmation"

    def after_list_subscriptions_by_topic(self, asked: Asked, answer: Any) -> None:
        topic = self._topic(asked["TopicArn"])
        for each in answer["Subscriptions"]:
            if topic and each["Endpoint"] not in topic.confirmed:
                each["SubscriptionArn"] = "PendingConfirmation"

    def before_unsubscribe(self, asked: Asked) -> None:
        topic = self._topic(asked["SubscriptionArn"]) if asked["SubscriptionArn"].startswith("arn:") else None
        if topic is None or not topic.confirmed:
            text = "Invalid parameter: SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending"
            raise Refused("InvalidParameter", f"{text} confirmation")


class CloudWatch(Service):
    """Alarms: three changes a second."""

    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self._quotas = {"PutMetricAlarm": Bucket(3, 3), "DeleteAlarms": Bucket(3, 3), "DescribeAlarms": Bucket(9, 9)}

    def every_call(self, operation: str, asked: Asked) -> None:
        if operation in self._quotas and not self._quotas[operation].take(self.now):
            raise Refused("Throttling", "Rate exceeded")
