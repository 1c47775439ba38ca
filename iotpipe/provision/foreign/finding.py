"""A foreign finding: something on a resource of the environment that is not declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import Run, question

OPENS, DRAINS, STOPS, HIDES, ALTERS = "opens", "drains", "stops", "hides", "alters"
RISKS = (OPENS, DRAINS, STOPS, HIDES, ALTERS)
"""The worst first: lets somebody in; takes readings or messages away; keeps readings from being accepted or
processed; keeps alerts, logs or metrics from those who need them; changes something else."""


@dataclass(frozen=True)
class Foreign:
    """Something that is not declared, on the resource with this address.

    `subject` names it in a few words and is unique within the resource ("function URL", "statement public").
    `found` says in one sentence what it is and who can call or read what because of it. `remove` puts AWS back
    to what `up` would have made; it may be called again after a failure. It is None where `up --strict` leaves it:
    `instead` says then what the user can do.
    """

    address: str
    subject: str
    risk: str
    found: str
    remove: Callable[[], None] | None
    instead: str = ""


def made_anew(run: Run, resource: Resource, observed: Properties) -> bool:
    """Whether the recorded resource was deleted outside iotpipe and another one of its name created."""
    recorded = run.recorded(resource)
    ids = {key: recorded.get(key) for key in resource.identity}
    return None not in ids.values() and any(observed.get(key) != value for key, value in ids.items())


Read = Callable[[Run, Any], Any]
"""Asks AWS for something about one resource that `Resource.read` does not return; empty for an absent resource.
It needs no other answer: all are asked in parallel."""


@dataclass(frozen=True)
class Seen:
    """One resource as it was read."""

    run: Run
    resource: Any
    observed: Properties

    def read(self, ask: Read) -> Any:
        """The answer to one of the check's own questions, which was asked once per command."""
        return self.run.answer(self.resource, ask)

    def foreign(self, subject: str, risk: str, found: str, remove: Callable[[], None]) -> Foreign:
        return Foreign(self.resource.address, subject, risk, found, remove)

    def foreign_that_stays(self, subject: str, risk: str, found: str, instead: str) -> Foreign:
        return Foreign(self.resource.address, subject, risk, found, None, instead)


@dataclass(frozen=True)
class Check:
    """How a kind is looked at: `judge` goes through what was read, `reads` are the questions it needs besides.

    With `absent` also a resource that is not there is judged, by empty properties: others may have taken its place.
    """

    judge: Callable[[Seen], Iterable[Foreign]]
    reads: tuple[Read, ...] = ()
    absent: bool = False


def nothing_if_unread(run: Run, resource: Resource, ask: Read) -> None:
    """Take the answer as empty where the credentials may not ask the question."""
    run.once(question(resource, ask), dict)
