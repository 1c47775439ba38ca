"""Every command does its work as the program that is installed: other tests fork it from a process that is warm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Group

from iotpipe.cli import iotpipe
from tests.support.local_machine import Machine

pytestmark = [pytest.mark.subprocess, pytest.mark.embedded]

SHOWN = {
    "init": "",
    "validate": "local: the configuration is valid",
    "local start": "endpoint ",
    "doctor": "",
    "policy": '"Version": "2012-10-17"',
    "plan": " to create",
    "up": "ApiEndpoint",
    "local status": "endpoint ",
    "status": "",
    "outputs": "ApiEndpoint",
    "graph": "→ iot-api-local",
    "send-test-data --count 2 --verify": "",
    "query sensor-001": "temperature",
    "devices": "sensor-001",
    "device add roof": "roof is enrolled",
    "device test roof": "each exactly once and unchanged",
    "device list": "roof",
    "device show roof": "ACTIVE",
    "device rotate roof": "",
    "device rotate roof --finish --force": "",
    "device revoke roof": "",
    "device remove roof --yes": "",
    "view --help": "--no-browser",
    "logs": "/ingest 200",
    "dlq list": "",
    "dlq redrive": "",
    "dlq purge": "",
    "down --delete-data --yes": "",
    "local stop": "",
    "local reset --yes": "",
}
"""Each command as it is typed, in turn, and what it prints."""


@pytest.fixture
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    cache: Path = request.config.cache.mkdir("layers")  # type: ignore[union-attr]  # the plugin is always there
    machine = Machine(tmp_path, cache, forked=None)
    yield machine
    machine.end()


def commands(group: Group, *before: str) -> Iterator[str]:
    """Every command, as it is typed."""
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name))


def test_every_command_is_among_them() -> None:
    assert all(any(typed.startswith(name) for typed in SHOWN) for name in commands(iotpipe))


def test_every_command_does_its_work(installed: Machine) -> None:
    for typed, shown in SHOWN.items():
        place = () if typed == "init" else ("--env", "local")
        assert shown in installed.run(*typed.split(), *place).stdout, typed
