"""What others added to log groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, Check, CheckedResource, Foreign
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.run import Run

Response = Mapping[str, Any]
"""One resource or setting as AWS returns it."""


def subscription_filters(run: Run, name: str) -> list[dict[str, Any]]:
    """Return the subscription filters of the log group; empty if the group does not exist."""
    logs = run.client("logs")
    try:
        pages = list(logs.get_paginator("describe_subscription_filters").paginate(logGroupName=name))
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [each for page in pages for each in page["subscriptionFilters"]]


def _filters(run: Run, group: LogGroup) -> list[dict[str, Any]]:
    return subscription_filters(run, group.name)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    yield from log_group_findings(
        checked, checked.observed, checked.read(_filters), checked.resource.desired(checked.run)
    )


def log_group_findings(
    checked: CheckedResource, live: Response, filters: Sequence[Response], declared: Response
) -> Iterator[Foreign]:
    """Yield what others added to the log group, also for a group that is part of another resource."""
    name, logs = live["logGroupName"], checked.run.client("logs")
    for each in filters:
        which, pattern = each["filterName"], each.get("filterPattern")
        lines = f"every line in {name} that matches {pattern}" if pattern else f"every line in {name}"
        text = f"{lines} goes to {each['destinationArn']}"
        remove = partial(_call_if_exists, checked, logs.delete_subscription_filter, logGroupName=name, filterName=which)
        yield checked.finding(f"subscription filter {which}", OPENS, text, remove)
    if (key := live.get("kmsKeyId")) and "kmsKeyId" not in declared:
        text = f"{name} is encrypted with the KMS key {key}: without a right to use that key nobody can read the logs"
        yield checked.finding(
            "kmsKeyId", HIDES, text, partial(_call_if_exists, checked, logs.disassociate_kms_key, logGroupName=name)
        )
    if live.get("dataProtectionStatus") == "ACTIVATED":
        text = f"a data protection policy masks data that it considers sensitive in {name}"
        remove = partial(_call_if_exists, checked, logs.delete_data_protection_policy, logGroupIdentifier=name)
        yield checked.finding("data protection policy", HIDES, text, remove)
    if (group_class := live.get("logGroupClass", "STANDARD")) != "STANDARD":
        text = f"{name} is of the class {group_class}, whose lines only Logs Insights can read, not `iotpipe logs`"
        yield checked.finding("logGroupClass", HIDES, text, partial(_refuse_class_change, checked, name))
    if live.get("deletionProtectionEnabled"):
        text = f"{name} is protected from deletion, and `down` cannot delete it"
        remove = partial(
            _call_if_exists,
            checked,
            logs.put_log_group_deletion_protection,
            logGroupIdentifier=name,
            deletionProtectionEnabled=False,
        )
        yield checked.finding("deletionProtectionEnabled", ALTERS, text, remove)


def _call_if_exists(checked: CheckedResource, call: Callable[..., Any], **parameters: Any) -> None:
    try:
        call(**parameters)
    except checked.run.client("logs").exceptions.ResourceNotFoundException:
        return


def _refuse_class_change(checked: CheckedResource, name: str) -> NoReturn:
    raise RefusedError(
        f"AWS cannot change the class of the log group {name}",
        f"Delete it, with the lines in it, with `aws logs delete-log-group --log-group-name {name}`, and run "
        f"`iotpipe up --env {checked.run.environment}`",
    )


CHECK = Check(_check, (_filters,))
