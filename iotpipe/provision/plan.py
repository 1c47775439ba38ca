"""What `up` would do: every resource read, compared with its declaration and with what was last set. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, IotpipeError, RefusedError
from iotpipe.provision.ledger import Row
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import ENVIRONMENT_TAG, MANAGED_TAG, Run, seconds

READERS = 48
TAGS_COME_LATE = 60
"""Seconds after which also SQS, the slowest, shows the tags of what was just made."""

_ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """One property that is not as declared. `drift` says that somebody else changed it since we last set it."""

    property: str
    before: Any
    after: Any
    drift: bool


@dataclass(frozen=True)
class Step:
    """What is to be done about one resource: create, update, delete, keep or none."""

    address: str
    action: str
    changes: tuple[Change, ...] = ()
    missing: bool = False
    """It was made here and is gone: somebody else deleted it."""
    refusal: str = ""
    """Why iotpipe will not do it; the whole plan is refused then."""

    @property
    def drifted(self) -> bool:
        return self.missing or any(change.drift for change in self.changes)


@dataclass(frozen=True)
class Plan:
    """The steps in the order in which a reading travels, deletions last."""

    steps: tuple[Step, ...]

    @property
    def pending(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action not in ("none", "keep"))

    @property
    def deletions(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action == "delete")

    def of(self, address: str) -> Step:
        return next(step for step in self.steps if step.address == address)

    def check(self) -> None:
        """Raise RefusedError, with every reason, if there is something that iotpipe will not do."""
        reasons = [step.refusal for step in self.steps if step.refusal]
        if reasons:
            raise RefusedError("refused, and nothing was changed:\n" + "\n".join(f"  {each}" for each in reasons))


def plan(resources: Sequence[Resource], run: Run, rows: Mapping[str, Row], adopt: bool = False) -> Plan:
    """Read everything at once and compare. Raises ApplyFailed if something cannot be read."""
    run.resources = resources
    run.ledger = {address: row.properties for address, row in rows.items()}
    _read_all(resources, run)
    steps = [step_for(resource, run, rows.get(resource.address), adopt) for resource in resources]
    declared = {resource.address for resource in resources}
    orphans = [
        Step(address, "keep" if row.holds_data or row.shared else "delete")
        for address, row in rows.items()
        if address not in declared
    ]
    return Plan(tuple(steps + orphans[::-1]))


def _read_all(resources: Sequence[Resource], run: Run) -> None:
    """Parents come before their children, so a child that waits for its parent's answer never waits in vain."""
    failed: dict[str, IotpipeError] = {}

    def read(resource: Resource) -> None:
        try:
            run.trying("read", resource.address, lambda attempt: run.look(resource))
        except IotpipeError as error:
            failed[resource.address] = error

    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="iotpipe-read") as pool:
        list(pool.map(read, resources))
    for kind in (CredentialsError, Interrupted):
        if ending := next((error for error in failed.values() if isinstance(error, kind)), None):
            raise ending
    if failed:
        raise ApplyFailed(run.typed, list(failed.values()), [], changed=False)


def step_for(resource: Resource, run: Run, row: Row | None, adopt: bool) -> Step:
    """Compare one resource with what was read of it."""
    observed = with_late_tags(run.look(resource), run, row)
    desired = resource.desired(run)
    if observed is None:
        changes = tuple(Change(path, _ABSENT, value, False) for path, value in _leaves(desired))
        # What was made in a parent that another one has taken the place of since is not missing: it is not there yet.
        missing = row is not None and row.status == "ready" and row.inside == resource.parent
        return Step(resource.address, "create", changes, missing=missing)
    # Whose it is only turns out in a while; until then nobody touches it.
    refusal = "" if may_be_ours(observed, run, row) else refusal_to_touch(resource, run, row, observed, adopt)
    changes = differences(desired, observed, row)
    if not refusal and (fixed := _immutable(resource, changes)):
        refusal = fixed
    if not changes:
        return Step(resource.address, "none", refusal=refusal)
    if resource.renewed:
        run.remember(resource, {key: value for key, value in observed.items() if key not in resource.assigned})
    return Step(resource.address, "update", changes, refusal=refusal)


def refusal_to_touch(resource: Resource, run: Run, row: Row | None, observed: Properties, adopt: bool) -> str:
    """Why the resource is not ours to change; empty where it is.

    Ours is what bears our tags or what the ledger says we finished. A `creating` row proves nothing: the create
    may never have been sent.
    """
    tags = observed.get("Tags", run.owner_tags)
    owner = tags.get(ENVIRONMENT_TAG)
    if owner == run.environment and tags.get(MANAGED_TAG) == "iotpipe":
        return ""
    if owner is not None and owner != run.environment:
        return (
            f"{resource.address} belongs to the environment {owner!r}: two environments cannot share a suffix. "
            f"Give {run.environment!r} another `suffix`"
        )
    if adopt or (row and row.status != "creating"):
        return ""
    return (
        f"{resource.address} exists already and was not made by iotpipe. Choose another `suffix`, "
        "or take it over as it is described in the configuration with `iotpipe up --adopt`"
    )


def may_be_ours(observed: Properties, run: Run, row: Row | None) -> bool:
    """Whether it is what we were making when we last heard of it, and just does not show our tags yet."""
    if row is None or row.status != "creating" or ENVIRONMENT_TAG in observed.get("Tags", run.owner_tags):
        return False
    return run.clock.now() < seconds(row.updated_at) + TAGS_COME_LATE


def _immutable(resource: Resource, changes: Sequence[Change]) -> str:
    for change in changes:
        if change.property.split(".")[0] in resource.immutable:
            return (
                f"{resource.address}: AWS cannot change {change.property} of an existing one, and iotpipe never "
                f"replaces (it is {change.before!r}, declared is {change.after!r}). Choose another `suffix`"
            )
    return ""


def differences(desired: Properties, observed: Properties, row: Row | None) -> tuple[Change, ...]:
    """The properties in which AWS is not as declared, one by one. What is not declared is nobody's business."""
    live = {key: observed[key] for key in desired if key in observed}
    if "Tags" in desired:
        live["Tags"] = our_tags(desired, observed, row)
    before, after = dict(_leaves(live)), dict(_leaves(desired))
    set_by_us = dict(_leaves(row.properties)) if row and row.status == "ready" else None
    return tuple(
        Change(
            path,
            before.get(path, _ABSENT),
            after.get(path, _ABSENT),
            drift=set_by_us is not None and set_by_us.get(path, _ABSENT) != before.get(path, _ABSENT),
        )
        for path in dict.fromkeys((*after, *before))
        if before.get(path, _ABSENT) != after.get(path, _ABSENT)
    )


def our_tags(desired: Properties, observed: Properties, row: Row | None) -> dict[str, str]:
    """The live tags that we declare, once set or were about to; those that others put there stay theirs."""
    ours = desired["Tags"].keys() | (row.properties if row else {}).get("Tags", {}).keys()
    return {key: value for key, value in observed.get("Tags", {}).items() if key in ours}


def with_late_tags(observed: Properties | None, run: Run, row: Row | None) -> Properties | None:
    """What was read, with our tags if AWS does not show any yet of what we have just made: nobody took them off."""
    if observed is None or row is None or row.status != "ready" or "Tags" not in row.properties:
        return observed
    ours = row.properties["Tags"]
    if ours.keys() & observed["Tags"].keys() or run.clock.now() > seconds(row.updated_at) + TAGS_COME_LATE:
        return observed
    return observed | {"Tags": observed["Tags"] | ours}


def _leaves(properties: Properties, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in properties.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
