"""Runs plan, up and down in this process against moto, with time that does not pass and calls that are recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from iotpipe.configuration import load
from iotpipe.packaging import handler_zip
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import apply, ledger, plan, teardown
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.aws import Aws, connect
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Event, Run

READS = ("Get", "List", "Describe")


class FakeClock:
    """Time that only passes when somebody sleeps."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        with self._lock:
            self.time += seconds
            self.slept.append(seconds)


@dataclass
class StandInLayer:
    """A layer without the minutes of building one."""

    identity: str = "0123456789abcdef"

    def content(self) -> bytes:
        return handler_zip("query").content


@dataclass
class World:
    """One environment's state directory, and everything its commands did to AWS.

    `calls` are operation names in the order they were sent; `before` is called with (operation, parameters) ahead
    of each call and may raise or return a ClientError to be the answer.
    """

    directory: Path
    environment: str = "dev"
    clock: FakeClock = field(default_factory=FakeClock)
    calls: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    before: Callable[[str, dict[str, Any]], ClientError | None] | None = None
    parallel: int = 16
    declared: Sequence[Resource] = ()
    """What the configuration declares while `down` runs; nothing where it is gone."""

    @property
    def path(self) -> Path:
        return self.directory / f"{self.environment}.json"

    @property
    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(READS)]

    def connect(self) -> Aws:
        aws = connect(None, "us-east-1", None)
        aws.session.events.register("before-call", self._observe)
        return aws

    def run(self, command: str = "up", tags: dict[str, str] | None = None) -> Run:
        self.calls.clear()
        self.events.clear()
        return Run(
            self.connect(), self.environment, command=command, tags=tags, clock=self.clock, tell=self.events.append
        )

    def ledger(self, run: Run) -> ledger.Ledger:
        return ledger.Ledger(self.path, self.environment, run.aws.account, run.aws.region, self.clock.now)

    def plan(
        self,
        resources: Sequence[Resource],
        adopt: Adoption = NOTHING,
        tags: dict[str, str] | None = None,
        foreign: bool = False,
        protect: bool = False,
    ) -> plan.Plan:
        contents, run = ledger.read(self.path), self.run("plan", tags)
        run.deleted = contents.deleted if contents else {}
        rows = contents.rows if contents else {}
        return plan.plan(resources, run, rows, adopt, foreign=foreign, protect=protect)

    def up(
        self,
        resources: Sequence[Resource],
        adopt: Adoption = NOTHING,
        tags: dict[str, str] | None = None,
        strict: bool = False,
        protect: bool = False,
    ) -> plan.Plan:
        run = self.run("up", tags)
        book = self.ledger(run)
        run.deleted = book.deleted
        steps = plan.plan(resources, run, book.rows, adopt, foreign=strict, protect=protect)
        apply.up(resources, steps, run, book, parallel=self.parallel, adopt=adopt, strict=strict)
        return steps

    def down(self, delete_data: bool = False) -> list[str]:
        return list(self.taken_down(delete_data).kept)

    def taken_down(self, delete_data: bool = False) -> teardown.TakenDown:
        run = self.run("down")
        book = self.ledger(run)
        run.deleted = book.deleted
        looked = teardown.examine(run, book.rows, self.declared, delete_data)
        return teardown.down(run, book, looked, self.parallel)

    def _observe(self, model: Any, params: dict[str, Any], **kwargs: Any) -> Any:
        self.calls.append(model.name)
        error = self.before(model.name, params) if self.before else None
        if error is None:
            return None
        status = type("Answer", (), {"status_code": 400, "headers": {}, "content": b""})()
        return status, error.response | {"ResponseMetadata": {"HTTPStatusCode": 400}}


def refusal(operation: str, code: str, message: str) -> ClientError:
    """An answer as AWS words it, to be returned from `World.before`."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def declared(config_dir: Path, environment: str = "dev", **changes: Any) -> tuple[list[Resource], dict[str, str]]:
    """The whole pipeline of a shipped configuration and its tags; `changes` replace whole sections of it."""
    env = load(environment, config_dir).model_copy(update=changes)
    handlers = {name: handler_zip(name) for name in ("ingestion", "processor", "query")}
    return pipeline(env, Artifacts(handlers, StandInLayer()), "us-east-1"), dict(env.tags)  # type: ignore[arg-type] # a stand-in


def declared_count(environment: str, *but: str) -> int:
    """How many resources a shipped configuration declares, without those of some kinds."""
    resources, _ = declared(Path(__file__).parents[2] / "config", environment)
    return sum(each.kind not in but for each in resources)
