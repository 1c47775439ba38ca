"""Machines with and without a running embedded AWS; each engine is ended after the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.forked_commands import ForkedCommands
from tests.support.local_machine import Machine
from tests.support.mqtt_devices import Fleet

New = Callable[[], Machine]


@pytest.fixture(scope="module")
def new_machine(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, forked: ForkedCommands
) -> Iterator[New]:
    """Create machines without a running engine."""
    machines: list[Machine] = []
    cache: Path = request.config.cache.mkdir("layers")  # type: ignore[union-attr]  # the plugin is always there

    def make() -> Machine:
        machines.append(Machine(tmp_path_factory.mktemp("machine"), cache, forked))
        return machines[-1]

    yield make
    for machine in machines:
        machine.end()


@pytest.fixture
def machine(new_machine: New) -> Iterator[Machine]:
    """Return a machine without a running engine."""
    machine = new_machine()
    yield machine
    machine.end()


@pytest.fixture(scope="module")
def running(new_machine: New) -> Machine:
    """Return a machine with a running, empty embedded AWS, for tests that do not change it."""
    machine = new_machine()
    machine.run("local", "start")
    return machine


@pytest.fixture(scope="module")
def fleet(running: Machine) -> Fleet:
    """Return the devices of a running embedded AWS."""
    return Fleet(running)


@pytest.fixture(scope="module")
def up(new_machine: New) -> Machine:
    """Return a machine on which the pipeline is up."""
    machine = new_machine()
    machine.run("up", "--env", "local")
    return machine
