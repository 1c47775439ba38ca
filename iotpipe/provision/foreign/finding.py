"""Foreign findings: additions to a resource of the environment that are not declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import Run, question

OPENS, DRAINS, STOPS, HIDES, ALTERS = "opens", "drains", "stops", "hides", "alters"
RISKS = (OPENS, DRAINS, STOPS, HIDES, ALTERS)
"""Risks, the worst first: grants access; loses readings or messages; prevents readings from being accepted or
processed; hides alerts, logs or metrics; changes something else."""


@dataclass(frozen=True)
class Foreign:
    """An addition that is not declared, on the resource with this address.

    `subject` names it in a few words and is unique within the resource ("function URL", "statement public").
    `found` describes it and its effect in one sentence. `remove` restores what `up` would have created; it is
    idempotent. `remove` is None if `up --strict` keeps the addition: `instead` then says what the user can do.
    """

    address: str
    subject: str
    risk: str
    found: str
    remove: Callable[[], None] | None
    instead: str = ""


def is_replaced(run: Run, resource: Resource, observed: Properties) -> bool:
    """Whether somebody deleted the recorded resource and created another one with its name."""
    recorded = run.recorded(resource)
    ids = {key: recorded.get(key) for key in resource.identity}
    return None not in ids.values() and any(observed.get(key) != value for key, value in ids.items())


Read = Callable[[Run, Any], Any]
"""Reads something about one resource that `Resource.read` does not return; empty if the resource does not exist. Reads
are independent of each other, so that all run in parallel."""


@dataclass(frozen=True)
class CheckedResource:
    """A resource under check, with its observed properties."""

    run: Run
    resource: Any
    observed: Properties

    def read(self, ask: Read) -> Any:
        """Return the result of one of the check's reads, made once per command."""
        return self.run.answer(self.resource, ask)

    def finding(self, subject: str, risk: str, found: str, remove: Callable[[], None]) -> Foreign:
        return Foreign(self.resource.address, subject, risk, found, remove)

    def kept_finding(self, subject: str, risk: str, found: str, instead: str) -> Foreign:
        return Foreign(self.resource.address, subject, risk, found, None, instead)


@dataclass(frozen=True)
class Check:
    """The check of one kind: `find` yields the findings, `reads` are the further reads that it needs.

    With `absent`, a resource that does not exist is checked too, with empty properties: others may have something in
    its place.
    """

    find: Callable[[CheckedResource], Iterable[Foreign]]
    reads: tuple[Read, ...] = ()
    absent: bool = False


def default_to_empty(run: Run, resource: Resource, ask: Read) -> None:
    """Cache an empty result for a read that the credentials may not make."""
    run.once(question(resource, ask), dict)
