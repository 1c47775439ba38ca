"""Makes AWS as declared, or takes it down: the only caller of create, update and delete, and of ledger writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, IotpipeError, RefusedError
from iotpipe.provision.graph import Needs, Walked, reverse, walk
from iotpipe.provision.ledger import Ledger, Row
from iotpipe.provision.plan import (
    TAGS_COME_LATE,
    Plan,
    differences,
    may_be_ours,
    our_tags,
    refusal_to_touch,
    with_late_tags,
)
from iotpipe.provision.resource import UNKNOWN, Properties, Resource
from iotpipe.provision.run import ENVIRONMENT_TAG, Event, Run, seconds

PARALLEL = 16


def up(
    resources: Sequence[Resource],
    plan: Plan,
    run: Run,
    ledger: Ledger,
    *,
    parallel: int = PARALLEL,
    adopt: bool = False,
) -> None:
    """Carry out a plan that was just made with the same run.

    Raises RefusedError before anything is changed, ApplyFailed when some of it failed, Interrupted when told to
    stop; what succeeded is recorded in each case.
    """
    plan.check()
    run.deleted = ledger.deleted
    # All at once and first of all: if this is cut short, `down` goes by what is recorded.
    recover(resources, run, ledger)
    pending = {step.address: step.action for step in plan.pending}
    by_address = {resource.address: resource for resource in resources}
    dropped = {step.address: ledger.rows[step.address] for step in plan.deletions}
    needs = {resource.address: [need.address for need in resource.needs()] for resource in resources}
    first = _parts_of_what_stays(dropped, needs)

    def visit(address: str) -> None:
        if address in first:
            _delete_whole(run, ledger, first[address], [first[address]])
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
    _raise_if_incomplete(run, walked)
    _delete(run, ledger, last, parallel)


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


def _converge(resource: Resource, action: str, run: Run, ledger: Ledger, adopt: bool) -> None:
    run.tell(Event(resource.address, "started", action))
    # The first try uses what the plan read, each further one what AWS has by then.
    run.trying(action, resource.address, lambda number: _attempt(resource, run, ledger, adopt, again=number > 0))
    run.tell(Event(resource.address, "done", f"{action}d"))


def _attempt(resource: Resource, run: Run, ledger: Ledger, adopt: bool, again: bool) -> None:
    observed = run.look_again(resource) if again else run.look(resource)
    desired = resource.desired(run)
    _assert_known(resource, desired)
    known = ledger.rows.get(resource.address)
    observed = with_late_tags(observed, run, known)
    while observed is not None and not adopt and may_be_ours(observed, run, known):
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
        observed = observed | {"Tags": our_tags(desired, observed, known)}
    ledger.record(_row(resource, "updating", _until_updated(known, desired)))
    _done(resource, run, ledger, desired, ids | resource.update(run, desired, observed))


_WHOSE = "waiting whether it turns out to bear our tags"


def _finish_predecessor(resource: Resource, run: Run, known: Row | None) -> None:
    """What the ledger knows is gone, but perhaps not all that it left behind: with its ids that would be forgotten."""
    if known and known.status != "creating" and resource.leaves:
        resource.finish(run, known.recorded())


def _until_updated(known: Row | None, desired: Properties) -> Properties:
    """What was last set, with the tags of both sides: if the command dies now, either may be there and is ours."""
    before = known.properties if known else desired
    tags = {"Tags": desired["Tags"] | before.get("Tags", {})} if "Tags" in desired else {}
    return before | tags


def _await_name(resource: Resource, run: Run) -> None:
    """AWS keeps the name of a deleted resource back; everything that does not need this one goes on meanwhile."""
    told = f"AWS lets a name be reused after {resource.cool_down} s: {{:.0f}} s left"
    run.count_down(resource.address, run.clock.now() + run.kept_back(resource), told)


def _done(resource: Resource, run: Run, ledger: Ledger, desired: Properties, ids: Properties) -> None:
    run.remember(resource, desired | ids)
    ledger.record(_row(resource, "ready", desired | ids))


def _assigned(resource: Resource, observed: Properties) -> Properties:
    return {key: observed[key] for key in resource.assigned if key in observed}


def _row(resource: Resource, status: str, properties: Properties) -> Row:
    needs = tuple(sorted(need.address for need in resource.needs()))
    return Row(
        resource.kind,
        resource.name,
        status,
        properties,
        needs,
        resource.parent,
        holds_data=resource.holds_data,
        shared=resource.shared,
    )


def _assert_known(resource: Resource, desired: Properties) -> None:
    if UNKNOWN in repr(desired):
        raise AssertionError(f"{resource.address} would be sent to AWS with an id that is not known: {desired}")


def recover(resources: Sequence[Resource], run: Run, ledger: Ledger) -> None:
    """Record what AWS has of ours and the ledger does not know, after a plan has read it: the ledger may be lost."""
    found: dict[str, Row] = {}
    for resource in resources:
        observed = None if resource.shared or resource.address in ledger.rows else run.look(resource)
        if observed is None or refusal_to_touch(resource, run, None, observed, adopt=False):
            continue
        # What bears no tags belongs to whom its parent belongs: not to us, if that was not recorded.
        if not resource.parent or resource.parent in {*ledger.rows, *found}:
            found[resource.address] = _row(resource, "ready", _as_found(resource, run, observed))
    if found:
        ledger.record(*found.values())


def _as_found(resource: Resource, run: Run, observed: Properties) -> Properties:
    desired = resource.desired(run)
    properties = {key: observed[key] for key in desired if key in observed} | _assigned(resource, observed)
    return properties | ({"Tags": our_tags(desired, observed, None)} if "Tags" in desired else {})


# Taking down


def down(run: Run, ledger: Ledger, *, delete_data: bool, parallel: int = PARALLEL) -> list[str]:
    """Delete what the ledger records, in reverse order, and answer with the addresses that were kept.

    Raises ApplyFailed and Interrupted like `up`.
    """
    doomed = {address: row for address, row in ledger.rows.items() if goes(row, delete_data)}
    _delete(run, ledger, doomed, parallel)
    kept = sorted(address for address in ledger.rows if address not in doomed)
    for address in kept:
        run.tell(Event(address, "kept"))
    shared = [address for address in kept if ledger.rows[address].shared]
    if shared == kept:
        # Nothing of this environment is left, and what the account shares is nobody's to record.
        ledger.forget(shared)
    return kept


def goes(row: Row, delete_data: bool) -> bool:
    """Whether `down` deletes it."""
    return not row.shared and (delete_data or not row.holds_data)


def _delete(run: Run, ledger: Ledger, doomed: Mapping[str, Row], parallel: int) -> None:
    roots = {address: _root(address, doomed) for address in doomed}
    parts: dict[str, list[Row]] = {root: [] for root in roots.values()}
    needs: dict[str, set[str]] = {root: set() for root in parts}
    for address, row in doomed.items():
        parts[roots[address]].append(row)
        needs[roots[address]].update(roots[need] for need in row.needs if need in doomed)
    order: dict[str, Iterable[str]] = {root: set(users) - {root} for root, users in reverse(needs).items()}
    ends = {f"finish {address}": address for address, row in doomed.items() if Resource.kinds[row.kind].finishes}
    users = {roots[address] for address, row in doomed.items() if {address, *row.needs} & set(ends.values())}

    deleted: dict[str, Row] = {}

    def visit(node: str) -> None:
        if node not in ends:
            if _delete_whole(run, ledger, doomed[node], parts[node]):
                deleted.update({row.address: row for row in parts[node]})
        elif row := deleted.pop(ends[node], None):
            _finish(run, ledger, row)

    # Whatever could bring them back is gone when all that used such things is: what else goes need not be waited for.
    walked = walk(order | dict.fromkeys(ends, users), visit, parallel, run.stop.is_set)
    unfinished = {address: deleted[address] for address in ends.values() if address in deleted}
    # Something failed: what is deleted is finished all the same.
    last = walk(dict.fromkeys(unfinished, ()), lambda a: _finish(run, ledger, unfinished[a]), parallel, run.stop.is_set)
    failed = {ends.get(node, node): error for node, error in walked.failed.items()} | last.failed
    skipped = [node for node in walked.skipped if node not in ends] + last.skipped
    _raise_if_incomplete(run, Walked(failed, skipped))


def _delete_whole(run: Run, ledger: Ledger, row: Row, whole: Sequence[Row]) -> bool:
    """Delete one resource, and forget it with all its parts, but for those that still have to be finished."""
    run.tell(Event(row.address, "started"))
    # A `creating` row stays one: only that says that what bears the name may be somebody else's.
    ledger.record(*(replace(each, status="deleting") for each in whole if each.status != "creating"))
    gone = run.trying("delete", row.address, lambda attempt: _delete_if_ours(run, row))
    over = [each.address for each in whole if not (gone and Resource.kinds[each.kind].finishes)]
    ledger.forget(over, [row.address] if gone and Resource.kinds[row.kind].cool_down else [])
    for part in whole:
        run.tell(Event(part.address, "done" if gone else "kept", "deleted" if gone else "not ours"))
    return gone


def _root(address: str, doomed: Mapping[str, Row]) -> str:
    inside = doomed[address].inside
    return _root(inside, doomed) if inside in doomed else address


def _delete_if_ours(run: Run, row: Row) -> bool:
    """A `creating` row may name something that we never made."""
    if row.status == "creating" and not _made_by_us(run, row):
        return False
    Resource.kinds[row.kind].delete(run, row.recorded())
    return True


def _made_by_us(run: Run, row: Row) -> bool:
    """Whether what bears the name is ours, if there is anything: only the tags tell, and new ones come late."""
    until = seconds(row.updated_at) + TAGS_COME_LATE
    while True:
        tags = Resource.kinds[row.kind].tags(run, row.recorded())
        if tags is None or tags.get(ENVIRONMENT_TAG) == run.environment:
            return True
        if ENVIRONMENT_TAG in tags or run.clock.now() >= until:
            return False
        run.tell(Event(row.address, "waiting", _WHOSE))
        run.pause(1)


def _finish(run: Run, ledger: Ledger, row: Row) -> None:
    """Only now is the row forgotten: after a kill in between, the next command must still finish it."""
    run.trying("delete", row.address, lambda attempt: Resource.kinds[row.kind].finish(run, row.recorded()))
    ledger.forget([row.address])


def _raise_if_incomplete(run: Run, walked: Walked) -> None:
    errors: list[IotpipeError] = list(walked.failed.values())
    if expired := next((error for error in errors if isinstance(error, CredentialsError)), None):
        raise expired
    failed = [error for error in errors if not isinstance(error, Interrupted)]
    for address in walked.skipped:
        run.tell(Event(address, "skipped"))
    if failed:
        raise ApplyFailed(run.typed, failed, walked.skipped)
    if errors or (walked.skipped and run.stop.is_set()):
        left = len(errors) + len(walked.skipped)
        raise Interrupted(
            f"stopped; {left} resources are left to do",
            f"What is done is recorded: `{run.typed}` goes on from there",
        )
