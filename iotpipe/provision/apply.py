"""Makes AWS as declared: the only caller of create and update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from iotpipe.errors import RefusedError
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.delete import delete, delete_whole, raise_if_incomplete
from iotpipe.provision.differences import ABSENT, differences, managed_tags, with_pending_tags
from iotpipe.provision.foreign import Foreign
from iotpipe.provision.graph import Needs, walk
from iotpipe.provision.ledger import Ledger, Row
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import UNKNOWN, Properties, Resource
from iotpipe.provision.run import Event, Run
from iotpipe.provision.steps import is_unclear, refusal_to_touch

PARALLEL = 16


def up(
    resources: Sequence[Resource],
    plan: Plan,
    run: Run,
    ledger: Ledger,
    *,
    parallel: int = PARALLEL,
    adopt: Adoption = NOTHING,
    strict: bool = False,
) -> None:
    """Carry out a plan that was just made with the same run; `strict` also removes what others added.

    Raises RefusedError before anything is changed, ApplyFailed when some of it failed, Interrupted when told to
    stop; what succeeded is recorded in each case.
    """
    plan.check()
    resources = adopt.scope(resources)
    run.deleted = ledger.deleted
    # All at once and first of all: if this is cut short, `down` goes by what is recorded.
    recover(resources, plan, run, ledger)
    pending = {step.address: step.action for step in plan.pending}
    by_address = {resource.address: resource for resource in resources}
    dropped = {step.address: ledger.rows[step.address] for step in plan.deletions}
    needs = {resource.address: [need.address for need in resource.needs()] for resource in resources}
    for changed, granting in _granted_first(resources, plan):
        needs[changed].append(granting)
    first = _parts_of_what_stays(dropped, needs)

    def visit(address: str) -> None:
        if address in first:
            delete_whole(run, ledger, first[address], [first[address]])
        elif address in pending:
            _converge(by_address[address], pending[address], run, ledger, adopt)
        else:
            _record_as_found(by_address[address], run, ledger)

    for needed in needs.values():
        needed += [part for part, row in first.items() if row.inside in needed]
    walked = walk(needs | {part: [] for part in first}, visit, parallel, run.stop.is_set)
    walked.skipped = [each for each in walked.skipped if each in pending or each not in ledger.rows]
    last = {address: row for address, row in dropped.items() if address not in first}
    if walked.failed or walked.skipped:
        # What takes their place may be what has failed.
        walked.skipped += last
    raise_if_incomplete(run, walked)
    delete(run, ledger, last, parallel)
    if strict:
        _restore(plan.foreign, run)


def _granted_first(resources: Sequence[Resource], plan: Plan) -> Iterator[tuple[str, str]]:
    """What is to be changed to something on which rights are given now, such as a key, with what gives them."""
    pending = {step.address: step for step in plan.pending}
    for granting in (each for each in resources if each.grants):
        changes = pending[granting.address].changes if granting.address in pending else ()
        given = _texts(change.after for change in changes if change.property.startswith(granting.grants))
        for step in (pending[each.address] for each in granting.mentions() if each.address in pending):
            if step.action == "update" and given & _texts(change.after for change in step.changes):
                yield step.address, granting.address


def _texts(values: Iterable[Any]) -> set[str]:
    """The texts among values and in their lists."""
    found = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return {text for text in found if isinstance(text, str) and text != ABSENT}


def _restore(found: Sequence[Foreign], run: Run) -> None:
    """Take away, one after the other, what others added; what has to stay keeps none of the rest from going."""
    every = {f"{each.address}: {each.subject}": each for each in found}
    walked = walk(dict.fromkeys(every, ()), lambda name: _remove(every[name], run), 1, run.stop.is_set)
    raise_if_incomplete(run, walked)


def _remove(finding: Foreign, run: Run) -> None:
    """Take away what somebody else added to a resource, unless it is to stay."""
    remove = finding.remove
    if remove is None:
        run.tell(Event(finding.address, "kept"))
        return
    run.tell(Event(finding.address, "started", "remove"))
    run.trying("restore", finding.address, lambda attempt: remove())
    run.tell(Event(finding.address, "done", "restored"))


def _parts_of_what_stays(dropped: Mapping[str, Row], needs: Needs) -> dict[str, Row]:
    """What goes before all that builds on its parent: a deployment would go on serving a route that it has seen."""
    return {
        address: row
        for address, row in dropped.items()
        if row.inside in needs and not Resource.kinds[row.kind].finishes
    }


def _record_as_found(resource: Resource, run: Run, ledger: Ledger) -> None:
    """The ledger may be lost, or older than a change that was made by hand and then declared."""
    observed = run.look(resource) or {}
    row = _row(resource, "ready", resource.desired(run) | _assigned(resource, observed))
    known = ledger.rows.get(resource.address)
    if known is None or replace(known, created_at="", updated_at="") != row:
        ledger.record(row)


def _converge(resource: Resource, action: str, run: Run, ledger: Ledger, adopt: Adoption) -> None:
    run.tell(Event(resource.address, "started", action))
    before = ledger.rows.get(resource.address)
    # The first try uses what the plan read, each further one what AWS has by then.
    run.trying(
        action,
        resource.address,
        lambda number: _attempt(resource, run, ledger, adopt, before, again=number > 0),
        inside=resource.parent,
    )
    run.tell(Event(resource.address, "done", f"{action}d"))


def _attempt(resource: Resource, run: Run, ledger: Ledger, adopt: Adoption, before: Row | None, again: bool) -> None:
    observed = run.look_again(resource) if again else run.look(resource)
    desired = resource.desired(run)
    _assert_known(resource, desired)
    known = ledger.rows.get(resource.address)
    observed = with_pending_tags(resource, observed, run, known)
    # What this command itself has begun to update it had a right to: only one that was left behind is doubted.
    doubted = known if known is before or (known and known.status == "creating") else None
    while observed is not None and not adopt.covers(resource.address) and is_unclear(resource, run, doubted, observed):
        run.tell(Event(resource.address, "waiting", _WHOSE))
        run.pause(1)
        observed = run.look_again(resource)
    if observed is None:
        _finish_predecessor(resource, run, known)
        _await_name(resource, run)
        ledger.record(_row(resource, "creating", desired))
        _done(resource, run, ledger, desired, resource.create(run, desired))
        return
    if refusal := refusal_to_touch(resource, run, known, observed, adopt):
        # A row that says `creating` stays: the tags of what we made may only come to be seen later.
        raise RefusedError(refusal)
    ids = _assigned(resource, observed)
    if not differences(desired, observed, known):
        _done(resource, run, ledger, desired, ids)
        return
    if "Tags" in desired:
        observed = observed | {"Tags": managed_tags(desired, observed, known)}
    before = _without_other_ids(resource, known, observed)
    if known and before != known and resource.leaves and type(resource).tags(run, known.recorded()) is None:
        _finish_predecessor(resource, run, known)
    # Without the ids of what is adopted: as long as it bears no tags, it is not this environment's to delete.
    begun = _until_updated(before, desired)
    if adopt.named.get(resource.address):
        # But for one that the user chose by its id: whatever happens now, the next command goes on with that one, and
        # with no other of the name.
        begun = {**begun, **{key: observed[key] for key in resource.identity}}
    ledger.record(_row(resource, "updating", begun))
    _done(resource, run, ledger, desired, ids | resource.update(run, desired, observed))


_WHOSE = "waiting for its tags to become visible"


def _finish_predecessor(resource: Resource, run: Run, known: Row | None) -> None:
    """What the ledger knows is gone, but perhaps not all that it left behind: with its ids that would be forgotten."""
    if known and known.status != "creating" and resource.leaves:
        resource.finish(run, known.recorded())


def _without_other_ids(resource: Resource, known: Row | None, observed: Properties) -> Row | None:
    """What was last set, without the ids of another one whose place this one takes: the printed policy goes by them."""
    others = {key for key in resource.identity if key in resource.assigned}
    if known is None:
        return None
    kept = {key: each for key, each in known.properties.items() if key not in others or observed.get(key) == each}
    return replace(known, properties=kept)


def _until_updated(known: Row | None, desired: Properties) -> Properties:
    """What was last set, with what is set for the first time: tags, an access log, a key.

    If the command dies now, it may be there, and is this environment's to take off again.
    """
    before = known.properties if known else {}
    both = {key for key in desired.keys() & before.keys() if isinstance(desired[key], dict)}
    return {**desired, **before, **{key: {**desired[key], **before[key]} for key in both}}


def _await_name(resource: Resource, run: Run) -> None:
    """AWS keeps the name of a deleted resource back; everything that does not need this one goes on meanwhile."""
    told = f"AWS frees the name {resource.cool_down} s after its deletion: {{:.0f}} s left"
    run.count_down(resource.address, run.clock.now() + run.kept_back(resource), told)


def _done(resource: Resource, run: Run, ledger: Ledger, desired: Properties, ids: Properties) -> None:
    run.remember(resource, desired | ids)
    ledger.record(_row(resource, "ready", desired | ids))


def _assigned(resource: Resource, observed: Properties) -> Properties:
    return {key: observed[key] for key in resource.assigned if key in observed}


def _row(resource: Resource, status: str, properties: Properties) -> Row:
    needs = tuple(sorted(need.address for need in resource.needs()))
    return Row(resource.kind, resource.name, status, properties, needs, resource.parent)


def _assert_known(resource: Resource, desired: Properties) -> None:
    if UNKNOWN in repr(desired):
        raise AssertionError(f"{resource.address} would be sent to AWS with an id that is not known: {desired}")


def recover(resources: Sequence[Resource], plan: Plan, run: Run, ledger: Ledger) -> None:
    """Record what AWS has of this environment and the ledger does not know: it may be lost or stale.

    And forget what is gone, or is another's.
    """
    found: dict[str, Row] = {}
    for resource in resources:
        observed = None if resource.shared or resource.address in ledger.rows else run.look(resource)
        if observed is None or refusal_to_touch(resource, run, None, observed, NOTHING):
            continue
        # What bears no tags belongs to whom its parent belongs: not to us, if that was not recorded.
        if not resource.parent or resource.parent in {*ledger.rows, *found}:
            found[resource.address] = _row(resource, "ready", _as_found(resource, run, observed))
    if found or plan.leftovers:
        ledger.record(*found.values(), *plan.leftovers.values())
    if gone := [step.address for step in plan.steps if step.action == "forget"]:
        ledger.forget(gone)


def _as_found(resource: Resource, run: Run, observed: Properties) -> Properties:
    desired = resource.desired(run)
    properties = {key: observed[key] for key in desired if key in observed} | _assigned(resource, observed)
    return properties | ({"Tags": managed_tags(desired, observed, None)} if "Tags" in desired else {})
