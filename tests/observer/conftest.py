"""What the tests of the observer share: an environment on moto, and time that only passes if a test says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.support.engine_world import FakeClock, World
from tests.support.observed_world import Observed


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observed]:
    """The environment dev. Its clock starts now: moto refuses log entries of another year."""
    with mock_aws():
        yield Observed(World(tmp_path, clock=FakeClock(time.time() // 60 * 60 - 15)))
