"""Deletes recorded resources in reverse order: the only caller of `delete` and `final_cleanup`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, IotpipeError
from iotpipe.provision import ownership
from iotpipe.provision.graph import Walked, reverse, walk
from iotpipe.provision.ledger import Ledger, Row
from iotpipe.provision.ownership import Verdict, Whose
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Event, Run

_OWNER_CHECK_VALID = 30
"""Seconds for which a check of the owner remains valid for a deletion."""


def delete(run: Run, ledger: Ledger, to_delete: Mapping[str, Row], parallel: int) -> dict[str, str]:
    """Delete the resources of these rows and forget the rows. Answers with the resources of others, and why.

    Raises ApplyFailed, CredentialsError and Interrupted.
    """
    roots = {address: _root(address, to_delete) for address in to_delete}
    parts: dict[str, list[Row]] = {root: [] for root in roots.values()}
    needs: dict[str, set[str]] = {root: set() for root in parts}
    for address, row in to_delete.items():
        parts[roots[address]].append(row)
        needs[roots[address]].update(roots[need] for need in row.needs if need in to_delete)
    order: dict[str, Iterable[str]] = {root: set(users) - {root} for root, users in reverse(needs).items()}
    ends = {f"finish {address}": address for address, row in to_delete.items() if _needs_final_cleanup(row, to_delete)}
    users = {roots[address] for address, row in to_delete.items() if {address, *row.needs} & set(ends.values())}

    deleted: dict[str, Row] = {}
    left_alone: dict[str, str] = {}

    def visit(node: str) -> None:
        if node not in ends:
            if delete_whole(run, ledger, to_delete[node], parts[node]):
                deleted.update({row.address: row for row in parts[node]})
            else:
                left_alone.update(dict.fromkeys((row.address for row in parts[node]), run.verdicts[node][1].why))
        elif row := deleted.pop(ends[node], None):
            _finish(run, ledger, row)

    # A resource is finished once everything that could recreate it is deleted; it need not wait for the rest.
    walked = walk(order | dict.fromkeys(ends, users), visit, parallel, run.stop.is_set)
    unfinished = {address: deleted[address] for address in ends.values() if address in deleted}
    # If something failed, the deleted resources are finished all the same.
    last = walk(dict.fromkeys(unfinished, ()), lambda a: _finish(run, ledger, unfinished[a]), parallel, run.stop.is_set)
    failed = {ends.get(node, node): error for node, error in walked.failed.items()} | last.failed
    skipped = [node for node in walked.skipped if node not in ends] + last.skipped
    raise_if_incomplete(run, Walked(failed, skipped))
    return left_alone


def delete_whole(run: Run, ledger: Ledger, row: Row, whole: Sequence[Row]) -> bool:
    """Delete one resource and forget it with all its parts, except for those that still have to be finished."""
    run.tell(Event(row.address, "started"))
    # A row keeps the status `creating`: it says that the resource with the name may belong to someone else.
    ledger.record(*(replace(each, status="deleting") for each in whole if each.status != "creating"))
    rows = ledger.rows | {row.address: row}
    gone = run.with_retries("delete", row.address, lambda attempt: _delete_if_owned(run, rows, row))
    together = {each.address: each for each in whole}
    over = [address for address, each in together.items() if not (gone and _needs_final_cleanup(each, together))]
    ledger.forget(over, [row.address] if gone and Resource.kinds[row.kind].name_reuse_delay else [])
    for part in whole:
        run.tell(Event(part.address, "done" if gone else "kept", "deleted" if gone else "left alone"))
    return gone


def _root(address: str, to_delete: Mapping[str, Row]) -> str:
    inside = to_delete[address].inside
    return _root(inside, to_delete) if inside in to_delete else address


def _needs_final_cleanup(row: Row, rows: Mapping[str, Row]) -> bool:
    """Whether its deletion has to be finished.

    The owner of a part is not checked by itself. If its ids are not those of its parent, they may belong to another
    environment.
    """
    container = rows.get(row.inside)
    return Resource.kinds[row.kind].needs_final_cleanup and (container is None or ownership.is_part_of(row, container))


def _delete_if_owned(run: Run, rows: Mapping[str, Row], row: Row) -> bool:
    """Delete a resource that belongs to the environment. Answers False for a resource of others."""
    verdict = _verdict(run, rows, row)
    while verdict.whose is Whose.UNCLEAR:
        run.tell(Event(row.address, "waiting", "waiting for its tags to become visible"))
        run.pause(1)
        verdict = ownership.of_row(run, rows, row)
    if verdict.whose is Whose.OTHERS:
        return False
    # Also if it was not found: AWS may not show a new resource yet.
    Resource.kinds[row.kind].delete(run, row.recorded())
    return True


def _verdict(run: Run, rows: Mapping[str, Row], row: Row) -> Verdict:
    """The owner, from a check a few seconds ago at most; for a resource with data, from a check right now."""
    looked, known = run.verdicts.get(row.address, (0.0, None))
    fresh = run.clock.now() - looked < _OWNER_CHECK_VALID and not Resource.kinds[row.kind].keeps_data()
    return ownership.OURS if fresh and known == ownership.OURS else ownership.of_row(run, rows, row)


def _finish(run: Run, ledger: Ledger, row: Row) -> None:
    """Finish the deletion, then forget the row: after a kill in between, the next command still finishes it."""
    run.with_retries("delete", row.address, lambda attempt: Resource.kinds[row.kind].final_cleanup(run, row.recorded()))
    ledger.forget([row.address])


def raise_if_incomplete(run: Run, walked: Walked) -> None:
    errors: list[IotpipeError] = list(dict.fromkeys(walked.failed.values()))
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
            f"What is done is recorded: `{run.typed}` continues from there",
        )
