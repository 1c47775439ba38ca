"""What the tests of the engine find: an empty account of moto's, and a directory for the state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import QuickWorld
from moto import mock_aws


@pytest.fixture(autouse=True)
def empty_account() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def world(tmp_path: Path) -> QuickWorld:
    return QuickWorld(tmp_path)
