"""What a plan does about one resource: create, update, delete, keep, forget or nothing, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iotpipe.provision import ownership, tag_search
from iotpipe.provision.adoption import Adoption, adopt_option
from iotpipe.provision.differences import ABSENT, Change, differences, leaves, with_pending_tags
from iotpipe.provision.ledger import Row
from iotpipe.provision.ownership import Verdict, Whose
from iotpipe.provision.resource import DATA, Properties, Recorded, Resource
from iotpipe.provision.run import Run


@dataclass(frozen=True)
class Step:
    """What is to be done about one resource: create, update, delete, keep, forget or none.

    `forget` only drops the row of the state file: the resource is gone, or is not this environment's.
    """

    address: str
    action: str
    changes: tuple[Change, ...] = ()
    missing: bool = False
    """It was made here and is gone: somebody else deleted it."""
    refusal: str = ""
    """Why iotpipe will not do it; the whole plan is refused then."""
    note: str = ""
    """Why it is deleted, kept or forgotten."""
    adopted: bool = False
    """It bears no environment's tags, and `--adopt` takes it over."""
    removed_by_update: tuple[str, ...] = ()
    """What the adoption takes off it for good."""

    @property
    def drifted(self) -> bool:
        return self.missing or any(change.drift for change in self.changes)

    @property
    def kind(self) -> type[Resource]:
        return Resource.kinds[self.address.partition("/")[0]]


def step_for(resource: Resource, run: Run, row: Row | None, adopt: Adoption, protect: bool) -> Step:
    """Compare one resource with what was read of it."""
    observed, desired = with_pending_tags(resource, run.look(resource), run, row), resource.desired(run)
    if missed := adopt.missed(resource, run, observed):
        return Step(resource.address, "create" if observed is None else "update", refusal=missed)
    if observed is None:
        return _creation(resource, run, row, desired, protect)
    refusal = refusal_to_touch(resource, run, row, observed, adopt)
    whose = ownership.of_observed(run, resource, observed, row).whose
    if not refusal and (whose is Whose.OTHERS or (whose is Whose.UNCLEAR and adopt.covers(resource.address))):
        return _adopted(resource, run, desired, observed)
    changes = differences(desired, observed, row)
    if not refusal and (fixed := _immutable_refusal(resource, changes)):
        refusal = fixed
    if not changes:
        return Step(resource.address, "none", refusal=refusal)
    return Step(resource.address, "update", changes, refusal=refusal)


def _adopted(resource: Resource, run: Run, desired: Properties, observed: Properties) -> Step:
    """What becomes of one that was not this environment's until now: whatever differs, no one has changed."""
    changes = differences(desired, observed, None)
    fixed, removed_by_update = _immutable_refusal(resource, changes), tuple(resource.removed_by_update(observed))
    return Step(resource.address, "update", changes, refusal=fixed, adopted=True, removed_by_update=removed_by_update)


def exchange_refusal(resource: Resource, run: Run, rows: Sequence[Row], adopt: Adoption) -> str:
    """Why a protected environment keeps the one that it has, where the user chose another by its id."""
    chosen, key = adopt.chosen_for(resource), resource.chosen_by
    known = [
        each for each in rows if chosen and each.kind == resource.kind and each.properties.get(key, chosen) != chosen
    ]
    there = [each.properties[key] for each in known if _is_there(run, each)]
    if not there:
        return ""
    return (
        f"{resource.address} is not adopted as {chosen}: {run.environment} is protected, and {there[0]} has its "
        f"{resource.holds}. Set `protect: false` to exchange it"
    )


def _is_there(run: Run, row: Row) -> bool:
    kind = Resource.kinds[row.kind]
    return run.with_retries("read", row.address, lambda attempt: kind.tags(run, row.recorded())) is not None


def _creation(resource: Resource, run: Run, row: Row | None, desired: Properties, protect: bool) -> Step:
    changes = tuple(Change(path, ABSENT, value, False) for path, value in leaves(desired))
    # What was made in a parent that another one has taken the place of since is not missing: it is not there yet.
    missing = row is not None and row.status == "ready" and row.inside == resource.parent
    refusal = resource.creation_obstacle(run)
    # A stage that is made again in the same API has the same URL.
    if missing and protect and resource.holds and not resource.inside:
        refusal = (
            f"{resource.address} was deleted outside iotpipe, and {run.environment} is protected: it is not recreated "
            f"without the {resource.holds} of the old one. {recovery(run, resource.kind, resource.name)}Set "
            "`protect: false` to recreate it"
        )
    return Step(resource.address, "create", changes, missing=missing, refusal=refusal)


def recovery(run: Run, kind: str, name: str) -> str:
    """How what a vanished resource held can be brought back, as a sentence with a space after it; else empty."""
    if Resource.kinds[kind].holds != DATA:
        return ""
    return (
        f"DynamoDB keeps a backup of a deleted table with point-in-time restore for 35 days: find it with `aws "
        f"dynamodb list-backups --backup-type SYSTEM --table-name {name} --region {run.aws.region}` and restore it with"
        f" `aws dynamodb restore-table-from-backup --target-table-name {name} --backup-arn ARN --region"
        f" {run.aws.region}`, then run `iotpipe up --adopt`. "
    )


def orphan_step(run: Run, row: Row, verdict: Verdict, protect: bool, declared: Sequence[Recorded]) -> Step:
    """What to do about a row of the state file that nothing declares, unless it is what is declared under a name of
    its own: an edited row, or a second API that has taken the place of the first since it was recorded."""
    if any(tag_search.same(row.recorded(), each) for each in declared):
        return Step(row.address, "forget", note="declared under another name")
    if verdict.whose is Whose.GONE:
        return Step(row.address, "forget", note="gone already")
    if verdict.whose is Whose.OTHERS:
        return Step(row.address, "forget", note=f"left alone: it {verdict.why}")
    return _undeclared_step(run, row, "no longer declared", protect)


def leftover_step(run: Run, row: Row, protect: bool) -> Step:
    return _undeclared_step(run, row, "not declared, but has this environment's tags", protect)


def _undeclared_step(run: Run, row: Row, note: str, protect: bool) -> Step:
    kind = Resource.kinds[row.kind]
    if kind.keeps_data() or kind.shared:
        return Step(row.address, "keep", note=f"{note}; kept, it holds data or is shared")
    refusal = ""
    if protect and kind.holds:
        refusal = (
            f"{row.address} is not declared and would be deleted with its {kind.holds}, but {run.environment} is "
            "protected. Declare it again as it was, or set `protect: false`"
        )
    return Step(row.address, "delete", refusal=refusal, note=note)


def refusal_to_touch(resource: Resource, run: Run, row: Row | None, observed: Properties, adopt: Adoption) -> str:
    """Why the resource may not be changed by this environment; empty where it may."""
    verdict = ownership.of_observed(run, resource, observed, row)
    # Whose it is only turns out in a while; until then nobody touches it.
    if verdict.whose is not Whose.OTHERS or (verdict.adoptable and adopt.covers(resource.address)):
        return ""
    alone = f", this one alone with `{adopt_option(resource.address)}`" if verdict.adoptable else ""
    return f"{resource.address} {verdict.why}. {verdict.remedy}{alone}"


def is_unclear(resource: Resource, run: Run, row: Row | None, observed: Properties) -> bool:
    """Whether its tags may still become visible: it may be what was being made when the last command died.

    Or what was being adopted then: without its tags it is still nobody's.
    """
    if row is None or row.status not in ("creating", "updating"):
        return False
    return ownership.of_observed(run, resource, observed, row).whose is Whose.UNCLEAR


def _immutable_refusal(resource: Resource, changes: Sequence[Change]) -> str:
    for change in changes:
        if change.property.split(".")[0] in resource.immutable:
            return (
                f"{resource.address}: AWS cannot change {change.property} of an existing one, and iotpipe never "
                f"replaces (it is {change.before!r}, declared is {change.after!r}). Choose another `suffix`"
            )
    return ""
