"""What the tests under AWS's own rules find: an account of moto's that holds nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

# The pipeline as the tests of the whole pipeline declare it, and what they ask an account for.
sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))


@pytest.fixture(scope="module", autouse=True)
def moto() -> Iterator[None]:
    """Switching moto on costs more than most of these tests: once per module will do."""
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def empty_account(moto: None) -> None:
    BackendDict.reset()
    reset_model_data()
