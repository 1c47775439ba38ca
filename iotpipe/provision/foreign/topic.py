"""What others added to an SNS topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, Check, Foreign, Seen
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
_OWNER_MAY = (
    *("GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic"),
    *("Subscribe", "ListSubscriptionsByTopic", "Publish"),
)
_OURS_BY = ("aws:sourceowner", "aws:sourceaccount")
_SETTINGS = {
    "DeliveryPolicy": ("", "SNS tries deliveries over HTTP again by a policy of its own"),
    "TracingConfig": ("PassThrough", "SNS traces what is published"),
    "SignatureVersion": ("1", "SNS signs what it sends by another method"),
}
"""By attribute: AWS's default, and what another value does."""


def _default_statement(run: Run, topic: Topic) -> Statement:
    """What AWS itself puts into the policy of a new topic."""
    return {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{each}" for each in _OWNER_MAY],
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
    # SNS accepts no empty policy.
    left = statements(document) or [_default_statement(run, topic)]
    _set(run, topic, "Policy", json.dumps({"Version": "2008-10-17", **document, "Statement": left}))


POLICY = Policy(
    says={
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
    """Whoever is subscribed to the topic."""
    sns = run.client("sns")
    try:
        return subscriptions(run, topic.arn(run))
    except sns.exceptions.NotFoundException:
        return []


def _judge_topic(seen: Seen) -> Iterator[Foreign]:
    account, document = seen.run.aws.account, parsed(seen.observed.get("Policy"))
    yield from POLICY.judge(seen, document, ours=lambda statement: _for_this_account(statement, account))
    yield from _alarms_shut_out(seen, document)
    yield from _subscribed(seen)
    yield from _topic_settings(seen)


def _for_this_account(statement: Statement, account: str) -> bool:
    """Whether it is what AWS puts into the policy of a new topic: this account alone, by a condition."""
    limits = compared(statement, "StringEquals")
    alone = any(limits.get(key) == [account] for key in _OURS_BY)
    return not denies(statement) and alone and principals(statement) == [("AWS", "*")]


def _alarms_shut_out(seen: Seen, document: Document) -> Iterator[Foreign]:
    account = seen.run.aws.account
    if not document or any(_lets_alarms_publish(each, account) for each in statements(document)):
        return
    told = f"the policy of {seen.resource.name} does not let CloudWatch publish any more: no alarm can tell anybody"
    yield seen.foreign(f"policy without account {account}", HIDES, told, partial(_let_the_account_in, seen))


def _lets_alarms_publish(statement: Statement, account: str) -> bool:
    if denies(statement) or not covers(statement, _PUBLISH):
        return False
    named = {value for _, value in principals(statement)}
    to_all = "*" in named and (not statement.get("Condition") or _for_this_account(statement, account))
    return to_all or "cloudwatch.amazonaws.com" in named


def _let_the_account_in(seen: Seen) -> None:
    run, topic = seen.run, seen.resource
    with run.exclusive(f"policy of {topic.address}"):
        document, default = _policy(run, topic), _default_statement(run, topic)
        others = [each for each in statements(document) if each.get("Sid") != default["Sid"]]
        _put_policy(run, topic, {**document, "Statement": [default, *others]})


def _subscribed(seen: Seen) -> Iterator[Foreign]:
    ours = _declared_or_recorded(seen)
    for each in seen.read(subscribers):
        protocol, endpoint, arn = each["Protocol"], each["Endpoint"], each["SubscriptionArn"]
        if arn == "Deleted" or (protocol == "email" and endpoint.lower() in ours):
            continue
        pending = not arn.startswith("arn:")
        told = f"{protocol} {endpoint} gets every alert of {seen.resource.name}"
        if pending:
            told += " as soon as the subscription is confirmed"
        remove = partial(_wait_for_it, endpoint) if pending else partial(_unsubscribe, seen.run, arn)
        yield seen.foreign(f"subscription {protocol} {endpoint}", OPENS, told, remove)


def _declared_or_recorded(seen: Seen) -> set[str]:
    """The addresses that iotpipe subscribed; of those that are not declared any more the plan tells."""
    declared = {each.name for each in seen.run.resources if isinstance(each, Subscription)}
    prefix = f"{Subscription.kind}/"
    recorded = {each.removeprefix(prefix) for each in seen.run.ledger if each.startswith(prefix)}
    return {each.lower() for each in declared | recorded}


def _unsubscribe(run: Run, arn: str) -> None:
    sns = run.client("sns")
    try:
        sns.unsubscribe(SubscriptionArn=arn)
    except sns.exceptions.NotFoundException:
        return


def _wait_for_it(endpoint: str) -> None:
    raise RefusedError(
        f"AWS cannot end the subscription of {endpoint} before it is confirmed",
        "It lapses after three days without confirmation; if it is confirmed, run the command again",
    )


def _topic_settings(seen: Seen) -> Iterator[Foreign]:
    run, topic, found = seen.run, seen.resource, seen.observed
    if (key := found.get("KmsMasterKeyId")) and "KmsMasterKeyId" not in topic.desired(run):
        told = (
            f"{topic.name} is encrypted with the KMS key {key}: "
            "CloudWatch and the functions cannot publish with it unless its policy lets them, and alerts are lost"
        )
        yield seen.foreign("KmsMasterKeyId", HIDES, told, partial(_set, run, topic, "KmsMasterKeyId", ""))
    for name, (default, told) in _SETTINGS.items():
        if found.get(name, default) != default:
            said = f"{told} ({topic.name}: {found[name]})"
            yield seen.foreign(name, ALTERS, said, partial(_set, run, topic, name, default))
    for name in sorted(each for each in found if each.endswith("FeedbackRoleArn") and found[each]):
        said = f"SNS writes to CloudWatch Logs what became of the messages of {topic.name}, as {found[name]}"
        yield seen.foreign(name, ALTERS, said, partial(_set, run, topic, name, ""))


def _set(run: Run, topic: Topic, name: str, value: str) -> None:
    sns = run.client("sns")
    try:
        sns.set_topic_attributes(TopicArn=topic.arn(run), AttributeName=name, AttributeValue=value)
    except sns.exceptions.NotFoundException:
        return


CHECK = Check(_judge_topic, (subscribers,))
