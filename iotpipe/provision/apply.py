"""Applies a plan: the only caller of `create` and `update`."""

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
    """Apply a plan that was just made with the same run; `strict` also removes what others added.

    Raises RefusedError before anything is changed, ApplyFailed if some of it failed, Interrupted after a stop. What
    succeeded is recorded in each case.
    """
    plan.check()
    resources = adopt.scope(resources)
    run.deleted = ledger.deleted
    # Before the first write: if `up` is killed, `down` relies on what is recorded.
    recover(resources, plan, run, ledger)
    dropped = {step.address: ledger.rows[step.address] for step in plan.deletions}
    needs = _needs(resources, plan)
    first = _parts_of_kept_resources(dropped, needs)
    for needed in needs.values():
        needed += [part for part, row in first.items() if row.inside in needed]
    pending = {step.address: step.action for step in plan.pending}
    by_address = {resource.address: resource for resource in resources}

    def visit(address: str) -> None:
        if address in first:
            delete_whole(run, ledger, first[address], [first[address]])
        elif address in pending:
            _converge(by_address[address], pending[address], run, ledger, adopt)
        else:
            _record_as_found(by_address[address], run, ledger)

    walked = walk(needs | {part: [] for part in first}, visit, parallel, run.stop.is_set)
    walked.skipped = [each for each in walked.skipped if each in pending or each not in ledger.rows]
    last = {address: row for address, row in dropped.items() if address not in first}
    if walked.failed or walked.skipped:
        # Their replacement may be what failed.
        walked.skipped += last
    raise_if_incomplete(run, walked)
    delete(run, ledger, last, parallel)
    if strict:
        _restore(plan.foreign, run)


def _needs(resources: Sequence[Resource], plan: Plan) -> dict[str, list[str]]:
    """What each resource waits for, by address."""
    needs = {resource.address: [need.address for need in resource.needs()] for resource in resources}
    for changed, granting in _granted_first(resources, plan):
        needs[changed].append(granting)
    return needs


def _granted_first(resources: Sequence[Resource], plan: Plan) -> Iterator[tuple[str, str]]:
    """Resources that change to something, such as a KMS key, and the resource whose update grants access to it."""
    pending = {step.address: step for step in plan.pending}
    for granting in (each for each in resources if each.grants):
        changes = pending[granting.address].changes if granting.address in pending else ()
        given = _texts(change.after for change in changes if change.property.startswith(granting.grants))
        for step in (pending[each.address] for each in granting.mentions() if each.address in pending):
            if step.action == "update" and given & _texts(change.after for change in step.changes):
                yield step.address, granting.address


def _texts(values: Iterable[Any]) -> set[str]:
    """The strings among the values and in their lists."""
    found = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return {text for text in found if isinstance(text, str) and text != ABSENT}


def _restore(found: Sequence[Foreign], run: Run) -> None:
    """Remove what others added, one after the other. A failed removal does not stop the others."""
    every = {f"{each.address}: {each.subject}": each for each in found}
    walked = walk(dict.fromkeys(every, ()), lambda name: _remove(every[name], run), 1, run.stop.is_set)
    raise_if_incomplete(run, walked)


def _remove(finding: Foreign, run: Run) -> None:
    """Remove an addition of others, unless iotpipe keeps it."""
    remove = finding.remove
    if remove is None:
        run.tell(Event(finding.address, "kept"))
        return
    run.tell(Event(finding.address, "started", "remove"))
    run.with_retries("restore", finding.address, lambda attempt: remove())
    run.tell(Event(finding.address, "done", "restored"))


def _parts_of_kept_resources(dropped: Mapping[str, Row], needs: Needs) -> dict[str, Row]:
    """Rows to delete before anything that builds on their parent: a deployment would keep serving a deleted route."""
    return {
        address: row
        for address, row in dropped.items()
        if row.inside in needs and not Resource.kinds[row.kind].needs_final_cleanup
    }


def _record_as_found(resource: Resource, run: Run, ledger: Ledger) -> None:
    """Record an unchanged resource: the state file may be lost, or older than a manual change that is declared now."""
    observed = run.look(resource) or {}
    row = _row(resource, "ready", resource.desired(run) | _assigned(resource, observed))
    known = ledger.rows.get(resource.address)
    if known is None or replace(known, created_at="", updated_at="") != row:
        ledger.record(row)


def _converge(resource: Resource, action: str, run: Run, ledger: Ledger, adopt: Adoption) -> None:
    run.tell(Event(resource.address, "started", action))
    before = ledger.rows.get(resource.address)
    # The first try uses what the plan read, each further one what AWS has by then.
    run.with_retries(
        action,
        resource.address,
        lambda number: _attempt(resource, run, ledger, adopt, before, again=number > 0),
        inside=resource.parent,
    )
    run.tell(Event(resource.address, "done", f"{action}d"))


def _attempt(resource: Resource, run: Run, ledger: Ledger, adopt: Adoption, before: Row | None, again: bool) -> None:
    """One try to create or update. `before` is the row at the start of the command."""
    observed = run.look_again(resource) if again else run.look(resource)
    desired = resource.desired(run)
    _assert_known(resource, desired)
    known = ledger.rows.get(resource.address)
    observed = with_pending_tags(resource, observed, run, known)
    observed = _with_clear_owner(resource, observed, run, adopt, before, known)
    if observed is None:
        _create(resource, run, ledger, desired, known)
        return
    if refusal := refusal_to_touch(resource, run, known, observed, adopt):
        # The row keeps the status `creating`: the tags of what was created may become visible later.
        raise RefusedError(refusal)
    if differences(desired, observed, known):
        _update(resource, run, ledger, adopt, desired, observed, known)
    else:
        _done(resource, run, ledger, desired, _assigned(resource, observed))


def _with_clear_owner(
    resource: Resource, observed: Properties | None, run: Run, adopt: Adoption, before: Row | None, known: Row | None
) -> Properties | None:
    """Wait until the tags tell who owns the resource. Answers with what was read last."""
    # Doubts concern only what an earlier command left behind: this one had the right to begin its own updates.
    doubted = known if known is before or (known and known.status == "creating") else None
    while observed is not None and not adopt.covers(resource.address) and is_unclear(resource, run, doubted, observed):
        run.tell(Event(resource.address, "waiting", _WAITING_FOR_TAGS))
        run.pause(1)
        observed = run.look_again(resource)
    return observed


def _create(resource: Resource, run: Run, ledger: Ledger, desired: Properties, known: Row | None) -> None:
    _finish_predecessor(resource, run, known)
    _await_name(resource, run)
    ledger.record(_row(resource, "creating", desired))
    _done(resource, run, ledger, desired, resource.create(run, desired))


def _update(
    resource: Resource,
    run: Run,
    ledger: Ledger,
    adopt: Adoption,
    desired: Properties,
    observed: Properties,
    known: Row | None,
) -> None:
    if "Tags" in desired:
        observed = observed | {"Tags": managed_tags(desired, observed, known)}
    last_set = _without_other_ids(resource, known, observed)
    if known and last_set != known and resource.leaves_residue and type(resource).tags(run, known.recorded()) is None:
        _finish_predecessor(resource, run, known)
    # Without the ids of an adopted resource: until it has the tags, the environment may not delete it.
    begun = _until_updated(last_set, desired)
    if adopt.named.get(resource.address):
        # The user chose this one by its id: whatever happens now, the next command continues with the same one.
        begun = {**begun, **{key: observed[key] for key in resource.identity}}
    ledger.record(_row(resource, "updating", begun))
    changed = resource.update(run, desired, observed)
    _done(resource, run, ledger, desired, _assigned(resource, observed) | changed)


_WAITING_FOR_TAGS = "waiting for its tags to become visible"


def _finish_predecessor(resource: Resource, run: Run, known: Row | None) -> None:
    """Delete what a recorded resource left behind on AWS: once the row has new ids, nothing would find it."""
    if known and resource.leaves_residue:
        resource.final_cleanup(run, known.recorded())


def _without_other_ids(resource: Resource, known: Row | None, observed: Properties) -> Row | None:
    """What was last set, without the ids of the resource that this one replaces: `iotpipe policy` reads the ids."""
    others = {key for key in resource.identity if key in resource.assigned}
    if known is None:
        return None
    kept = {key: each for key, each in known.properties.items() if key not in others or observed.get(key) == each}
    return replace(known, properties=kept)


def _until_updated(known: Row | None, desired: Properties) -> Properties:
    """What was last set, plus what this update sets for the first time: tags, an access log, a key.

    If the command is killed now, AWS may already have it, and the environment owns it.
    """
    before = known.properties if known else {}
    both = {key for key in desired.keys() & before.keys() if isinstance(desired[key], dict)}
    return {**desired, **before, **{key: {**desired[key], **before[key]} for key in both}}


def _await_name(resource: Resource, run: Run) -> None:
    """Wait until AWS frees the name of a deleted resource. Resources that do not need this one continue meanwhile."""
    told = f"AWS frees the name {resource.name_reuse_delay} s after its deletion: {{:.0f}} s left"
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
    """Record the environment's resources that the state file lacks, because it is lost or stale.

    Forget the rows of resources that are gone or belong to another environment.
    """
    found: dict[str, Row] = {}
    for resource in resources:
        observed = None if resource.shared or resource.address in ledger.rows else run.look(resource)
        if observed is None or refusal_to_touch(resource, run, None, observed, NOTHING):
            continue
        # A resource without tags belongs to the owner of its parent.
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
