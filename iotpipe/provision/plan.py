"""What `up` would do: every resource read, compared with its declaration and with what was last set. Only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iotpipe.errors import RefusedError
from iotpipe.provision import leftovers, ownership, tag_search
from iotpipe.provision.adoption import NOTHING, Adoption, advised
from iotpipe.provision.foreign import CHECKS, Foreign
from iotpipe.provision.foreign.run_checks import begin_checks, judged
from iotpipe.provision.ledger import Row
from iotpipe.provision.ownership import Verdict, Whose
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import DATA, KEY, Properties, Recorded, Resource
from iotpipe.provision.run import Run

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """One property that is not as declared. `drift` says that somebody else changed it since we last set it."""

    property: str
    before: Any
    after: Any
    drift: bool


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
    taken_off: tuple[str, ...] = ()
    """What the adoption takes off it for good."""

    @property
    def drifted(self) -> bool:
        return self.missing or any(change.drift for change in self.changes)

    @property
    def kind(self) -> type[Resource]:
        return Resource.kinds[self.address.partition("/")[0]]


@dataclass(frozen=True)
class Plan:
    """The steps in the order in which a reading travels, deletions last.

    `doomed` are the rows of the deletions, `leftovers` those of them, and of what is kept, that the state file does
    not have. `foreign` is what others added, worst first; `unread` says what AWS did not let us look at. `later` is
    what is not looked after this time: `--adopt` named other resources.
    """

    steps: tuple[Step, ...]
    leftovers: Mapping[str, Row] = field(default_factory=dict)
    foreign: tuple[Foreign, ...] = ()
    unread: tuple[str, ...] = ()
    later: tuple[Step, ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action not in ("none", "keep", "forget"))

    @property
    def deletions(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action == "delete")

    @property
    def vanished(self) -> tuple[Step, ...]:
        """Tables and keys that somebody deleted: `up` would make them anew, empty or with another value."""
        return tuple(step for step in self.steps if step.missing and step.kind.holds in (DATA, KEY))

    @property
    def taken_off(self) -> tuple[str, ...]:
        """What is taken for good off the resources that are adopted."""
        return tuple(f"{step.address}: {what}" for step in self.steps for what in step.taken_off)

    @property
    def removable(self) -> tuple[Foreign, ...]:
        """What others added and `up --strict` removes."""
        return tuple(each for each in self.foreign if each.remove)

    def of(self, address: str) -> Step:
        return next(step for step in (*self.steps, *self.later) if step.address == address)

    def check(self) -> None:
        """Raise RefusedError, with every reason, if there is something that iotpipe will not do."""
        reasons = [step.refusal for step in self.steps if step.refusal]
        if reasons:
            raise RefusedError("refused, and nothing was changed:\n" + "\n".join(f"  {each}" for each in reasons))


def plan(
    resources: Sequence[Resource],
    run: Run,
    rows: Mapping[str, Row],
    adopt: Adoption = NOTHING,
    *,
    protect: bool = False,
    foreign: bool = False,
) -> Plan:
    """Read everything at once and compare. Raises ApplyFailed if something cannot be read.

    With `protect` nothing may go that holds data, messages, a key or the URL. With `foreign` the plan also has what
    others added, which costs further reads. Where `adopt` names single resources, the steps are those of these and
    what they need.
    """
    run.resources = resources
    run.ledger = adopt.with_chosen(resources, {address: row.properties for address, row in rows.items()})
    declared = {resource.address for resource in resources}
    undeclared = {address: row for address, row in rows.items() if address not in declared}
    scope = adopt.scope(resources)
    checked = [resource for resource in scope if resource.kind in CHECKS] if foreign else []
    with Reads(run) as reads:
        # Parents come before their children.
        for resource in resources:
            reads.must(resource.address, _look(run, resource))
            for ask in resource.questions if resource.address in rows else ():
                reads.ahead(_asked(run, resource, ask))
        searches = leftovers.begin(reads)
        verdicts = {
            address: reads.may(address, _judge(run, rows, row))
            for address, row in undeclared.items()
            if not Resource.kinds[row.kind].shared
        }
        begin_checks(reads, checked)
        reads.wait()
        live = [_as_read(run, each) for each in resources]
        known = [*live, *(row.recorded() for row in undeclared.values())]
        left = leftovers.found(reads, searches, known, {*declared, *undeclared})
    steps = {each.address: step_for(each, run, rows.get(each.address), adopt, protect) for each in resources}
    for each in scope if protect else ():
        if kept := _not_exchanged(each, run, [*rows.values(), *left.values()], adopt):
            steps[each.address] = replace(steps[each.address], refusal=kept)
    if adopt.limited:
        within = tuple(steps.pop(each.address) for each in scope)
        return Plan(within, foreign=tuple(judged(run, checked)), unread=tuple(reads.unread), later=(*steps.values(),))
    orphans = [
        # What may not be looked at is looked at once more before it is deleted.
        _orphan(run, row, verdicts.get(address, _unread)() or ownership.OURS, protect, live)
        for address, row in undeclared.items()
    ]
    extra = [*orphans, *(_leftover(run, row, protect) for row in left.values())]
    return Plan((*steps.values(), *extra[::-1]), left, tuple(judged(run, checked)), tuple(reads.unread))


def from_nothing(resources: Sequence[Resource]) -> Plan:
    """The plan where it is known that there is nothing yet: every resource is to be created."""
    return Plan(tuple(Step(each.address, "create") for each in resources))


def _unread() -> None:
    """The answer where nothing was asked."""


def _look(run: Run, resource: Resource) -> Callable[[], Properties | None]:
    return lambda: run.look(resource)


def _asked(run: Run, resource: Resource, ask: Callable[[Run, Any], Any]) -> Callable[[], Any]:
    return lambda: run.answer(resource, ask)


def _judge(run: Run, rows: Mapping[str, Row], row: Row) -> Callable[[], Verdict]:
    return lambda: ownership.of_row(run, rows, row)


def _as_read(run: Run, resource: Resource) -> Recorded:
    return Recorded(resource.address, resource.kind, resource.name, run.look(resource) or {})


def step_for(resource: Resource, run: Run, row: Row | None, adopt: Adoption, protect: bool = False) -> Step:
    """Compare one resource with what was read of it."""
    observed, desired = with_late_tags(resource, run.look(resource), run, row), resource.desired(run)
    if missed := adopt.missed(resource, run, observed):
        return Step(resource.address, "create" if observed is None else "update", refusal=missed)
    if observed is None:
        return _creation(resource, run, row, desired, protect)
    refusal = refusal_to_touch(resource, run, row, observed, adopt)
    whose = ownership.of_observed(run, resource, observed, row).whose
    if not refusal and (whose is Whose.OTHERS or (whose is Whose.UNCLEAR and adopt.covers(resource.address))):
        return _adopted(resource, run, desired, observed)
    changes = differences(desired, observed, row)
    if not refusal and (fixed := _immutable(resource, changes)):
        refusal = fixed
    if not changes:
        return Step(resource.address, "none", refusal=refusal)
    if resource.renewed:
        run.remember(resource, {key: value for key, value in observed.items() if key not in resource.assigned})
    return Step(resource.address, "update", changes, refusal=refusal)


def _adopted(resource: Resource, run: Run, desired: Properties, observed: Properties) -> Step:
    """What becomes of one that was not this environment's until now: whatever differs, no one has changed."""
    changes = differences(desired, observed, None)
    fixed, taken_off = _immutable(resource, changes), tuple(resource.taken_off(observed))
    return Step(resource.address, "update", changes, refusal=fixed, adopted=True, taken_off=taken_off)


def _not_exchanged(resource: Resource, run: Run, rows: Sequence[Row], adopt: Adoption) -> str:
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
    return run.trying("read", row.address, lambda attempt: kind.tags(run, row.recorded())) is not None


def _creation(resource: Resource, run: Run, row: Row | None, desired: Properties, protect: bool) -> Step:
    changes = tuple(Change(path, ABSENT, value, False) for path, value in _leaves(desired))
    # What was made in a parent that another one has taken the place of since is not missing: it is not there yet.
    missing = row is not None and row.status == "ready" and row.inside == resource.parent
    refusal = resource.obstacle(run)
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


def _orphan(run: Run, row: Row, verdict: Verdict, protect: bool, declared: Sequence[Recorded]) -> Step:
    """What to do about a row of the state file that nothing declares, unless it is what is declared under a name of
    its own: an edited row, or a second API that has taken the place of the first since it was recorded."""
    if any(tag_search.same(row.recorded(), each) for each in declared):
        return Step(row.address, "forget", note="declared under another name")
    if verdict.whose is Whose.GONE:
        return Step(row.address, "forget", note="gone already")
    if verdict.whose is Whose.OTHERS:
        return Step(row.address, "forget", note=f"left alone: it {verdict.why}")
    return _undeclared(run, row, "no longer declared", protect)


def _leftover(run: Run, row: Row, protect: bool) -> Step:
    return _undeclared(run, row, "not declared, but has this environment's tags", protect)


def _undeclared(run: Run, row: Row, note: str, protect: bool) -> Step:
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
    alone = f", this one alone with `{advised(resource.address)}`" if verdict.adoptable else ""
    return f"{resource.address} {verdict.why}. {verdict.remedy}{alone}"


def is_unclear(resource: Resource, run: Run, row: Row | None, observed: Properties) -> bool:
    """Whether its tags may still become visible: it may be what was being made when the last command died.

    Or what was being adopted then: without its tags it is still nobody's.
    """
    if row is None or row.status not in ("creating", "updating"):
        return False
    return ownership.of_observed(run, resource, observed, row).whose is Whose.UNCLEAR


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
            before.get(path, ABSENT),
            after.get(path, ABSENT),
            drift=set_by_us is not None and set_by_us.get(path, ABSENT) != before.get(path, ABSENT),
        )
        for path in dict.fromkeys((*after, *before))
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    )


def our_tags(desired: Properties, observed: Properties, row: Row | None) -> dict[str, str]:
    """The live tags that we declare, once set or were about to; those that others put there stay theirs."""
    ours = desired["Tags"].keys() | (row.properties if row else {}).get("Tags", {}).keys()
    return {key: value for key, value in observed.get("Tags", {}).items() if key in ours}


def with_late_tags(resource: Resource, observed: Properties | None, run: Run, row: Row | None) -> Properties | None:
    """What was read, with our tags if AWS does not show any yet of what was just made: nobody took them off."""
    if observed is None or row is None or row.status != "ready" or "Tags" not in row.properties:
        return observed
    ours = row.properties["Tags"]
    if ours.keys() & observed["Tags"].keys() or not ownership.tags_may_come(run, row):
        return observed
    if ownership.of_observed(run, resource, observed, row).whose is Whose.OTHERS:
        return observed
    return observed | {"Tags": observed["Tags"] | ours}


def _leaves(properties: Properties, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in properties.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
