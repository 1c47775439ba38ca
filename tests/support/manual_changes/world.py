"""The whole pipeline, put back for each change that somebody makes of it by hand, and what a plan says then."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from iotpipe.provision.differences import Change as Difference
from iotpipe.provision.plan import Plan
from iotpipe.provision.resources import SERVICES
from iotpipe.provision.steps import Step
from tests.support.account_inventory import inventory
from tests.support.account_snapshot import Photograph, photograph, put_back
from tests.support.engine_world import READS, FakeClock
from tests.support.foreign.functions_world import as_on_aws
from tests.support.foreign.world import Forgotten
from tests.support.pipeline_world import Declared, declare
from tests.support.resource_contract import QuickWorld

SETTINGS = {
    "api": {"logging": "INFO"},
    "alerts": {"emails": ["ops@example.com"]},
    "tags": {"purpose": "development"},
}
LATER = 1_800_001_000.0
"""When AWS shows the tags of all that was made."""


@dataclass(frozen=True)
class Change:
    """Something that somebody does by hand. `told` is all that a plan says of it, one line each:

    - `drift ADDRESS PROPERTY`: `up` sets it back
    - `missing ADDRESS`: `up` makes it anew; `lost ADDRESS` where something went with it that cannot be made anew
    - `RISK ADDRESS`: somebody's addition, which `up --strict` removes
    - `refused ADDRESS`: `up` changes nothing and says what to do

    and nothing where the change is ignored: `because` says why that is right. `remedy` is a part of what is said
    where `up --strict` leaves it to the user.
    """

    what: str
    act: Callable[[], Any]
    told: tuple[str, ...] = ()
    because: str = ""
    remedy: str = ""
    gap: Forgotten | None = None


@dataclass
class Pipeline:
    """As it was brought up once, with the answers to what is read of it."""

    declared: Declared
    account: Photograph
    state: bytes
    answers: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    @classmethod
    def brought_up(cls, directory: Path) -> Pipeline:
        declared, world = declare(directory, SETTINGS), ManualWorld(directory)
        inventory()  # asks every service, so that each is there to be photographed
        world.bring_up(declared)
        # Some ids are only recorded by the next one.
        world.bring_up(declared)
        return cls(declared, photograph(), world.path.read_bytes())

    def put_back(self, directory: Path) -> ManualWorld:
        """The pipeline as it was, long after it was brought up."""
        put_back(self.account)
        world = ManualWorld(directory, clock=FakeClock(LATER), parallel=1)
        world.path.write_bytes(self.state)
        world.after = as_on_aws
        return world

    @contextmanager
    def quick_reads(self) -> Iterator[None]:
        """A service that nobody has written to inside answers as it did before: moto need not be asked again."""
        call, written = BaseClient._make_api_call, set[str]()

        def called(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            if not operation.startswith(READS):
                # The others are known only for what they do to the pipeline's.
                written.update({service} if service in SERVICES else SERVICES)
            if service in written or service not in SERVICES:
                return call(client, operation, parameters)
            question = (service, operation, repr(parameters))
            if question not in self.answers:
                self.answers[question] = call(client, operation, parameters)
            return copy.deepcopy(self.answers[question])

        with patch.object(BaseClient, "_make_api_call", called):
            yield


class ManualWorld(QuickWorld):
    def bring_up(self, declared: Declared, strict: bool = False) -> Plan:
        return self.up(declared.resources, tags=declared.tags, strict=strict)

    def planned(self, declared: Declared) -> Plan:
        return self.plan(declared.resources, tags=declared.tags, foreign=True)


def told(plan: Plan) -> list[str]:
    """All that the plan says, in the words of `Change.told`, each once."""
    lines = {f"{each.risk} {each.address}" for each in plan.foreign} | {f"unread {each}" for each in plan.unread}
    for step in plan.steps:
        if step.refusal:
            lines.add(f"refused {step.address}")
        elif step.missing:
            lines.add(f"{'lost' if step in plan.vanished else 'missing'} {step.address}")
        elif step.changes:
            lines |= {_told(step, each) for each in step.changes}
        elif step.address in plan.leftovers:
            lines.add(f"{step.action} what bears the tags: {step.kind.kind}")
        elif step.action != "none":
            lines.add(f"{step.action} {step.address}")
    return sorted(lines)


def _told(step: Step, change: Difference) -> str:
    # Of a document its name will do, not each part of each statement.
    what = ".".join(change.property.split(".")[:2])
    return f"{'drift' if change.drift else step.action} {step.address} {what}"
