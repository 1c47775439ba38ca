"""What the tests of logs, dead letters and health share: an empty account, and time that only passes by sleeping."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.support.engine_world import FakeClock, World


@pytest.fixture(autouse=True)
def account() -> Iterator[None]:
    """An AWS account that holds nothing."""
    with mock_aws():
        yield


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The environment dev. Its clock starts now: moto keeps its own, and refuses log entries of another year."""
    return World(tmp_path, clock=FakeClock(time.time()))
