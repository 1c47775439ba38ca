"""The cells of the fault matrix: every call of every command, times every fault; all of them, or in handfuls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from matrix_commands import Command, commands
from matrix_faults import DENIED, EXPIRED, KILLED, PASSING, Call
from matrix_judging import Complaints, aftermath, left_out, struck


@dataclass(frozen=True)
class Cell:
    """A command and its fault, at some calls, or, where the process is killed, after what is named."""

    command: str
    fault: str
    calls: frozenset[Call] = frozenset()
    after: str = ""
    parallel: int = 1

    def __str__(self) -> str:
        where = self.after or ", ".join(map(str, sorted(self.calls)))
        return f"{self.command}, {self.parallel} at once, {self.fault}: {where}"

    def complaints(self, directory: Path) -> Complaints:
        command = commands(directory)[self.command]
        if self.fault == KILLED:
            return aftermath(command, command.clean.stands[self.after])
        return struck(command, self.fault, self.calls, self.parallel)


def wrong(cells: Iterable[Cell], directory: Path) -> dict[str, Complaints]:
    """What is wrong in which of the cells."""
    found = {str(cell): cell.complaints(directory) for cell in cells}
    return {name: complaints for name, complaints in found.items() if complaints}


def whole(directory: Path) -> list[Cell]:
    """Each call with each fault by itself, and each moment of death that leaves something else."""
    return [cell for command in commands(directory).values() for cell in _whole(command)]


def _whole(command: Command) -> Iterator[Cell]:
    for call in command.clean.calls:
        for fault in (*PASSING, DENIED, EXPIRED):
            yield Cell(command.name, fault, frozenset({call}))
    for after in command.clean.stands:
        yield Cell(command.name, KILLED, after=after)


def handfuls(directory: Path, parallel: int = 1) -> list[Cell]:
    """Each call with each fault that one call can have without another noticing, as many at once as that allows."""
    return [cell for command in commands(directory).values() for cell in _handfuls(command, parallel)]


def _handfuls(command: Command, parallel: int) -> Iterator[Cell]:
    # A second fault of one resource could mend what the first has broken: it is tried again as a whole.
    for calls in _dealt(command.clean.calls, {call: {call.address} for call in command.clean.calls}):
        for fault in PASSING:
            yield Cell(command.name, fault, calls, parallel=parallel)
    # Where something is denied, what depends on it is not even tried; and nothing is where a plan cannot be made.
    for those in (command.reading, set(command.clean.calls) - command.reading):
        calls = [call for call in command.clean.calls if call in those]
        concerned = {call: _concerned(command, call) for call in calls}
        for hand in _dealt(calls, concerned):
            yield Cell(command.name, DENIED, hand, parallel=parallel)


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


def drawn(directory: Path, chance: Random) -> list[Cell]:
    """For each operation one of its calls at which the credentials expire, and one moment of death around one."""
    expiring, dying = dict[str, list[Cell]](), dict[str, list[Cell]]()
    for cell in whole(directory):
        for call in cell.calls if cell.fault == EXPIRED else ():
            expiring.setdefault(f"{call.service} {call.operation}", []).append(cell)
        if cell.fault == KILLED:
            dying.setdefault(" ".join(cell.after.partition(" number ")[0].split()[-2:]), []).append(cell)
    return [chance.choice(each) for each in (*expiring.values(), *dying.values())]
