"""SNS topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iotpipe.provision.resource import (
    Properties,
    Recorded,
    Resource,
    optional,
    optional_found,
    tag_changes,
    tag_dict,
    tag_list,
)
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of

_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId")


TOPIC_ARN = (regional_arn("sns", "{name}"),)


@dataclass(frozen=True, eq=False)
class Topic(Resource):
    """A topic that people subscribe to, encrypted with the KMS key of the ARN `kms_key`; None leaves it in clear."""

    kind: ClassVar[str] = "topic"
    aws_service: ClassVar[str] = "sns"
    arn_form: ClassVar[str] = r"sns:(?P<name>[^:]+)"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Topics",
            "sns",
            TOPIC_ARN,
            plan="GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic",
            up="CreateTopic SetTopicAttributes TagResource UntagResource",
            down="DeleteTopic",
        ),
        # The key and its policy are looked at before anything is encrypted with it.
        Right("ReadKey", "kms", ("{key}",), plan="DescribeKey GetKeyPolicy", of="key"),
        # The reference lists no resource for what is done to a subscription; AWS's refusals name the topic.
        Right("Subscriptions", "sns", TOPIC_ARN, up="Unsubscribe"),
    )

    display_name: str
    kms_key: str | None = None

    def arn(self, run: Run) -> str:
        return run.aws.arn("sns", self.name)

    def desired(self, run: Run) -> Properties:
        key = optional(run, self, "KmsMasterKeyId", self.kms_key, "")
        return {"DisplayName": self.display_name, **key, "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        sns = run.client("sns")
        try:
            found = sns.get_topic_attributes(TopicArn=self.arn(run))["Attributes"]
        except sns.exceptions.NotFoundException:
            return None
        key = optional_found(run, self, "KmsMasterKeyId", found.get("KmsMasterKeyId", ""))
        tags = tags_of(run, self.arn(run), lambda: topic_tags(run, self.name) or {})
        return {**found, **key, "DisplayName": found.get("DisplayName", ""), "Tags": tags}

    def create(self, run: Run, desired: Properties) -> Properties:
        attributes = {name: desired[name] for name in _ATTRIBUTES if name in desired}
        run.client("sns").create_topic(Name=self.name, Attributes=attributes, Tags=tag_list(desired["Tags"]))
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        sns = run.client("sns")
        for name in _ATTRIBUTES:
            if name in desired and desired[name] != observed.get(name):
                sns.set_topic_attributes(TopicArn=self.arn(run), AttributeName=name, AttributeValue=desired[name])
        changed, removed = tag_changes(desired, observed)
        if changed:
            sns.tag_resource(ResourceArn=self.arn(run), Tags=tag_list(changed))
        if removed:
            sns.untag_resource(ResourceArn=self.arn(run), TagKeys=removed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        # SNS answers success for a topic that is not there.
        run.client("sns").delete_topic(TopicArn=run.aws.arn("sns", recorded.name))

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return topic_tags(run, recorded.name)


def topic_tags(run: Run, name: str) -> dict[str, str] | None:
    sns = run.client("sns")
    try:
        return tag_dict(sns.list_tags_for_resource(ResourceArn=run.aws.arn("sns", name))["Tags"])
    except sns.exceptions.ResourceNotFoundException:
        return None
