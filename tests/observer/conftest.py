"""What the tests of the observer share: an environment on moto, and time that only passes if a test says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from iotpipe.configuration.model import Devices
from tests.support.engine_world import FakeClock, World, declared
from tests.support.observed_world import CONFIG, Observed


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observed]:
    """The environment dev. Its clock starts now: moto refuses log entries of another year."""
    with mock_aws():
        yield Observed(_world(tmp_path))


@pytest.fixture
def with_devices(tmp_path: Path) -> Iterator[Observed]:
    """The same with devices over MQTT."""
    with mock_aws():
        yield Observed(_world(tmp_path), declared(CONFIG, "dev", devices=Devices(enabled=True))[0])


def _world(directory: Path) -> World:
    return World(directory, clock=FakeClock(time.time() // 60 * 60 - 15))
