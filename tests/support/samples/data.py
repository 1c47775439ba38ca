"""Samples of what holds data and passes it on: tables, queues, topics, parameters."""

from __future__ import annotations

import json
from typing import Any

from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from tests.support.manual_edits import (
    arn,
    as_tags,
    client,
    pairs,
    queue_url,
)
from tests.support.samples.sample import IDENTITY, KMS_KEY, OTHER_KEY, OURS, Sample, Tagging, Tampering

# Tables

_KEYS = {
    "KeySchema": [
        {"AttributeName": "device_id", "KeyType": "HASH"},
        {"AttributeName": "timestamp", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "device_id", "AttributeType": "S"},
        {"AttributeName": "timestamp", "AttributeType": "N"},
    ],
}
_TABLE = arn("dynamodb", "table/sample-table")


def a_table() -> Table:
    return Table("sample-table", ("device_id", "S"), ("timestamp", "N"), True, False, KMS_KEY)


def _make_table(tags: dict[str, str], **changes: Any) -> None:
    settings = _KEYS | {"BillingMode": "PAY_PER_REQUEST"} | changes
    client("dynamodb").create_table(TableName="sample-table", **settings, Tags=pairs(tags))


def _update_table(**changes: Any) -> None:
    client("dynamodb").update_table(TableName="sample-table", **changes)


def _table_tags() -> dict[str, str]:
    pages = client("dynamodb").get_paginator("list_tags_of_resource").paginate(ResourceArn=_TABLE)
    return as_tags([each for page in pages for each in page["Tags"]])


def _remove_table() -> None:
    client("dynamodb").delete_table(TableName="sample-table")


def _make_table_anew(**changes: Any) -> None:
    _remove_table()
    _make_table(OURS, **changes)


def _set_recovery(enabled: bool) -> None:
    client("dynamodb").update_continuous_backups(
        TableName="sample-table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled}
    )


TABLE = Sample(
    a_table,
    lambda: client("dynamodb").list_tables()["TableNames"].count("sample-table"),
    _remove_table,
    ("CreateTable", "UpdateContinuousBackups"),
    (
        Tampering(
            "provisioned",
            lambda: _update_table(
                BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
            ),
            ("BillingMode",),
            ("UpdateTable",),
        ),
        Tampering(
            "protected",
            lambda: _update_table(DeletionProtectionEnabled=True),
            ("DeletionProtectionEnabled",),
            ("UpdateTable",),
        ),
        Tampering(
            "not recoverable",
            lambda: _set_recovery(False),
            ("PointInTimeRecoveryEnabled",),
            ("UpdateContinuousBackups",),
        ),
        Tampering(
            "encrypted with another key",
            lambda: _update_table(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": OTHER_KEY}),
            ("SSESpecification.KMSMasterKeyId",),
            ("UpdateTable",),
        ),
        Tampering(
            "encrypted with AWS's own key",
            lambda: _update_table(SSESpecification={"Enabled": False}),
            ("SSESpecification.Enabled", "SSESpecification.SSEType", "SSESpecification.KMSMasterKeyId"),
            ("UpdateTable",),
        ),
    ),
    Tagging(
        _table_tags,
        lambda tags: client("dynamodb").tag_resource(ResourceArn=_TABLE, Tags=pairs(tags)),
        lambda keys: client("dynamodb").untag_resource(ResourceArn=_TABLE, TagKeys=keys),
        "TagResource",
        "UntagResource",
    ),
    _make_table,
    {
        "KeySchema": lambda: _make_table_anew(
            KeySchema=[
                {"AttributeName": "timestamp", "KeyType": "HASH"},
                {"AttributeName": "device_id", "KeyType": "RANGE"},
            ]
        ),
        "AttributeDefinitions": lambda: _make_table_anew(
            AttributeDefinitions=[
                {"AttributeName": "device_id", "AttributeType": "S"},
                {"AttributeName": "timestamp", "AttributeType": "S"},
            ]
        ),
    },
)

# Queues


def a_queue() -> Queue:
    dead_letters = Queue("sample-dlq", 1_209_600)
    return Queue("sample-queue", 345_600, 60, dead_letter=dead_letters, max_receives=3, kms_key=KMS_KEY)


def _make_queue(tags: dict[str, str]) -> None:
    client("sqs").create_queue(QueueName="sample-queue", tags=tags)


def _set_queue(**attributes: str) -> None:
    client("sqs").set_queue_attributes(QueueUrl=queue_url("sample-queue"), Attributes=attributes)


_SET_QUEUE = ("SetQueueAttributes",)

QUEUE = Sample(
    a_queue,
    lambda: len(client("sqs").list_queues(QueueNamePrefix="sample-queue").get("QueueUrls", [])),
    lambda: client("sqs").delete_queue(QueueUrl=queue_url("sample-queue")),
    ("CreateQueue",),
    (
        Tampering("visible sooner", lambda: _set_queue(VisibilityTimeout="5"), ("VisibilityTimeout",), _SET_QUEUE),
        Tampering("forgets", lambda: _set_queue(MessageRetentionPeriod="60"), ("MessageRetentionPeriod",), _SET_QUEUE),
        Tampering(
            "patient",
            lambda: _set_queue(
                RedrivePolicy=json.dumps({"deadLetterTargetArn": arn("sqs", "sample-dlq"), "maxReceiveCount": 1000})
            ),
            ("RedrivePolicy.maxReceiveCount",),
            _SET_QUEUE,
        ),
        Tampering(
            "no dead letters",
            lambda: _set_queue(RedrivePolicy=""),
            ("RedrivePolicy.deadLetterTargetArn", "RedrivePolicy.maxReceiveCount"),
            _SET_QUEUE,
        ),
        Tampering(
            "encrypted with another key",
            lambda: _set_queue(KmsMasterKeyId=OTHER_KEY),
            ("KmsMasterKeyId",),
            _SET_QUEUE,
        ),
        Tampering(
            "the same data key for a day",
            lambda: _set_queue(KmsDataKeyReusePeriodSeconds="86400"),
            ("KmsDataKeyReusePeriodSeconds",),
            _SET_QUEUE,
        ),
    ),
    Tagging(
        lambda: client("sqs").list_queue_tags(QueueUrl=queue_url("sample-queue")).get("Tags", {}),
        lambda tags: client("sqs").tag_queue(QueueUrl=queue_url("sample-queue"), Tags=tags),
        lambda keys: client("sqs").untag_queue(QueueUrl=queue_url("sample-queue"), TagKeys=keys),
        "TagQueue",
        "UntagQueue",
    ),
    _make_queue,
)

# Topics and subscriptions

_TOPIC = arn("sns", "sample-topic")


def a_topic() -> Topic:
    return Topic("sample-topic", display_name="Sample", kms_key=KMS_KEY)


TOPIC = Sample(
    a_topic,
    lambda: [each["TopicArn"] for each in client("sns").list_topics()["Topics"]].count(_TOPIC),
    lambda: client("sns").delete_topic(TopicArn=_TOPIC),
    ("CreateTopic",),
    (
        Tampering(
            "renamed",
            lambda: client("sns").set_topic_attributes(
                TopicArn=_TOPIC, AttributeName="DisplayName", AttributeValue="Spam"
            ),
            ("DisplayName",),
            ("SetTopicAttributes",),
        ),
        Tampering(
            "not encrypted",
            lambda: client("sns").set_topic_attributes(
                TopicArn=_TOPIC, AttributeName="KmsMasterKeyId", AttributeValue=""
            ),
            ("KmsMasterKeyId",),
            ("SetTopicAttributes",),
        ),
    ),
    Tagging(
        lambda: as_tags(client("sns").list_tags_for_resource(ResourceArn=_TOPIC)["Tags"]),
        lambda tags: client("sns").tag_resource(ResourceArn=_TOPIC, Tags=pairs(tags)),
        lambda keys: client("sns").untag_resource(ResourceArn=_TOPIC, TagKeys=keys),
        "TagResource",
        "UntagResource",
    ),
    lambda tags: client("sns").create_topic(Name="sample-topic", Tags=pairs(tags)),
)


def _subscriptions() -> list[str]:
    return [
        each["SubscriptionArn"]
        for each in client("sns").list_subscriptions()["Subscriptions"]
        if each["Endpoint"] == "ops@example.com"
    ]


SUBSCRIPTION = Sample(
    lambda: Subscription("ops@example.com", topic=a_topic()),
    lambda: len(_subscriptions()),
    lambda: client("sns").unsubscribe(SubscriptionArn=_subscriptions()[0]),
    ("Subscribe",),
    exempt={"TopicArn": IDENTITY, "Protocol": IDENTITY, "Endpoint": IDENTITY},
)

# Parameters


def _count_parameter(name: str) -> int:
    filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    return len(client("ssm").describe_parameters(ParameterFilters=filters)["Parameters"])


def _ssm_tagging(name: str) -> Tagging:
    which = {"ResourceType": "Parameter", "ResourceId": name}
    return Tagging(
        lambda: as_tags(client("ssm").list_tags_for_resource(**which)["TagList"]),
        lambda tags: client("ssm").add_tags_to_resource(**which, Tags=pairs(tags)),
        lambda keys: client("ssm").remove_tags_from_resource(**which, TagKeys=keys),
        "AddTagsToResource",
        "RemoveTagsFromResource",
    )


def _make_parameter(name: str, kind: str, tags: dict[str, str]) -> None:
    client("ssm").put_parameter(Name=name, Type=kind, Value="by hand", Tags=pairs(tags))


def _set_config(value: str) -> None:
    client("ssm").put_parameter(Name="/sample/config", Type="String", Value=value, Overwrite=True)


def _make_parameter_anew(name: str, kind: str) -> None:
    client("ssm").delete_parameter(Name=name)
    _make_parameter(name, kind, OURS)


PARAMETER = Sample(
    lambda: Parameter("/sample/config", {"batch_size": 100, "processing_timeout": 60}),
    lambda: _count_parameter("/sample/config"),
    lambda: client("ssm").delete_parameter(Name="/sample/config"),
    ("PutParameter",),
    (
        Tampering(
            "another value",
            lambda: _set_config('{"batch_size": 1, "processing_timeout": 60}'),
            ("Value.batch_size",),
            ("PutParameter",),
        ),
        Tampering(
            "one key more, one less",
            lambda: _set_config('{"batch_size": 100, "extra": true}'),
            ("Value.processing_timeout", "Value.extra"),
            ("PutParameter",),
        ),
        Tampering(
            "no JSON",
            lambda: _set_config("batch_size=100"),
            ("Value", "Value.batch_size", "Value.processing_timeout"),
            ("PutParameter",),
        ),
    ),
    _ssm_tagging("/sample/config"),
    lambda tags: _make_parameter("/sample/config", "String", tags),
    {"Type": lambda: _make_parameter_anew("/sample/config", "SecureString")},
)

SECRET = Sample(
    lambda: Secret("/sample/api-key", kms_key=KMS_KEY),
    lambda: _count_parameter("/sample/api-key"),
    lambda: client("ssm").delete_parameter(Name="/sample/api-key"),
    ("PutParameter",),
    (
        Tampering(
            "encrypted with another key",
            lambda: client("ssm").put_parameter(
                Name="/sample/api-key", Type="SecureString", Value="theirs", KeyId=OTHER_KEY, Overwrite=True
            ),
            ("KeyId",),
            ("PutParameter",),
        ),
    ),
    _ssm_tagging("/sample/api-key"),
    lambda tags: _make_parameter("/sample/api-key", "SecureString", tags),
    {"Type": lambda: _make_parameter_anew("/sample/api-key", "String")},
)
