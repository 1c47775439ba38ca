"""What others added to an e-mail subscription of an SNS topic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, HIDES, Check, Foreign, Seen
from iotpipe.provision.foreign.statements import parsed
from iotpipe.provision.foreign.topic import subscribers
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.run import Run


def _arn(run: Run, subscription: Subscription) -> str:
    """The subscription's ARN; empty as long as it is not confirmed."""
    for each in subscribers(run, subscription.topic):
        found = each["SubscriptionArn"]
        if (each["Protocol"], each["Endpoint"]) == ("email", subscription.name) and found.startswith("arn:"):
            return found
    return ""


def _attributes(run: Run, subscription: Subscription) -> dict[str, str]:
    """The subscription's attributes; none as long as it is not confirmed."""
    sns, arn = run.client("sns"), _arn(run, subscription)
    if not arn:
        return {}
    try:
        found: dict[str, str] = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    except sns.exceptions.NotFoundException:
        return {}
    return found


def _judge_subscription(seen: Seen) -> Iterator[Foreign]:
    found, email = seen.read(_attributes), seen.resource.name
    if parsed(found.get("FilterPolicy")):
        scope = found.get("FilterPolicyScope", "MessageAttributes")
        told = f"{email} gets only the alerts whose {scope} pass the filter {found['FilterPolicy']}"
        yield seen.foreign("FilterPolicy", HIDES, told, partial(_clear, seen, "FilterPolicy", "{}"))
    if found.get("RawMessageDelivery", "false") == "true":
        told = f"{email} gets alerts without what SNS says about them"
        yield seen.foreign("RawMessageDelivery", ALTERS, told, partial(_clear, seen, "RawMessageDelivery", "false"))
    if parsed(found.get("RedrivePolicy")):
        told = f"alerts that cannot be delivered to {email} go to {found['RedrivePolicy']}"
        yield seen.foreign("RedrivePolicy", ALTERS, told, partial(_clear, seen, "RedrivePolicy"))


def _clear(seen: Seen, name: str, value: str | None = None) -> None:
    """Set an attribute back. SNS clears a redrive policy only where no value is given."""
    sns = seen.run.client("sns")
    given: dict[str, Any] = {} if value is None else {"AttributeValue": value}
    try:
        sns.set_subscription_attributes(SubscriptionArn=_arn(seen.run, seen.resource), AttributeName=name, **given)
    except sns.exceptions.NotFoundException:
        return


CHECK = Check(_judge_subscription, (_attributes,))
