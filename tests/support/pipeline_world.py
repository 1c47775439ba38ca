"""The whole pipeline in this process: declared from YAML, brought up against moto, and killed at will."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from iotpipe.configuration import load
from iotpipe.packaging import Archive, handler_zip
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import ledger
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.aws import Aws, connect
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.run import Run
from tests.support import engine_world

REGION = "us-east-1"
ACCOUNT = "123456789012"
Settings = dict[str, Any]

_HANDLERS = {name: handler_zip(name) for name in ("ingestion", "processor", "query")}


@dataclass(frozen=True)
class StandInLayer:
    """A layer that need not be built."""

    identity: str

    def content(self) -> bytes:
        return _HANDLERS["query"].content


@dataclass(frozen=True)
class Declared:
    """One environment as its YAML file declares it, with the tags that go on everything."""

    resources: list[Resource]
    tags: dict[str, str]

    def without(self, *addresses: str) -> Declared:
        """As a version of iotpipe would declare it that knows nothing of these."""
        return Declared([each for each in self.resources if each.address not in addresses], self.tags)

    def route(self, name: str) -> Route:
        return next(each for each in self.resources if isinstance(each, Route) and each.name == name)


def declare(
    directory: Path, settings: Settings, environment: str = "dev", region: str = REGION, **handlers: Archive
) -> Declared:
    """What `config/<environment>.yaml` with these settings declares; `handlers` replaces zips."""
    (directory / f"{environment}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    env = load(environment, directory)
    # Like the real one, the layer is known by what it is built for.
    layer = StandInLayer(f"{env.functions.runtime}-{env.functions.architecture}")
    built = Artifacts(_HANDLERS | handlers, layer)
    return Declared(pipeline(env, built, region), dict(env.tags))


def with_a_changed_route(declared: Declared) -> Declared:
    """The same pipeline, but /query leads to the ingestion function."""
    ingest, query = (declared.route(each) for each in ("POST /ingest", "GET /query"))
    return _with_routes(declared, {query: replace(query, function=ingest.function)})


def without_a_route(declared: Declared, name: str) -> Declared:
    """As a version of iotpipe would declare it that has given up this route."""
    return _with_routes(declared, {declared.route(name): None})


def _with_routes(declared: Declared, changes: Mapping[Route, Route | None]) -> Declared:
    stage = next(each for each in declared.resources if isinstance(each, Stage))
    routes = [changed for each in stage.routes if (changed := changes.get(each, each))]
    changed: dict[Any, Resource | None] = {**changes, stage: replace(stage, routes=routes)}
    kept = (changed.get(each, each) for each in declared.resources)
    return Declared([each for each in kept if each], declared.tags)


@dataclass
class World(engine_world.World):
    """One environment. All tests share its clients, since making them takes longer than using them."""

    region: str = REGION
    death: Death | None = None
    current: Run | None = None
    after: Callable[[str], None] | None = None
    """Is told the operation of each call that AWS has answered."""

    def run(self, command: str = "up", tags: dict[str, str] | None = None) -> Run:
        self.current = super().run(command, tags)
        return self.current

    def connect(self) -> Aws:
        place = (self.environment, self.region)
        _current[place] = self
        if place not in _clients:
            aws = connect(None, self.region, None)
            aws.session.events.register("before-call", lambda **call: _current[place]._before(**call))
            aws.session.events.register("after-call", lambda **call: _current[place]._after(**call))
            aws.session.events.register_first("before-send", lambda **call: _current[place]._sending(**call))
            _clients[place] = aws
        return _clients[place]

    def bring_up(self, declared: Declared, adopt: Adoption = NOTHING) -> Plan:
        """`up` of what is declared; answers with the plan that was carried out."""
        return self.up(declared.resources, adopt=adopt, tags=declared.tags)

    def planned(self, declared: Declared) -> Plan:
        return self.plan(declared.resources, tags=declared.tags)

    def rows(self) -> dict[str, ledger.Row]:
        """What the state file holds; nothing where there is none."""
        contents = ledger.read(self.path)
        return dict(contents.rows) if contents else {}

    def _before(self, model: Any, params: dict[str, Any], context: dict[str, Any], **call: Any) -> Any:
        if self.death:
            self.death.before(model.name, context)
        return self._observe(model, params)

    def _sending(self, **call: Any) -> None:
        """Is told what goes out, each time that botocore sends it, before it does."""

    def _after(self, model: Any, context: dict[str, Any], **call: Any) -> None:
        if self.death:
            self.death.after(context)
        if self.after:
            self.after(model.name)


_clients: dict[tuple[str, str], Aws] = {}
_current: dict[tuple[str, str], World] = {}


MOMENTS = ("before", "after")


class Killed(BaseException):
    """The process is gone: nobody catches this, and no code cleans up after it."""


@dataclass
class Death:
    """Comes right before or right after the write call number `at`, counted from 0.

    After means that AWS has carried it out and nobody ever sees the answer. From then on every call and every
    change of the state file fails, in every thread.
    """

    at: int
    moment: str
    writes: int = 0
    victim: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, operation: str, context: dict[str, Any]) -> None:
        with self._lock:
            self.check()
            if operation.startswith(engine_world.READS):
                return
            fatal = self.writes == self.at
            self.writes += 1
            if fatal and self.moment == "before":
                self.victim = operation
        self.check()
        context["fatal"] = operation if fatal else ""

    def after(self, context: dict[str, Any]) -> None:
        self.victim = self.victim or context.get("fatal", "")
        self.check()

    def check(self) -> None:
        if self.victim:
            raise Killed(f"{self.moment} {self.victim}")

    def bars(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, as long as there is a process that can call it."""

        def barred(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return function(*args, **kwargs)

        return barred


@contextmanager
def killed(world: World, at: int, moment: str) -> Iterator[Death]:
    """What is done inside dies at this write call; fails where there is no such call."""
    death = world.death = Death(at, moment)
    try:
        with (
            patch.object(ledger, "write_atomically", death.bars(ledger.write_atomically)),
            patch.object(Path, "unlink", death.bars(Path.unlink)),
            pytest.raises(Killed),
        ):
            yield death
    finally:
        world.death = None
