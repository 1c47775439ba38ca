"""What the tests of the configuration share: writing one file and reading what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.configuration import Environment, load
from iotpipe.errors import ConfigurationError, Problem


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], Environment]:
    """Loads a text as the environment `dev`."""

    def from_text(text: str) -> Environment:
        (tmp_path / "dev.yaml").write_text(text, encoding="utf-8")
        return load("dev", tmp_path)

    return from_text


@pytest.fixture
def problems(loaded: Callable[[str], Environment]) -> Callable[[str], list[Problem]]:
    """What is wrong with a text, in the order in which the user is told."""

    def of_text(text: str) -> list[Problem]:
        try:
            loaded(text)
        except ConfigurationError as error:
            return list(error.problems)
        return []

    return of_text
