"""Compares what is declared, what is live, and what iotpipe set last: property by property."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from iotpipe.provision import ownership
from iotpipe.provision.ledger import Row
from iotpipe.provision.ownership import Whose
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import Run

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """One property that differs from its declaration. `drift`: it was changed outside iotpipe since the last `up`."""

    property: str
    before: Any
    after: Any
    drift: bool


def differences(desired: Properties, observed: Properties, row: Row | None) -> tuple[Change, ...]:
    """The declared properties that differ live. Properties that are not declared are ignored."""
    live = {key: observed[key] for key in desired if key in observed}
    if "Tags" in desired:
        live["Tags"] = managed_tags(desired, observed, row)
    before, after = dict(leaves(live)), dict(leaves(desired))
    last_set = dict(leaves(row.properties)) if row and row.status == "ready" else None
    return tuple(
        Change(
            path,
            before.get(path, ABSENT),
            after.get(path, ABSENT),
            drift=last_set is not None and last_set.get(path, ABSENT) != before.get(path, ABSENT),
        )
        for path in dict.fromkeys((*after, *before))
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    )


def managed_tags(desired: Properties, observed: Properties, row: Row | None) -> dict[str, str]:
    """The live tags that iotpipe declares or has set. It ignores all other tags."""
    managed = desired["Tags"].keys() | (row.properties if row else {}).get("Tags", {}).keys()
    return {key: value for key, value in observed.get("Tags", {}).items() if key in managed}


def with_pending_tags(resource: Resource, observed: Properties | None, run: Run, row: Row | None) -> Properties | None:
    """`observed`, with the tags of a resource that was just created and whose tags AWS does not show yet."""
    if observed is None or row is None or row.status != "ready" or "Tags" not in row.properties:
        return observed
    recorded = row.properties["Tags"]
    if recorded.keys() & observed["Tags"].keys() or not ownership.tags_may_appear(run, row):
        return observed
    if ownership.of_observed(run, resource, observed, row).whose is Whose.OTHERS:
        return observed
    return observed | {"Tags": observed["Tags"] | recorded}


def leaves(properties: Properties, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is not a mapping, with its path, such as ("integration.type", "AWS_PROXY")."""
    for key, value in properties.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
