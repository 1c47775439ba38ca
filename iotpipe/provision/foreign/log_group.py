"""What others added to log groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, Check, Foreign, Seen
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.run import Run

Answer = Mapping[str, Any]
"""What AWS says of one thing."""


def subscription_filters(run: Run, name: str) -> list[dict[str, Any]]:
    """The subscription filters of the log group; none if it does not exist."""
    logs = run.client("logs")
    try:
        pages = list(logs.get_paginator("describe_subscription_filters").paginate(logGroupName=name))
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [each for page in pages for each in page["subscriptionFilters"]]


def _filters(run: Run, group: LogGroup) -> list[dict[str, Any]]:
    return subscription_filters(run, group.name)


def _judge(seen: Seen) -> Iterator[Foreign]:
    yield from of_group(seen, seen.observed, seen.read(_filters), seen.resource.desired(seen.run))


def of_group(seen: Seen, found: Answer, filters: Sequence[Answer], declared: Answer) -> Iterator[Foreign]:
    """What others added to the log group, which may be one that is part of another resource."""
    name, logs = found["logGroupName"], seen.run.client("logs")
    for each in filters:
        which, pattern = each["filterName"], each.get("filterPattern")
        lines = f"every line in {name} that matches {pattern}" if pattern else f"every line in {name}"
        told = f"{lines} goes to {each['destinationArn']}"
        remove = partial(_tolerant, seen, logs.delete_subscription_filter, logGroupName=name, filterName=which)
        yield seen.foreign(f"subscription filter {which}", OPENS, told, remove)
    if (key := found.get("kmsKeyId")) and "kmsKeyId" not in declared:
        told = f"{name} is encrypted with the KMS key {key}: without a right to use that key nobody can read the logs"
        yield seen.foreign(
            "kmsKeyId", HIDES, told, partial(_tolerant, seen, logs.disassociate_kms_key, logGroupName=name)
        )
    if found.get("dataProtectionStatus") == "ACTIVATED":
        told = f"a data protection policy masks what it takes for sensitive in {name}"
        remove = partial(_tolerant, seen, logs.delete_data_protection_policy, logGroupIdentifier=name)
        yield seen.foreign("data protection policy", HIDES, told, remove)
    if (group_class := found.get("logGroupClass", "STANDARD")) != "STANDARD":
        told = f"{name} is of the class {group_class}, whose lines only Logs Insights can read, not `iotpipe logs`"
        yield seen.foreign("logGroupClass", HIDES, told, partial(_refuse, seen, name))
    if found.get("deletionProtectionEnabled"):
        told = f"{name} is protected from deletion, and `down` cannot delete it"
        remove = partial(
            _tolerant,
            seen,
            logs.put_log_group_deletion_protection,
            logGroupIdentifier=name,
            deletionProtectionEnabled=False,
        )
        yield seen.foreign("deletionProtectionEnabled", ALTERS, told, remove)


def _tolerant(seen: Seen, call: Callable[..., Any], **parameters: Any) -> None:
    try:
        call(**parameters)
    except seen.run.client("logs").exceptions.ResourceNotFoundException:
        return


def _refuse(seen: Seen, name: str) -> NoReturn:
    raise RefusedError(
        f"AWS cannot change the class of the log group {name}",
        f"Delete it, with the lines in it, with `aws logs delete-log-group --log-group-name {name}`, and run "
        f"`iotpipe up --env {seen.run.environment}`",
    )


CHECK = Check(_judge, (_filters,))
