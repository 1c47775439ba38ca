"""The environment dev on an AWS in another process, up with devices over MQTT."""

from __future__ import annotations

import pytest

from tests.cli.conftest import _server, bring_up_once, cloud, shell
from tests.support.shell import Shell

__all__ = ["_server", "_states", "cloud", "enrolling", "shell"]


@pytest.fixture(scope="session")
def _states() -> dict[str, str]:
    """The state file of the environment, once it was brought up."""
    return {}


@pytest.fixture
def enrolling(cloud: Shell, _states: dict[str, str]) -> Shell:
    """A directory and an account in which dev is up: by the command for the first test, then from a photograph."""
    configuration = cloud.directory / "config" / "dev.yaml"
    configuration.write_text(configuration.read_text() + "\ndevices: {enabled: true}\n")
    bring_up_once(cloud, _states)
    return cloud
