"""Finds what bears the environment's tags, whatever the state file and the declaration say."""

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
}
"""Kinds that are deleted after the kind that uses them, where no declaration tells which resource uses which."""


def tagged(run: Run) -> dict[str, dict[str, str]]:
    """The tags of everything in the region that bears the environment's tag, by ARN, asked for once per command.

    The tagging service lags behind: it still lists what was just deleted and does not list what is new. It knows no
    roles: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
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
    """The tags of one resource: as listed if all that are declared are among them, else as AWS answers to `ask`."""
    listed = tagged(run).get(arn, {})
    return listed if run.all_tags.items() <= listed.items() else ask()


def searches() -> list[tuple[str, type[Resource] | None]]:
    """What there is to ask, each to be passed to `candidates`, so that a caller can ask all at once."""
    by_kind = [(name, kind) for name, kind in Resource.kinds.items() if "search" in vars(kind)]
    return [("the tagged resources", None), *by_kind]


def candidates(run: Run, kind: type[Resource] | None) -> list[Recorded]:
    """What one of the `searches` finds. Whether it is there and whose it is, only its own tags tell."""
    if kind is not None:
        return list(kind.search(run))
    return [each for arn in tagged(run) if (each := _of_arn(run, arn))]


def _of_arn(run: Run, arn: str) -> Recorded | None:
    _, _, service, _, account, resource = arn.split(":", 5)
    if account not in ("", run.aws.account):
        return None
    for name, kind in Resource.kinds.items():
        if kind.arn_form and (match := re.fullmatch(kind.arn_form, f"{service}:{resource}")):
            found = match.groupdict()
            return Recorded(f"{name}/{found['name']}", name, found.pop("name"), found)
    return None


def needs_of(recorded: Recorded, others: Iterable[Recorded]) -> tuple[str, ...]:
    """The addresses of those that have to be deleted after this one."""
    used = _USES.get(recorded.kind, ())
    return tuple(sorted(each.address for each in others if each.kind in used))


def same(one: Recorded, other: Recorded) -> bool:
    """Whether both are the same resource. Where AWS gives an id, that decides, and not the name."""
    # An ARN does not tell whether a parameter is a secret.
    if one.kind != other.kind and {one.kind, other.kind} != {"parameter", "secret"}:
        return False
    for key in ("RestApiId", "UUID"):
        if key in one.properties and key in other.properties and one.properties[key] != other.properties[key]:
            return False
        if key in one.properties and key in other.properties and one.kind in ("rest-api", "event-source-mapping"):
            return True
    # A path is in an API once, whatever a row calls its route.
    if "path" in one.properties and "path" in other.properties:
        return bool(one.properties["path"] == other.properties["path"])
    return one.name == other.name


def distinct(found: Iterable[Recorded]) -> Iterator[Recorded]:
    """Each resource once."""
    seen: list[Recorded] = []
    for each in found:
        if not any(same(each, one) for one in seen):
            seen.append(each)
            yield each
