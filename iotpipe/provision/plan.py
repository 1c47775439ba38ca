"""Plans an `up`: reads every resource and compares it with its declaration and with what was last set. Never writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iotpipe.errors import RefusedError
from iotpipe.provision import leftovers, ownership
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.foreign import CHECKS, Foreign
from iotpipe.provision.foreign.run_checks import run_checks, start_reads
from iotpipe.provision.ledger import Row
from iotpipe.provision.obstacles import ask_for_obstacles
from iotpipe.provision.ownership import Verdict
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import DATA, KEY, Properties, Recorded, Resource
from iotpipe.provision.run import Run
from iotpipe.provision.steps import Step, exchange_refusal, leftover_step, orphan_step, step_for


@dataclass(frozen=True)
class Plan:
    """The steps in the order in which a reading travels, deletions last.

    `leftovers` are resources with the environment's tags that the state file does not record. `foreign` is what others
    added, worst first. `unread` says what AWS refused to show. `later` are the steps that are left to a later `up`,
    because `--adopt` names other resources.
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
        """Tables and API keys deleted outside iotpipe: `up` would recreate them, empty or with a new value."""
        return tuple(step for step in self.steps if step.missing and step.kind.holds in (DATA, KEY))

    @property
    def removed_by_update(self) -> tuple[str, ...]:
        """What `up` removes for good from the resources that it adopts."""
        return tuple(f"{step.address}: {what}" for step in self.steps for what in step.removed_by_update)

    @property
    def removable(self) -> tuple[Foreign, ...]:
        """What others added and `up --strict` removes."""
        return tuple(each for each in self.foreign if each.remove)

    def of(self, address: str) -> Step:
        return next(step for step in (*self.steps, *self.later) if step.address == address)

    def check(self) -> None:
        """Raise RefusedError, with every reason, if iotpipe refuses any step."""
        reasons = [step.refusal for step in self.steps if step.refusal]
        if reasons:
            raise RefusedError("refused, and nothing was changed:\n" + "\n".join(f"  {each}" for each in reasons))


@dataclass(frozen=True)
class _Findings:
    """What was read besides the declared resources: whose the undeclared rows are, what is not recorded, and why AWS
    would refuse to delete either."""

    verdicts: Mapping[str, Callable[[], Verdict | None]]
    leftovers: Mapping[str, Row]
    obstacles: Mapping[str, Callable[[], str]]
    unread: tuple[str, ...]


def plan(
    resources: Sequence[Resource],
    run: Run,
    rows: Mapping[str, Row],
    adopt: Adoption = NOTHING,
    *,
    protect: bool = False,
    foreign: bool = False,
) -> Plan:
    """Read everything in parallel and compare. Raises ApplyFailed if a resource cannot be read.

    `protect` refuses steps that would lose data, messages, an API key or a URL. `foreign` adds what others added to the
    resources, which needs more reads. If `adopt` names single resources, the plan covers these and what they need.
    """
    run.resources = resources
    run.ledger = adopt.with_chosen(resources, {address: row.properties for address, row in rows.items()})
    scope = adopt.scope(resources)
    checked = [resource for resource in scope if resource.kind in CHECKS] if foreign else []
    declared = {resource.address for resource in resources}
    undeclared = {address: row for address, row in rows.items() if address not in declared}
    findings = _read(resources, run, rows, undeclared, checked)
    steps = {each.address: _declared_step(each, run, rows.get(each.address), adopt, protect) for each in resources}
    for each in scope if protect else ():
        if refusal := exchange_refusal(each, run, [*rows.values(), *findings.leftovers.values()], adopt):
            steps[each.address] = replace(steps[each.address], refusal=refusal)
    additions = tuple(run_checks(run, checked))
    if adopt.limited:
        within = tuple(steps.pop(each.address) for each in scope)
        return Plan(within, foreign=additions, unread=findings.unread, later=(*steps.values(),))
    extra = _undeclared_steps(resources, run, undeclared, findings, protect)
    return Plan((*steps.values(), *extra), findings.leftovers, additions, findings.unread)


def from_nothing(resources: Sequence[Resource]) -> Plan:
    """The plan for an environment that is known to be empty: create every resource."""
    return Plan(tuple(Step(each.address, "create") for each in resources))


def _read(
    resources: Sequence[Resource],
    run: Run,
    rows: Mapping[str, Row],
    undeclared: Mapping[str, Row],
    checked: Sequence[Resource],
) -> _Findings:
    """Read every declared resource into `run`, and find what is not declared."""
    with Reads(run) as reads:
        # Parents come before their children.
        for resource in resources:
            reads.required(resource.address, _look(run, resource))
            for ask in resource.extra_reads if resource.address in rows else ():
                reads.prefetch(_asked(run, resource, ask))
        searches = leftovers.start_searches(reads)
        verdicts = {
            address: reads.optional(address, _judge(run, rows, row))
            for address, row in undeclared.items()
            if not Resource.kinds[row.kind].shared
        }
        start_reads(reads, checked)
        reads.wait()
        known = [*(_as_read(run, each) for each in resources), *(row.recorded() for row in undeclared.values())]
        declared = {resource.address for resource in resources}
        found = leftovers.collect(reads, searches, known, {*declared, *undeclared})
        deletable = {
            address: row
            for address, row in {**undeclared, **found}.items()
            if not Resource.kinds[row.kind].keeps_data()
        }
        obstacles = ask_for_obstacles(reads, deletable)
        reads.wait()
    return _Findings(verdicts, found, obstacles, tuple(reads.unread))


def _declared_step(resource: Resource, run: Run, row: Row | None, adopt: Adoption, protect: bool) -> Step:
    step = step_for(resource, run, row, adopt, protect)
    observed = run.look(resource)
    if resource.ids_change_on_update and observed and step.changes and not step.adopted:
        # The update assigns new ids: what depends on them sees them as not known yet.
        run.remember(resource, {key: value for key, value in observed.items() if key not in resource.assigned})
    return step


def _undeclared_steps(
    resources: Sequence[Resource], run: Run, undeclared: Mapping[str, Row], findings: _Findings, protect: bool
) -> list[Step]:
    """The steps for recorded rows that are not declared any more, and for leftovers; in reverse order."""
    live = [_as_read(run, each) for each in resources]
    orphans = [
        # A row whose owner could not be read is checked once more before it is deleted.
        orphan_step(run, row, findings.verdicts.get(address, _unread)() or ownership.OURS, protect, live)
        for address, row in undeclared.items()
    ]
    steps = [*orphans, *(leftover_step(run, row, protect) for row in findings.leftovers.values())][::-1]
    return [_with_obstacle(step, findings.obstacles) for step in steps]


def _with_obstacle(step: Step, obstacles: Mapping[str, Callable[[], str]]) -> Step:
    """The step, refused where AWS would refuse the deletion."""
    if step.action != "delete" or step.refusal:
        return step
    return replace(step, refusal=obstacles[step.address]())


def _unread() -> None:
    """The verdict on a row of a kind that belongs to the whole account: nothing was asked."""


def _look(run: Run, resource: Resource) -> Callable[[], Properties | None]:
    return lambda: run.look(resource)


def _asked(run: Run, resource: Resource, ask: Callable[[Run, Any], Any]) -> Callable[[], Any]:
    return lambda: run.answer(resource, ask)


def _judge(run: Run, rows: Mapping[str, Row], row: Row) -> Callable[[], Verdict]:
    return lambda: ownership.of_row(run, rows, row)


def _as_read(run: Run, resource: Resource) -> Recorded:
    return Recorded(resource.address, resource.kind, resource.name, run.look(resource) or {})
