"""Deletes what rows of the state file record, in reverse order: the only caller of delete and finish."""

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

_PROOF_HOLDS = 30
"""Seconds for which a look at the tags counts before a deletion."""


def delete(run: Run, ledger: Ledger, doomed: Mapping[str, Row], parallel: int) -> dict[str, str]:
    """Delete the doomed rows' resources and forget them; answers with those that turned out to be another's, and why.

    Raises ApplyFailed, CredentialsError and Interrupted.
    """
    roots = {address: _root(address, doomed) for address in doomed}
    parts: dict[str, list[Row]] = {root: [] for root in roots.values()}
    needs: dict[str, set[str]] = {root: set() for root in parts}
    for address, row in doomed.items():
        parts[roots[address]].append(row)
        needs[roots[address]].update(roots[need] for need in row.needs if need in doomed)
    order: dict[str, Iterable[str]] = {root: set(users) - {root} for root, users in reverse(needs).items()}
    ends = {f"finish {address}": address for address, row in doomed.items() if _finishes(row, doomed)}
    users = {roots[address] for address, row in doomed.items() if {address, *row.needs} & set(ends.values())}

    deleted: dict[str, Row] = {}
    left_alone: dict[str, str] = {}

    def visit(node: str) -> None:
        if node not in ends:
            if delete_whole(run, ledger, doomed[node], parts[node]):
                deleted.update({row.address: row for row in parts[node]})
            else:
                left_alone.update(dict.fromkeys((row.address for row in parts[node]), run.verdicts[node][1].why))
        elif row := deleted.pop(ends[node], None):
            _finish(run, ledger, row)

    # Whatever could bring them back is gone when all that used such things is: what else goes need not be waited for.
    walked = walk(order | dict.fromkeys(ends, users), visit, parallel, run.stop.is_set)
    unfinished = {address: deleted[address] for address in ends.values() if address in deleted}
    # Something failed: what is deleted is finished all the same.
    last = walk(dict.fromkeys(unfinished, ()), lambda a: _finish(run, ledger, unfinished[a]), parallel, run.stop.is_set)
    failed = {ends.get(node, node): error for node, error in walked.failed.items()} | last.failed
    skipped = [node for node in walked.skipped if node not in ends] + last.skipped
    raise_if_incomplete(run, Walked(failed, skipped))
    return left_alone


def delete_whole(run: Run, ledger: Ledger, row: Row, whole: Sequence[Row]) -> bool:
    """Delete one resource, and forget it with all its parts, but for those that still have to be finished."""
    run.tell(Event(row.address, "started"))
    # A `creating` row stays one: only that says that what bears the name may be somebody else's.
    ledger.record(*(replace(each, status="deleting") for each in whole if each.status != "creating"))
    rows = ledger.rows | {row.address: row}
    gone = run.trying("delete", row.address, lambda attempt: _delete_if_ours(run, rows, row))
    together = {each.address: each for each in whole}
    over = [address for address, each in together.items() if not (gone and _finishes(each, together))]
    ledger.forget(over, [row.address] if gone and Resource.kinds[row.kind].cool_down else [])
    for part in whole:
        run.tell(Event(part.address, "done" if gone else "kept", "deleted" if gone else "left alone"))
    return gone


def _root(address: str, doomed: Mapping[str, Row]) -> str:
    inside = doomed[address].inside
    return _root(inside, doomed) if inside in doomed else address


def _finishes(row: Row, rows: Mapping[str, Row]) -> bool:
    """Whether its deletion has to be finished.

    What goes with another resource is not looked at by itself: where its ids are not that one's, they may be those of
    another environment.
    """
    container = rows.get(row.inside)
    return Resource.kinds[row.kind].finishes and (container is None or ownership.is_part_of(row, container))


def _delete_if_ours(run: Run, rows: Mapping[str, Row], row: Row) -> bool:
    """Delete what is this environment's; what is another's by now is left alone."""
    verdict = _verdict(run, rows, row)
    while verdict.whose is Whose.UNCLEAR:
        run.tell(Event(row.address, "waiting", "waiting for its tags to become visible"))
        run.pause(1)
        verdict = ownership.of_row(run, rows, row)
    if verdict.whose is Whose.OTHERS:
        return False
    # Also what was not found: AWS may not have shown yet what was only just made.
    Resource.kinds[row.kind].delete(run, row.recorded())
    return True


def _verdict(run: Run, rows: Mapping[str, Row], row: Row) -> Verdict:
    """Whose it is, by a look that is no older than a few seconds; of what holds data, by one right before."""
    looked, known = run.verdicts.get(row.address, (0.0, None))
    fresh = run.clock.now() - looked < _PROOF_HOLDS and not Resource.kinds[row.kind].keeps_data()
    return ownership.OURS if fresh and known == ownership.OURS else ownership.of_row(run, rows, row)


def _finish(run: Run, ledger: Ledger, row: Row) -> None:
    """Only now is the row forgotten: after a kill in between, the next command must still finish it."""
    run.trying("delete", row.address, lambda attempt: Resource.kinds[row.kind].finish(run, row.recorded()))
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
