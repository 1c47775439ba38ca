"""What others added to an SNS topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.statements import (
    Document,
    Policy,
    Statement,
    compared,
    covers,
    denies,
    parsed,
    principals,
    statements,
)
from iotpipe.provision.resources.subscription import Subscription, subscriptions
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run

_PUBLISH = "SNS:Publish"
_OWNER_ACTIONS = (
    *("GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic"),
    *("Subscribe", "ListSubscriptionsByTopic", "Publish"),
)
_ACCOUNT_KEYS = ("aws:sourceowner", "aws:sourceaccount")
_SETTINGS = {
    "DeliveryPolicy": ("", "SNS tries deliveries over HTTP again by a policy of its own"),
    "TracingConfig": ("PassThrough", "SNS traces what is published"),
    "SignatureVersion": ("1", "SNS signs what it sends by another method"),
}
"""Attributes with AWS's default and the effect of another value."""


def _default_statement(run: Run, topic: Topic) -> Statement:
    """Return the statement that AWS puts into the policy of a new topic."""
    return {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{each}" for each in _OWNER_ACTIONS],
        "Resource": topic.arn(run),
        "Condition": {"StringEquals": {"AWS:SourceOwner": run.aws.account}},
    }


def _policy(run: Run, topic: Topic) -> Document:
    sns = run.client("sns")
    try:
        return parsed(sns.get_topic_attributes(TopicArn=topic.arn(run))["Attributes"].get("Policy"))
    except sns.exceptions.NotFoundException:
        return {}


def _put_policy(run: Run, topic: Topic, document: Document) -> None:
    # SNS does not accept an empty policy.
    left = statements(document) or [_default_statement(run, topic)]
    _set(run, topic, "Policy", json.dumps({"Version": "2008-10-17", **document, "Statement": left}))


POLICY = Policy(
    verbs={
        _PUBLISH: "publish alerts to",
        "SNS:Subscribe": "subscribe to",
        "SNS:SetTopicAttributes": "change the settings of",
        "SNS:DeleteTopic": "delete",
    },
    needed=(_PUBLISH,),
    read=_policy,
    write=_put_policy,
    denied=HIDES,
)


def subscribers(run: Run, topic: Topic) -> list[dict[str, str]]:
    """Return the subscriptions of the topic."""
    sns = run.client("sns")
    try:
        return subscriptions(run, topic.arn(run))
    except sns.exceptions.NotFoundException:
        return []


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    account, document = checked.run.aws.account, parsed(checked.observed.get("Policy"))
    yield from POLICY.judge(checked, document, is_expected=lambda statement: _is_for_account(statement, account))
    yield from _blocked_alarms(checked, document)
    yield from _undeclared_subscriptions(checked)
    yield from _topic_settings(checked)


def _is_for_account(statement: Statement, account: str) -> bool:
    """Whether the statement is like AWS's default: it allows only this account, by a condition."""
    limits = compared(statement, "StringEquals")
    alone = any(limits.get(key) == [account] for key in _ACCOUNT_KEYS)
    return not denies(statement) and alone and principals(statement) == [("AWS", "*")]


def _blocked_alarms(checked: CheckedResource, document: Document) -> Iterator[Foreign]:
    account = checked.run.aws.account
    if not document or any(_lets_alarms_publish(each, account) for each in statements(document)):
        return
    text = f"the policy of {checked.resource.name} does not let CloudWatch publish any more: no alarm can tell anybody"
    yield checked.finding(f"policy without account {account}", HIDES, text, partial(_add_default_statement, checked))


def _lets_alarms_publish(statement: Statement, account: str) -> bool:
    if denies(statement) or not covers(statement, _PUBLISH):
        return False
    named = {value for _, value in principals(statement)}
    to_all = "*" in named and (not statement.get("Condition") or _is_for_account(statement, account))
    return to_all or "cloudwatch.amazonaws.com" in named


def _add_default_statement(checked: CheckedResource) -> None:
    run, topic = checked.run, checked.resource
    with run.exclusive(f"policy of {topic.address}"):
        document, default = _policy(run, topic), _default_statement(run, topic)
        others = [each for each in statements(document) if each.get("Sid") != default["Sid"]]
        _put_policy(run, topic, {**document, "Statement": [default, *others]})


def _undeclared_subscriptions(checked: CheckedResource) -> Iterator[Foreign]:
    is_expected = _declared_or_recorded(checked)
    for each in checked.read(subscribers):
        protocol, endpoint, arn = each["Protocol"], each["Endpoint"], each["SubscriptionArn"]
        if arn == "Deleted" or (protocol == "email" and endpoint.lower() in is_expected):
            continue
        pending = not arn.startswith("arn:")
        text = f"{protocol} {endpoint} gets every alert of {checked.resource.name}"
        if pending:
            text += " as soon as the subscription is confirmed"
        remove = partial(_refuse_pending, endpoint) if pending else partial(_unsubscribe, checked.run, arn)
        yield checked.finding(f"subscription {protocol} {endpoint}", OPENS, text, remove)


def _declared_or_recorded(checked: CheckedResource) -> set[str]:
    """Return the addresses that iotpipe subscribed. The plan itself covers those that are no longer declared."""
    declared = {each.name for each in checked.run.resources if isinstance(each, Subscription)}
    prefix = f"{Subscription.kind}/"
    recorded = {each.removeprefix(prefix) for each in checked.run.ledger if each.startswith(prefix)}
    return {each.lower() for each in declared | recorded}


def _unsubscribe(run: Run, arn: str) -> None:
    sns = run.client("sns")
    try:
        sns.unsubscribe(SubscriptionArn=arn)
    except sns.exceptions.NotFoundException:
        return


def _refuse_pending(endpoint: str) -> None:
    raise RefusedError(
        f"AWS cannot end the subscription of {endpoint} before it is confirmed",
        "It lapses after three days without confirmation; if it is confirmed, run the command again",
    )


def _topic_settings(checked: CheckedResource) -> Iterator[Foreign]:
    run, topic, found = checked.run, checked.resource, checked.observed
    if (key := found.get("KmsMasterKeyId")) and "KmsMasterKeyId" not in topic.desired(run):
        told = (
            f"{topic.name} is encrypted with the KMS key {key}: "
            "CloudWatch and the functions cannot publish with it unless its policy lets them, and alerts are lost"
        )
        yield checked.finding("KmsMasterKeyId", HIDES, told, partial(_set, run, topic, "KmsMasterKeyId", ""))
    for name, (default, told) in _SETTINGS.items():
        if found.get(name, default) != default:
            said = f"{told} ({topic.name}: {found[name]})"
            yield checked.finding(name, ALTERS, said, partial(_set, run, topic, name, default))
    for name in sorted(each for each in found if each.endswith("FeedbackRoleArn") and found[each]):
        said = f"SNS logs the delivery status of the messages of {topic.name}, as {found[name]}"
        yield checked.finding(name, ALTERS, said, partial(_set, run, topic, name, ""))


def _set(run: Run, topic: Topic, name: str, value: str) -> None:
    sns = run.client("sns")
    try:
        sns.set_topic_attributes(TopicArn=topic.arn(run), AttributeName=name, AttributeValue=value)
    except sns.exceptions.NotFoundException:
        return


CHECK = Check(_check, (subscribers,))
