"""An AWS account with the policy of an environment's devices, and an operator's machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.support.devices_world import DevicesWorld, create_policy
from tests.support.engine_world import FakeClock


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DevicesWorld]:
    with mock_aws():
        create_policy()
        yield operator(tmp_path / "one")


@pytest.fixture
def other(world: DevicesWorld, tmp_path: Path) -> DevicesWorld:
    """Another operator's machine, with the same clock."""
    found = operator(tmp_path / "other")
    found.clock = world.clock
    return found


def operator(directory: Path) -> DevicesWorld:
    directory.mkdir()
    # Moto has its own clock, by which certificates are issued.
    return DevicesWorld(directory, clock=FakeClock(time.time()))
