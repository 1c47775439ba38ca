"""A pipeline that is up, to which tests add what others may have added."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.foreign.functions_world import Pipeline


@pytest.fixture(scope="module")
def kept() -> list[Pipeline]:
    """One pipeline for all tests of a file, since `up` is slow; a test that does not restore it gets a new one."""
    return []


@pytest.fixture
def pipeline(kept: list[Pipeline], moto: None, tmp_path_factory: pytest.TempPathFactory, config_dir: Path) -> Pipeline:
    return kept.pop() if kept else Pipeline.brought_up(tmp_path_factory.mktemp("state"), config_dir)
