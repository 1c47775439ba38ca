"""The three commands of the fault matrix, each from its own start: what they call undisturbed, and what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from iotpipe.provision import ledger, parallel_reads, teardown
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.retry_rules import RULES
from tests.support.account_inventory import Things, inventory_and
from tests.support.account_snapshot import Photograph, photograph, put_back
from tests.support.engine_world import READS, FakeClock
from tests.support.fault_matrix.faults import Call, Wire, attributed
from tests.support.pipeline_world import Declared, World

Rows = dict[str, Any]
Outcome = tuple[Things, Rows]


@dataclass(frozen=True)
class Stand:
    """What there is at one moment: the account, the state file, and the time."""

    account: Photograph
    state: bytes | None
    time: float


@dataclass
class Subject(World):
    """An environment whose calls go over a wire that may fail."""

    wire: Wire = field(default_factory=Wire)

    def stand(self) -> Stand:
        state = self.path.read_bytes() if self.path.exists() else None
        return Stand(photograph(), state, self.clock.time)

    def _before(self, model: Any, params: dict[str, Any], context: dict[str, Any], **call: Any) -> Any:
        if self.death:
            self.death.before(model.name, context)
        said = self.wire.before_call(model.service_model.service_name, model.name)
        if said is None:
            return None
        answer = type("Answer", (), {"status_code": said.status, "headers": {}, "content": b""})()
        error = {"Code": said.code, "Message": said.message}
        return answer, {"Error": error, "ResponseMetadata": {"HTTPStatusCode": said.status}}

    def _sending(self, **call: Any) -> None:
        self.wire.before_send(call["request"], call["event_name"])

    def _after(self, model: Any, context: dict[str, Any], **call: Any) -> None:
        if self.death:
            self.death.after(context)
        self.wire.answered(model.name)


@contextmanager
def in_sequence() -> Iterator[None]:
    """Also the reads of a plan come one after the other: each run makes the same calls in the same order."""
    with patch.object(parallel_reads, "READERS", 1):
        yield


@dataclass(frozen=True)
class Command:
    """`up` or `down` from where it starts; `declared` is what an `up` brings about in this environment."""

    name: str
    start: Stand
    declared: Declared
    resources: dict[str, Resource]
    directory: Path

    @property
    def verb(self) -> str:
        return "down" if self.name == "down" else "up"

    def subject(self, stand: Stand | None = None, parallel: int = 1) -> Subject:
        """The environment as it stands there, or where the command starts."""
        stand = stand or self.start
        put_back(stand.account)
        subject = Subject(self.directory, clock=FakeClock(stand.time), parallel=parallel)
        subject.path.unlink(missing_ok=True)
        if stand.state is not None:
            subject.path.write_bytes(stand.state)
        return subject

    def act(self, subject: Subject) -> None:
        with attributed():
            if self.verb == "down":
                subject.down(delete_data=True)
            else:
                subject.bring_up(self.declared)

    def get_to_know(self) -> None:
        """Find out all below. Each puts the account back, which must not happen while a verdict is being reached."""
        _ = self.rows, self.live, self.started, self.clean, self.reading

    @cached_property
    def rows(self) -> dict[str, ledger.Row]:
        """What the state file records at the start."""
        return self.subject().rows()

    @cached_property
    def live(self) -> dict[str, Properties | None]:
        """What AWS has at the start."""
        with in_sequence():
            return looked_at(self, self.subject())

    @cached_property
    def started(self) -> Outcome:
        return outcome(self.subject())

    @cached_property
    def clean(self) -> Clean:
        """The command as it goes when nobody disturbs it."""
        with in_sequence():
            return _clean(self)

    @cached_property
    def reading(self) -> frozenset[Call]:
        """The calls that are made before anything is changed."""
        with in_sequence(), attributed():
            subject = self.subject()
            if self.verb == "down":
                run = subject.run("down")
                teardown.examine(run, subject.ledger(run).rows, subject.declared, delete_data=True)
            else:
                subject.planned(self.declared)
            return frozenset(subject.wire.calls)

    def may_be_denied(self, call: Call) -> bool:
        """Whether the command goes on without the answer where it may not ask: about what was left behind."""
        if call in self.reading and self.verb == "up":
            return call.address not in {each.address for each in self.declared.resources}
        return call.address not in {*self.resources, *self.rows}

    def waits_out_a_denial(self, call: Call) -> bool:
        """Whether it is about a part of an API that the command has made: rights on that may come a little later."""
        made = self.name == "up" and call not in self.reading
        return made and any(rule.in_new_api and call.operation in rule.operations for rule in RULES)


@dataclass(frozen=True)
class Clean:
    """`stands` are all the moments at which the command may be killed that differ in what is there; the key of
    each is the last thing that happened before. `finishing` are the calls for what is deleted already."""

    calls: tuple[Call, ...]
    outcome: Outcome
    stands: dict[str, Stand]
    finishing: frozenset[Call]
    writes: int


def outcome(subject: Subject) -> Outcome:
    """All there is in AWS and in the state file, but for times and random ids."""
    found: Outcome = inventory_and({address: _timeless(row) for address, row in sorted(subject.rows().items())})
    return found


def _timeless(row: ledger.Row) -> Rows:
    found = {each.name: getattr(row, each.name) for each in fields(row) if not each.name.endswith("_at")}
    return found | {"properties": {key: value for key, value in row.properties.items() if key not in _AT_RANDOM}}


_AT_RANDOM = ("CreatedTimestamp", "creationTime", "TableId", "createdDate")
"""What AWS gives to each made anew, and what only the next `up` records."""


def looked_at(command: Command, subject: Subject) -> dict[str, Properties | None]:
    """What AWS has of everything that the state file records, as iotpipe reads it."""
    subject.planned(command.declared)
    assert subject.current
    return {address: subject.current.look(command.resources[address]) for address in subject.rows()}


def _clean(command: Command) -> Clean:
    subject = command.subject()
    stands: dict[tuple[int, bytes | None], tuple[str, Stand]] = {}
    photographs: dict[int, Photograph] = {}
    finishing: set[Call] = set()
    writes = 0

    def note(what: str) -> None:
        state = subject.path.read_bytes() if subject.path.exists() else None
        if (writes, state) not in stands:
            if writes not in photographs:
                photographs[writes] = photograph()
            stands[writes, state] = what, Stand(photographs[writes], state, subject.clock.time)

    def about() -> None:
        call = subject.wire.calls[-1]
        if any(event.address == call.address and event.phase == "done" for event in subject.events):
            finishing.add(call)
        note(f"before {call}")

    def answered(operation: str) -> None:
        nonlocal writes
        writes += not operation.startswith(READS)
        note(f"after {subject.wire.calls[-1]}")

    write = ledger.write_atomically

    def written(path: Path, text: str) -> None:
        write(path, text)
        call = subject.wire.calls[-1] if subject.wire.calls else "the start"
        note(f"after the state file was written that follows {call}")

    subject.wire = Wire(about=about, answered=answered)
    with patch.object(ledger, "write_atomically", written):
        command.act(subject)
    named = {f"{number}: {what}": stand for number, (what, stand) in enumerate(stands.values())}
    return Clean(tuple(subject.wire.calls), outcome(subject), named, frozenset(finishing), writes)
