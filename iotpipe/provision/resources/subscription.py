"""E-mail subscriptions to an SNS topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.provision.resources.topic import Topic, topic_tags
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run


def _its_subscriptions(run: Run, subscription: Subscription) -> list[dict[str, str]]:
    return subscriptions(run, subscription.topic.arn(run))


@dataclass(frozen=True, eq=False)
class Subscription(Resource):
    """One e-mail address that gets the topic's messages once its owner has confirmed.

    `name` is the address in lower case, because SNS would mail the owner again for an address in another case.
    `endpoint` is the address as it was written, where that differs.
    """

    kind: ClassVar[str] = "subscription"
    aws_service: ClassVar[str] = "sns"
    inside: ClassVar[str] = "topic"
    extra_reads: ClassVar = (_its_subscriptions,)
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Subscriptions",
            "sns",
            (regional_arn("sns", "{topic}"),),
            plan="GetSubscriptionAttributes",
            up="Subscribe Unsubscribe SetSubscriptionAttributes",
        ),
    )

    topic: Topic
    endpoint: str = ""

    def desired(self, run: Run) -> Properties:
        return {"TopicArn": self.topic.arn(run), "Protocol": "email", "Endpoint": self.endpoint or self.name}

    def read(self, run: Run) -> Properties | None:
        if run.look(self.topic) is None:
            return None
        # A pending subscription counts: subscribing again would send another mail.
        return self.desired(run) if self.name in _emails(subscriptions(run, self.topic.arn(run))) else None

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("sns").subscribe(**desired)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        sns = run.client("sns")
        try:
            arn = _emails(_listed(run, recorded.properties["TopicArn"])).get(recorded.name, "")
            # A pending subscription has no ARN and cannot be deleted: it expires by itself.
            if arn.startswith("arn:"):
                sns.unsubscribe(SubscriptionArn=arn)
        except sns.exceptions.NotFoundException:
            return

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # A subscription does not show who created it. Where the topic is not recorded, the state file is lost: every
        # subscription of the topic is a candidate.
        for each in run.resources:
            if isinstance(each, Topic) and not run.recorded(each) and run.look(each) is not None:
                for name in _emails(subscriptions(run, each.arn(run))):
                    yield Recorded(f"{cls.kind}/{name}", cls.kind, name, {"TopicArn": each.arn(run)})

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The topic's tags; None if the address is not subscribed."""
        topic = recorded.properties["TopicArn"].rpartition(":")[2]
        tags = topic_tags(run, topic)
        if tags is None or recorded.name not in _emails(_listed(run, recorded.properties["TopicArn"])):
            return None
        return tags


def subscriptions(run: Run, topic_arn: str) -> list[dict[str, str]]:
    """Everything that is subscribed to the topic, listed once per command."""
    return run.once(f"subscriptions of {topic_arn}", lambda: _listed(run, topic_arn))


def _listed(run: Run, topic_arn: str) -> list[dict[str, str]]:
    pages = run.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    return [each for page in pages for each in page["Subscriptions"]]


def _emails(listed: list[dict[str, str]]) -> dict[str, str]:
    """The ARN of each address's subscription, by the address in lower case."""
    found = (each for each in listed if each["Protocol"] == "email")
    # For a while SNS still lists a deleted subscription, beside a new one of the same address.
    return {each["Endpoint"].lower(): each["SubscriptionArn"] for each in found if each["SubscriptionArn"] != "Deleted"}
