"""Commands under AWS's own rules and in virtual time: several environments, one account."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from iotpipe.provision import ledger
from iotpipe.provision.aws import Aws, connect
from iotpipe.provision.plan import Plan
from iotpipe.provision.run import Event, Run
from tests.support import engine_world
from tests.support.aws_rules.delays import COMMON, HARSH, Delays, Limits
from tests.support.aws_rules.layer import Reality
from tests.support.pipeline_world import Declared
from tests.support.virtual_time import VirtualTime

T = TypeVar("T")


def without_seconds(told: str) -> str:
    """What the user is told to wait for, without the seconds that are left."""
    return re.sub(r": (next try in )?\d+ s( left)?$", "", told)


class ToldRun(Run):
    """A run that says what each thread is at, so that the waits can be accounted for."""

    def with_retries(self, verb: str, address: str, attempt: Callable[[int], T], inside: str = "") -> T:
        time: VirtualTime = self.clock  # type: ignore[assignment] # a world's runs have no other
        with time.doing(f"{verb} {address}"):
            return super().with_retries(verb, address, attempt, inside)


@dataclass
class RealityWorld(engine_world.World):
    """One environment in the account of the current Reality."""

    reality: Reality = None  # type: ignore[assignment] # always given
    note: Callable[[str], Any] = lambda reason: None
    """Told whatever the user is told to be waiting for, over all commands."""

    def __post_init__(self) -> None:
        self.clock = self.reality.time  # type: ignore[assignment] # a clock of another make

    def connect(self) -> Aws:
        return shared()

    def run(self, command: str = "up", tags: dict[str, str] | None = None) -> Run:
        self.events.clear()
        return ToldRun(self.connect(), self.environment, command=command, tags=tags, clock=self.clock, tell=self._tell)

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        if event.phase == "waiting":
            self.reality.time.turn.why = event.detail
            self.note(without_seconds(event.detail))

    def bring_up(self, declared: Declared) -> Plan:
        return self.up(declared.resources, tags=declared.tags)

    def look_around(self, declared: Declared) -> Plan:
        """A plan that also looks for what others added, as `plan` and `status` do."""
        return self.plan(declared.resources, tags=declared.tags, foreign=True)

    def rows(self) -> dict[str, ledger.Row]:
        """What the state file records."""
        contents = ledger.read(self.path)
        return dict(contents.rows) if contents else {}

    def told(self, address: str = "") -> set[str]:
        """What the user was told to be waiting for."""
        waiting = (each for each in self.events if each.phase == "waiting")
        return {each.detail for each in waiting if address in ("", each.address)}

    def hand(self, service: str) -> Any:
        """A client of somebody else's in the same account, under the same rules."""
        return shared().client(service)

    @property
    def writes(self) -> list[str]:
        return [call for _, call in self.reality.calls if not call.startswith(engine_world.READS)]


_shared: list[Aws] = []
_current: list[Reality] = []


def shared() -> Aws:
    """Clients that ask the current Reality; made once, since making them takes longer than using them."""
    if not _shared:
        aws = connect(None, "us-east-1", None)
        events = aws.session.events
        events.register("provide-client-params", lambda **call: _current[-1].keep(**call))
        events.register("before-call", lambda **call: _current[-1].before(**call))
        events.register("after-call", lambda **call: _current[-1].after(**call))
        _shared.append(aws)
    return _shared[0]


@contextmanager
def account(delays: Delays = HARSH, limits: Limits = COMMON) -> Iterator[Reality]:
    """An account under AWS's rules. Whatever waits in it, waits in virtual time."""
    reality = Reality(VirtualTime(), delays, limits)
    shared()
    _current.append(reality)
    # Jitter is drawn at random: from a fixed seed, since the same turns shall be taken every time.
    state = random.getstate()
    random.seed(1)
    try:
        with reality.time.in_charge():
            yield reality
    finally:
        random.setstate(state)
        _current.remove(reality)


def environment(reality: Reality, directory: Path, name: str = "dev") -> RealityWorld:
    return RealityWorld(directory, environment=name, reality=reality)
