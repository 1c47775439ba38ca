"""What the tests with AWS's own answers find: moto for all that is not recorded, and a sample of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data


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
