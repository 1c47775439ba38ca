"""Finds resources by the environment's tags, independently of the state file and the declaration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from iotpipe.provision.resource import Recorded, Resource, tag_dict
from iotpipe.provision.run import ENVIRONMENT_TAG, Run

_USES: Mapping[str, tuple[str, ...]] = {
    "function": ("role", "log-group", "layer", "queue"),
    "event-source-mapping": ("function", "queue"),
    "alarm": ("topic",),
    "iot-policy": ("topic-rule",),
    "topic-rule": ("role", "queue"),
}
"""Kinds that are deleted after the kind that uses them, for orphans, whose dependencies are not declared."""


def tagged(run: Run) -> dict[str, dict[str, str]]:
    """Return the tags of all resources in the region with the environment's tag, by ARN; read once per command.

    The tagging service is eventually consistent: it still lists resources that were just deleted, and does not list
    new ones. It does not list roles:
    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
    """
    return run.once("tagged resources", lambda: _tagged(run))


def _tagged(run: Run) -> dict[str, dict[str, str]]:
    pages = (
        run.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(
            TagFilters=[{"Key": ENVIRONMENT_TAG, "Values": [run.environment]}], PaginationConfig={"PageSize": 100}
        )
    )
    return {each["ResourceARN"]: tag_dict(each["Tags"]) for page in pages for each in page["ResourceTagMappingList"]}


T = TypeVar("T")


def tags_of(run: Run, arn: str, ask: Callable[[], T]) -> dict[str, str] | T:
    """Return the tags of one resource: from the tagging service if it lists all declared tags, else from `ask`."""
    listed = tagged(run).get(arn, {})
    return listed if run.all_tags.items() <= listed.items() else ask()


def searches() -> list[tuple[str, type[Resource] | None]]:
    """Return the searches to pass to `candidates`, as (description, kind), so that they can run in parallel."""
    by_kind = [(name, kind) for name, kind in Resource.kinds.items() if "search" in vars(kind)]
    return [("the tagged resources", None), *by_kind]


def candidates(run: Run, kind: type[Resource] | None) -> list[Recorded]:
    """Return the results of one search. Only the live tags tell whether a candidate exists and who owns it."""
    if kind is not None:
        return list(kind.search(run))
    return [each for arn in tagged(run) if (each := _of_arn(run, arn))]


def _of_arn(run: Run, arn: str) -> Recorded | None:
    _, _, service, _, account, resource = arn.split(":", 5)
    if account not in ("", run.aws.account):
        return None
    for name, kind in Resource.kinds.items():
        if kind.arn_form and (match := re.fullmatch(kind.arn_form, f"{service}:{resource}")):
            properties = match.groupdict()
            return Recorded(f"{name}/{properties['name']}", name, properties.pop("name"), properties)
    return None


def needs_of(recorded: Recorded, others: Iterable[Recorded]) -> tuple[str, ...]:
    """Return the addresses of those `others` that must be deleted after this one."""
    used = _USES.get(recorded.kind, ())
    return tuple(sorted(each.address for each in others if each.kind in used))


def same(one: Recorded, other: Recorded) -> bool:
    """Whether both are the same resource. An id that AWS assigned takes precedence over the name."""
    # The ARN of a secret is that of a parameter.
    if one.kind != other.kind and {one.kind, other.kind} != {"parameter", "secret"}:
        return False
    for key in ("RestApiId", "UUID"):
        if key in one.properties and key in other.properties and one.properties[key] != other.properties[key]:
            return False
        if key in one.properties and key in other.properties and one.kind in ("rest-api", "event-source-mapping"):
            return True
    # An API has each path only once, whatever name a row has for its route.
    if "path" in one.properties and "path" in other.properties:
        return bool(one.properties["path"] == other.properties["path"])
    return one.name == other.name


def distinct(found: Iterable[Recorded]) -> Iterator[Recorded]:
    """Yield each resource once."""
    seen: list[Recorded] = []
    for each in found:
        if not any(same(each, one) for one in seen):
            seen.append(each)
            yield each
