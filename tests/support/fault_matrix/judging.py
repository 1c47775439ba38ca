"""What must hold after a fault: a clear report, a true state file, and a next run that ends where a clean one does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from iotpipe.errors import ApplyFailed, CredentialsError, ResourceError
from iotpipe.provision import apply, ledger, plan, teardown
from iotpipe.provision.resource import Resource
from tests.support.account_inventory import left_over
from tests.support.fault_matrix.commands import Command, Outcome, Stand, Subject, in_sequence, looked_at, outcome
from tests.support.fault_matrix.faults import (
    DENIED,
    DROPPED,
    EXPIRED,
    PASSING,
    Call,
    Wire,
    always,
    from_then_on,
    once_at,
    words,
)
from tests.support.pipeline_world import killed

Complaints = list[str]


def struck(command: Command, fault: str, calls: Collection[Call], lasting: bool, parallel: int) -> Complaints:
    """The command with this fault at these calls: what is wrong then, or afterwards.

    A lasting fault strikes every call of the operation; what ends the line or the credentials ends them for all
    that comes after.
    """
    one = next(iter(calls))
    ending = fault == EXPIRED or (fault == DROPPED and lasting)
    strikes = from_then_on(one) if ending else always(one) if lasting else once_at(calls)
    subject = command.subject(parallel=parallel)
    subject.wire = wire = Wire(fault, strikes)
    with in_sequence() if parallel == 1 else nullcontext():
        error = _acted(command, subject)
    wire.strikes = lambda call: False
    # Several at once may share an answer, and it is not always the same one that asks for it.
    if missed := set(calls) - set(wire.hits) if parallel == 1 else not wire.hits:
        return [f"never called: {missed}; it ended with {error!r}"]
    ends = outcome(subject)
    waits = fault in PASSING or (fault == DENIED and all(map(command.waits_out_a_denial, calls)))
    if waits and not lasting:
        return [*_came_through(command, subject, wire, error, ends)]
    told = _ended if ending else _stopped
    # From the start on, the next command is the clean run.
    follows = aftermath(command, subject.stand()) if ends != command.started else []
    return [*told(command, subject, wire, error, ends), *follows]


def died(command: Command, at: int, moment: str) -> Complaints:
    """The command killed at this write call, with many calls under way: what is wrong afterwards."""
    subject = command.subject(parallel=16)
    with killed(subject, at, moment):
        command.act(subject)
    return aftermath(command, subject.stand())


def _acted(command: Command, subject: Subject) -> Exception | None:
    try:
        command.act(subject)
    except Exception as error:  # noqa: BLE001 - what is not one of ours would be a traceback: the verdict says so
        return error
    return None


def _came_through(
    command: Command, subject: Subject, wire: Wire, error: Exception | None, ends: Outcome
) -> Iterator[str]:
    if error is not None:
        yield f"it gave up: {error!r}"
        return
    told = {event.address for event in subject.events if event.phase == "waiting" and event.detail}
    # What is asked ahead has no address: whoever needs the answer asks again.
    if untold := {call.address for call in wire.hits if call.address} - told:
        yield f"nobody was told that it is tried again: {', '.join(untold)}"
    if found := difference(ends, command.clean.outcome):
        yield f"it ends elsewhere than a clean run: {found}"


def _ended(command: Command, subject: Subject, wire: Wire, error: Exception | None, ends: Outcome) -> Iterator[str]:
    """Nothing could be done any more, for one reason."""
    expired = wire.fault == EXPIRED
    if not isinstance(error, CredentialsError if expired else ApplyFailed):
        yield f"not a report of what is wrong: {error!r}"
    elif not any(_code(wire.fault, call) in error.message for call in wire.hits):
        yield f"AWS's code is not named: {error}"
    elif f"`iotpipe {command.verb} --env dev`" not in error.hint or not (expired or "the network" in str(error)):
        yield f"it is not said what to do: {error}"


def _stopped(command: Command, subject: Subject, wire: Wire, error: Exception | None, ends: Outcome) -> Iterator[str]:
    """Some of it could not be done, and all of the rest was."""
    if not isinstance(error, ApplyFailed):
        yield f"not a report of what failed: {error!r}"
        return
    if f"`iotpipe {command.verb} --env dev`" not in error.hint:
        yield f"it is not said how to go on: {error.hint}"
    # A search that is denied finds less, and fails nothing.
    optional = {call for call in wire.hits if wire.fault == DENIED and command.may_be_denied(call)}
    hits = {call.address: call for call in reversed(wire.hits) if call.address and call not in optional}
    yield from _explained(error, wire.fault, hits)
    reading = wire.hits[0] in command.reading
    left = set() if reading else left_out(command, hits.values())
    told = {event.address for event in subject.events if event.phase == "skipped"}
    if set(error.skipped) != left or told != left:
        yield f"left out: {sorted(error.skipped)}, told so: {sorted(told)}, not {sorted(left)}"
    if reading:
        if found := difference(ends, command.started):
            yield f"something was changed although not all could be read: {found}"
    elif found := difference(*_independent(command, ends[1], hits.keys() | left)):
        yield f"not done or not recorded, although it could have been: {found}"


def _explained(error: ApplyFailed, fault: str, hits: dict[str, Call]) -> Iterator[str]:
    """Each failure names its resource, AWS's code, and what to do or how long it was tried."""
    by_address = {getattr(each, "address", ""): each for each in error.failed}
    if by_address.keys() != hits.keys() or len(error.failed) != len(hits):
        yield f"failed: {sorted(by_address)}, not {sorted(hits)}"
        return
    for address, call in hits.items():
        each, code = by_address[address], _code(fault, call)
        more = call.operation in each.hint if fault == DENIED else " times over " in each.message
        if not isinstance(each, ResourceError) or each.code != code or address not in str(error) or not more:
            yield f"{call} is not explained: {each}"


def _code(fault: str, call: Call) -> str:
    """What the report calls the fault; an answer without a body has nothing but its status."""
    said = words(fault, call.service, call.operation)
    return "EndpointConnectionError" if fault == DROPPED else said.code or str(said.status)


def left_out(command: Command, calls: Iterable[Call]) -> set[str]:
    """What cannot be done when these calls fail, since it depends on what they are for."""
    if command.verb == "down":
        return _left_standing(command, calls)
    needs, late = _needs(command)
    found = {call.address for call in calls}
    failed = found - late
    while more := {each for each, needed in needs.items() if needed & (found - late)} - found:
        found |= more
    changed = {call.address for call in command.clean.calls if call not in command.reading}
    return (found | (late if failed else set())) - {call.address for call in calls} & changed


def _needs(command: Command) -> tuple[dict[str, set[str]], set[str]]:
    """Who waits for whom, and what is deleted last, when all else is done."""
    needs = {each.address: {need.address for need in each.needs()} for each in command.declared.resources}
    dropped = {address: row for address, row in command.rows.items() if address not in needs}
    parts = {
        address: row.inside
        for address, row in dropped.items()
        if row.inside in needs and not Resource.kinds[row.kind].needs_final_cleanup
    }
    for needed in needs.values():
        needed |= {part for part, inside in parts.items() if inside in needed}
    return needs, dropped.keys() - parts.keys()


def _left_standing(command: Command, calls: Iterable[Call]) -> set[str]:
    """What is needed by what could not be deleted stays too; what is a part of something goes with it."""
    rows = command.rows
    whole = {address: row.inside if row.inside in rows else address for address, row in rows.items()}
    needs: dict[str, set[str]] = {root: set() for root in whole.values()}
    for address, row in rows.items():
        needs[whole[address]] |= {whole[need] for need in row.needs if need in rows} - {whole[address]}
    failed = {whole.get(call.address, call.address) for call in calls if call not in command.clean.finishing}
    found = set(failed)
    while more := {need for each in found for need in needs.get(each, ())} - found:
        found |= more
    return {each for each in found - failed if teardown.is_deleted(rows[each], delete_data=True)}


def _independent(command: Command, rows: dict[str, Any], concerned: set[str]) -> tuple[Any, Any]:
    """What is recorded of all that had nothing to do with the fault, and what a clean run records of it."""
    ends = command.clean.outcome[1]
    if command.verb == "down":
        parts = {address for address, row in command.rows.items() if row.inside in concerned}
        kept = {address for address, row in command.rows.items() if row.kind == "api-gateway-account"}
        return sorted(rows.keys() - concerned - parts - kept), []
    return tuple({a: row for a, row in each.items() if a not in concerned} for each in (rows, ends))


# Afterwards


def aftermath(command: Command, stand: Stand) -> Complaints:
    """What is wrong with what a fault has left: with the state file, or with where the next command ends.

    That nothing is left to do there, and that `down` then leaves nothing, is shown once: for that end itself.
    """
    follow = _after_down if command.verb == "down" else _after_up
    with in_sequence():
        return [*follow(command, stand)]


def _after_up(command: Command, stand: Stand) -> Iterator[str]:
    subject = command.subject(stand)
    run = subject.run("up", command.declared.tags)
    book = subject.ledger(run)
    steps = plan.plan(command.declared.resources, run, book.rows)
    yield from untrue(command, book.rows, {a: run.look(command.resources[a]) for a in book.rows})
    apply.up(command.declared.resources, steps, run, book, parallel=1)
    if found := difference(outcome(subject), command.clean.outcome):
        yield f"the next up ends elsewhere than a clean one: {found}"
    if command.name == "up":
        yield from _taken_down(command, stand)


def _after_down(command: Command, stand: Stand) -> Iterator[str]:
    yield from _taken_down(command, stand)
    subject = command.subject(stand)
    yield from untrue(command, subject.rows(), looked_at(command, subject))
    subject.bring_up(command.declared)
    if found := difference(outcome(subject), command.started):
        yield f"the next up does not make all of it again: {found}"


def _taken_down(command: Command, stand: Stand) -> Iterator[str]:
    subject = command.subject(stand)
    subject.down(delete_data=True)
    if left := left_over():
        yield f"the next down leaves {', '.join(left)}"
    if subject.rows():
        yield f"the next down leaves recorded {', '.join(subject.rows())}"


def untrue(command: Command, rows: dict[str, ledger.Row], live: dict[str, Any]) -> Iterator[str]:
    """Whatever is recorded as ready and is not so in AWS."""
    for address, row in rows.items():
        if row.status != "ready":
            continue
        there = live[address]
        wrong = [key for key, value in row.properties.items() if there is None or there.get(key) != value]
        # What somebody else had changed before is as it was, until we come to it.
        if wrong and (row, there) != (command.rows.get(address), command.live.get(address)):
            yield f"{address} is recorded as ready, but {', '.join(wrong)} is not so in AWS"


def difference(found: Any, expected: Any, where: str = "") -> str:
    """Where two things first differ, in words; empty where they do not."""
    if found == expected:
        return ""
    if isinstance(found, dict) and isinstance(expected, dict):
        if found.keys() != expected.keys():
            more, less = sorted(found.keys() - expected.keys()), sorted(expected.keys() - found.keys())
            return f"{where}: too much {more}, missing {less}"
        return next(filter(None, (difference(found[key], expected[key], f"{where}.{key}") for key in found)))
    if isinstance(found, list | tuple) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return next(filter(None, (difference(a, b, f"{where}[{n}]") for n, (a, b) in pairs)))
    return f"{where}: {found!r}, not {expected!r}"
