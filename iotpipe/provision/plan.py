"""What `up` would do: every resource read, compared with its declaration and with what was last set. Only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iotpipe.errors import RefusedError
from iotpipe.provision import leftovers, ownership
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.foreign import CHECKS, Foreign
from iotpipe.provision.foreign.run_checks import begin_checks, judged
from iotpipe.provision.ledger import Row
from iotpipe.provision.ownership import Verdict
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import DATA, KEY, Properties, Recorded, Resource
from iotpipe.provision.run import Run
from iotpipe.provision.steps import Step, exchange_refusal, leftover_step, orphan_step, step_for


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
        if kept := exchange_refusal(each, run, [*rows.values(), *left.values()], adopt):
            steps[each.address] = replace(steps[each.address], refusal=kept)
    if adopt.limited:
        within = tuple(steps.pop(each.address) for each in scope)
        return Plan(within, foreign=tuple(judged(run, checked)), unread=tuple(reads.unread), later=(*steps.values(),))
    orphans = [
        # What may not be looked at is looked at once more before it is deleted.
        orphan_step(run, row, verdicts.get(address, _unread)() or ownership.OURS, protect, live)
        for address, row in undeclared.items()
    ]
    extra = [*orphans, *(leftover_step(run, row, protect) for row in left.values())]
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
