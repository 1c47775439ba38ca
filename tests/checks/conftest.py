"""What the tests of the doctor find: an account that holds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from tests.support.checks_world import Clinic


@pytest.fixture(scope="module")
def _moto() -> Iterator[None]:
    """Switching moto on costs more than most of these tests."""
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def empty_account(_moto: None) -> None:
    """An account that holds nothing."""
    BackendDict.reset()
    reset_model_data()


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)
