"""What others added to an e-mail subscription of an SNS topic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, HIDES, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.statements import parsed
from iotpipe.provision.foreign.topic import subscribers
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.run import Run


def _arn(run: Run, subscription: Subscription) -> str:
    """Return the subscription's ARN; empty if it is not confirmed."""
    for each in subscribers(run, subscription.topic):
        arn = each["SubscriptionArn"]
        if (each["Protocol"], each["Endpoint"]) == ("email", subscription.name) and arn.startswith("arn:"):
            return arn
    return ""


def _attributes(run: Run, subscription: Subscription) -> dict[str, str]:
    """Return the subscription's attributes; empty if it is not confirmed."""
    sns, arn = run.client("sns"), _arn(run, subscription)
    if not arn:
        return {}
    try:
        live: dict[str, str] = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    except sns.exceptions.NotFoundException:
        return {}
    return live


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    live, email = checked.read(_attributes), checked.resource.name
    if parsed(live.get("FilterPolicy")):
        scope = live.get("FilterPolicyScope", "MessageAttributes")
        text = f"{email} gets only the alerts whose {scope} pass the filter {live['FilterPolicy']}"
        yield checked.finding("FilterPolicy", HIDES, text, partial(_clear, checked, "FilterPolicy", "{}"))
    if live.get("RawMessageDelivery", "false") == "true":
        text = f"{email} gets alerts without SNS's metadata"
        yield checked.finding(
            "RawMessageDelivery", ALTERS, text, partial(_clear, checked, "RawMessageDelivery", "false")
        )
    if parsed(live.get("RedrivePolicy")):
        text = f"alerts that cannot be delivered to {email} go to {live['RedrivePolicy']}"
        yield checked.finding("RedrivePolicy", ALTERS, text, partial(_clear, checked, "RedrivePolicy"))


def _clear(checked: CheckedResource, name: str, value: str | None = None) -> None:
    """Reset an attribute. SNS clears a redrive policy only if the call has no value."""
    sns = checked.run.client("sns")
    given: dict[str, Any] = {} if value is None else {"AttributeValue": value}
    try:
        sns.set_subscription_attributes(
            SubscriptionArn=_arn(checked.run, checked.resource), AttributeName=name, **given
        )
    except sns.exceptions.NotFoundException:
        return


CHECK = Check(_check, (_attributes,))
