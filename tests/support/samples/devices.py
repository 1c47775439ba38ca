"""Samples of the way in over MQTT: topic rules and the policies of devices."""

from __future__ import annotations

import json
from typing import Any

from iotpipe.provision.resources.iot_policy import IotPolicy, Permit
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.resources.topic_rule import TopicRule
from tests.support.manual_edits import REGION, arn, as_tags, client, pairs
from tests.support.samples.functions import BOUNDARY
from tests.support.samples.sample import Sample, Tagging, Tampering

ROLE_ARN = "arn:aws:iam::123456789012:role/sample-rule-role"
_SQL = "SELECT * FROM 'sample/+/readings'"


def _tagging(part: str) -> Tagging:
    which = arn("iot", part)
    return Tagging(
        lambda: as_tags(client("iot").list_tags_for_resource(resourceArn=which)["tags"]),
        lambda tags: client("iot").tag_resource(resourceArn=which, tags=pairs(tags)),
        lambda keys: client("iot").untag_resource(resourceArn=which, tagKeys=keys),
        "TagResource",
        "UntagResource",
    )


def a_rule() -> TopicRule:
    queues = Queue("sample-device-queue", 345_600), Queue("sample-dlq", 1_209_600)
    role = Role(
        "sample-rule-role", "iot.amazonaws.com", [Allow("Queue", ["sqs:SendMessage"], on=queues)], BOUNDARY, "iot"
    )
    return TopicRule("sample_rule", _SQL, "Sample", *queues, role)


def _send_to(queue: str, **changes: Any) -> dict[str, Any]:
    url = f"https://sqs.{REGION}.amazonaws.com/123456789012/{queue}"
    return {"sqs": {"roleArn": ROLE_ARN, "queueUrl": url, "useBase64": False} | changes}


def _payload(**changes: Any) -> dict[str, Any]:
    return {
        "sql": _SQL,
        "awsIotSqlVersion": "2016-03-23",
        "description": "Sample",
        "ruleDisabled": False,
        "actions": [_send_to("sample-device-queue")],
        "errorAction": _send_to("sample-dlq"),
    } | changes


def _replaced(what: str, drifts: str, **changes: Any) -> Tampering:
    def act() -> None:
        client("iot").replace_topic_rule(ruleName="sample_rule", topicRulePayload=_payload(**changes))

    return Tampering(what, act, (drifts,), ("ReplaceTopicRule",))


def _make_rule(tags: dict[str, str]) -> None:
    text = "&".join(f"{key}={value}" for key, value in tags.items())
    client("iot").create_topic_rule(ruleName="sample_rule", topicRulePayload=_payload(), tags=text)


def _count_rules() -> int:
    return [each["ruleName"] for each in client("iot").list_topic_rules()["rules"]].count("sample_rule")


TOPIC_RULE = Sample(
    a_rule,
    _count_rules,
    lambda: client("iot").delete_topic_rule(ruleName="sample_rule"),
    ("CreateTopicRule",),
    (
        _replaced("of other topics", "sql", sql="SELECT * FROM '#'"),
        _replaced("in the SQL of old", "awsIotSqlVersion", awsIotSqlVersion="2015-10-08"),
        _replaced("described", "description", description="Spam"),
        Tampering(
            "stopped",
            lambda: client("iot").disable_topic_rule(ruleName="sample_rule"),
            ("ruleDisabled",),
            ("ReplaceTopicRule",),
        ),
        _replaced("to another queue", "actions", actions=[_send_to("evil")]),
        _replaced("to another queue as well", "actions", actions=[_send_to("sample-device-queue"), _send_to("evil")]),
        _replaced("failures elsewhere", "errorAction.sqs.queueUrl", errorAction=_send_to("evil")),
        _replaced(
            "failures by another role",
            "errorAction.sqs.roleArn",
            errorAction=_send_to("sample-dlq", roleArn="arn:aws:iam::123456789012:role/evil"),
        ),
        _replaced("failures encoded", "errorAction.sqs.useBase64", errorAction=_send_to("sample-dlq", useBase64=True)),
    ),
    _tagging("rule/sample_rule"),
    _make_rule,
)


def a_policy() -> IotPolicy:
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    may = [
        Permit("iot:Connect", ["client/${iot:Connection.Thing.ThingName}"], attached),
        Permit("iot:Publish", ["topic/sample/${iot:Connection.Thing.ThingName}/readings"]),
    ]
    return IotPolicy("sample-policy", may, [a_rule()])


def _make_policy(tags: dict[str, str]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    client("iot").create_policy(policyName="sample-policy", policyDocument=document, tags=pairs(tags))


def _open_policy() -> None:
    statement = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("iot").create_policy_version(policyName="sample-policy", policyDocument=document, setAsDefault=True)


def _fill_with_versions() -> None:
    while len(client("iot").list_policy_versions(policyName="sample-policy")["policyVersions"]) < 5:
        _open_policy()


def _count_policies() -> int:
    return [each["policyName"] for each in client("iot").list_policies()["policies"]].count("sample-policy")


def _remove_policy() -> None:
    for each in client("iot").list_policy_versions(policyName="sample-policy")["policyVersions"]:
        if not each["isDefaultVersion"]:
            client("iot").delete_policy_version(policyName="sample-policy", policyVersionId=each["versionId"])
    client("iot").delete_policy(policyName="sample-policy")


IOT_POLICY = Sample(
    a_policy,
    _count_policies,
    _remove_policy,
    ("CreatePolicy",),
    (
        Tampering("open to everything", _open_policy, ("policyDocument.Statement",), ("CreatePolicyVersion",)),
        Tampering(
            "open to everything, in each version that there can be",
            _fill_with_versions,
            ("policyDocument.Statement",),
            ("DeletePolicyVersion", "CreatePolicyVersion"),
        ),
    ),
    _tagging("policy/sample-policy"),
    _make_policy,
)
