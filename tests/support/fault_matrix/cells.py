"""The cells of the fault matrix: every call of every command, times every fault; all of them, or in handfuls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from tests.support.fault_matrix.commands import Command
from tests.support.fault_matrix.faults import BROKEN, DENIED, DROPPED, EXPIRED, KILLED, PASSING, Call
from tests.support.fault_matrix.judging import Complaints, aftermath, died, left_out, struck
from tests.support.fault_matrix.starts import commands
from tests.support.pipeline_world import MOMENTS


@dataclass(frozen=True)
class Cell:
    """A command and a fault at some calls; or, where the process is killed, after what is named, or at a write
    call with many others under way."""

    command: str
    fault: str
    calls: frozenset[Call] = frozenset()
    lasting: bool = False
    after: str = ""
    death: tuple[int, str] | None = None
    parallel: int = 1

    def __str__(self) -> str:
        where = self.after or self.death or " and ".join(map(str, sorted(self.calls)))
        return f"{self.command}, {self.parallel} at once, {'always ' * self.lasting}{self.fault}: {where}"

    def complaints(self, directory: Path) -> Complaints:
        command = commands(directory)[self.command]
        if self.death:
            return died(command, *self.death)
        if self.fault == KILLED:
            return aftermath(command, command.clean.stands[self.after])
        return struck(command, self.fault, self.calls, self.lasting, self.parallel)


def wrong(cells: Iterable[Cell], directory: Path) -> str:
    """What is wrong in which of the cells, a line each; empty where all is well."""
    return "\n".join(f"{cell}: {complaint}" for cell in cells for complaint in cell.complaints(directory))


def whole(directory: Path) -> list[Cell]:
    """Each call with each fault by itself, each moment of death that leaves something else, and what stays."""
    return [cell for command in commands(directory).values() for cell in _each(command)]


def _each(command: Command) -> Iterator[Cell]:
    for call in command.clean.calls:
        for fault in (*PASSING, *(() if command.may_be_denied(call) else (DENIED,)), EXPIRED):
            yield Cell(command.name, fault, frozenset({call}))
    for after in command.clean.stands:
        yield Cell(command.name, KILLED, after=after)
    yield from _lasting(command)


def _lasting(command: Command) -> Iterator[Cell]:
    """What stays: each operation denied for good, and each service broken or out of reach from its first call on."""
    backwards = command.clean.calls[::-1]
    denied = {(call.service, call.operation): call for call in backwards if not command.may_be_denied(call)}
    broken = {call.service: call for call in backwards}
    for fault, calls in ((DENIED, denied), (BROKEN, broken), (DROPPED, broken)):
        for call in calls.values():
            yield Cell(command.name, fault, frozenset({call}), lasting=True)


def handfuls(directory: Path, chance: Random) -> list[Cell]:
    """Each call, denied and with one of the faults that pass, as many at once as do not notice one another."""
    cells = [cell for command in commands(directory).values() for cell in _handfuls(command)]
    passing: dict[tuple[str, frozenset[Call]], list[Cell]] = {}
    for cell in cells:
        if cell.fault in PASSING:
            passing.setdefault((cell.command, cell.calls), []).append(cell)
    drawn = [chance.choice(each) for each in passing.values()]
    return [*drawn, *(cell for cell in cells if cell.fault not in PASSING)]


def _handfuls(command: Command) -> Iterator[Cell]:
    # A second fault of one resource could mend what the first has broken: it is tried again as a whole.
    for calls in _dealt(command.clean.calls, {call: {call.address} for call in command.clean.calls}):
        for fault in PASSING:
            yield Cell(command.name, fault, calls)
    # Where something is denied, what depends on it is not even tried; and nothing is where a plan cannot be made.
    for those in (command.reading, set(command.clean.calls) - command.reading):
        calls = [call for call in command.clean.calls if call in those and _stops_at_a_denial(command, call)]
        concerned = {call: _concerned(command, call) for call in calls}
        for hand in _dealt(calls, concerned):
            yield Cell(command.name, DENIED, hand)
    waits = [call for call in command.clean.calls if command.waits_out_a_denial(call)]
    for hand in _dealt(waits, {call: {call.address} for call in waits}):
        yield Cell(command.name, DENIED, hand)


def _stops_at_a_denial(command: Command, call: Call) -> bool:
    return not (command.may_be_denied(call) or command.waits_out_a_denial(call))


def _concerned(command: Command, call: Call) -> set[str]:
    whole = {call.address} | (set() if call in command.reading else left_out(command, [call]))
    return whole | {address for address, row in command.rows.items() if command.verb == "down" and row.inside in whole}


def _dealt(calls: Iterable[Call], concerned: Mapping[Call, Collection[str]]) -> list[frozenset[Call]]:
    """The calls in as few hands as it takes for none to concern another one's resource."""
    hands: list[list[Call]] = []
    for call in calls:
        for hand in hands:
            if not any(call.address in concerned[each] or each.address in concerned[call] for each in hand):
                hand.append(call)
                break
        else:
            hands.append([call])
    return [frozenset(hand) for hand in hands]


def deaths_of_up(directory: Path, chance: Random) -> list[Cell]:
    """Of the moments at which an `up` from nothing can die, before and after whatever it writes, one of each two that
    follow one another."""
    moments = [cell for cell in whole(directory) if cell.command == "up" and cell.fault == KILLED]
    return [chance.choice(moments[at : at + 2]) for at in range(0, len(moments), 2)]


def drawn(directory: Path, chance: Random) -> list[Cell]:
    """One moment of death around each operation of the other commands; of each service one call of each command at
    which the credentials expire; and of each command one operation with each fault that stays."""
    kinds: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in whole(directory):
        [call] = cell.calls or [None]
        if cell.fault == KILLED and cell.command != "up":
            kinds.setdefault((KILLED, *cell.after.partition(" number ")[0].split()[-2:]), []).append(cell)
        elif call and cell.lasting:
            kinds.setdefault(("lasting", cell.command, cell.fault), []).append(cell)
        elif call and cell.fault == EXPIRED:
            kinds.setdefault((EXPIRED, cell.command, call.service), []).append(cell)
    return [chance.choice(each) for each in kinds.values()]


def at_once(directory: Path, chance: Random) -> list[Cell]:
    """Each command with sixteen calls at once, and each fault at some of them."""
    found = []
    for command in commands(directory).values():
        handful = [
            cell
            for cell in _handfuls(command)
            # An answer that several wait for is not denied to one alone, and what one has done another need not.
            if len(cell.calls) > 3 and (cell.fault in PASSING or not cell.calls & command.reading)
        ]
        for fault in (*PASSING, DENIED):
            found.append(replace(chance.choice([cell for cell in handful if cell.fault == fault]), parallel=16))
        late = [call for call in command.clean.calls if call not in command.reading]
        found.append(Cell(command.name, EXPIRED, frozenset({chance.choice(late)}), parallel=16))
        for at in chance.sample(range(command.clean.writes), 4):
            found.append(Cell(command.name, KILLED, death=(at, chance.choice(MOMENTS)), parallel=16))
    return found
