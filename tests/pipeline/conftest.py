"""What the tests of the whole pipeline share: an empty account, and one environment in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.support.pipeline_world import Declared, Settings, World, declare


@pytest.fixture(autouse=True)
def account() -> Iterator[None]:
    """An AWS account that holds nothing."""
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process has written is there without it; only a power cut would tell the difference."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The environment dev, with a state directory of its own."""
    return World(tmp_path)


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Declared]:
    """Declares an environment by its settings."""

    def from_settings(settings: Settings | None = None, environment: str = "dev") -> Declared:
        return declare(tmp_path, settings or {}, environment)

    return from_settings


@pytest.fixture(scope="session")
def _memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory on no disk, where there is one: the state file is written some ten thousand times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("matrix")
        return
    with tempfile.TemporaryDirectory(prefix="iotpipe-matrix-", dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def matrix(account: None, _memory: Path) -> Path:
    """Where the environment of the fault matrix has its configuration and its state file."""
    return _memory
