"""What the tests of the engine find: an empty account of moto's, and a directory for the state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from tests.support.resource_contract import QuickWorld


@pytest.fixture(scope="module", autouse=True)
def moto() -> Iterator[None]:
    """Switching moto on costs more than most of these tests: once per module will do."""
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def empty_account(moto: None) -> None:
    """An account that holds nothing."""
    BackendDict.reset()
    reset_model_data()


@pytest.fixture
def world(tmp_path: Path) -> QuickWorld:
    return QuickWorld(tmp_path)
