"""An AWS in another process for the command to talk to."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.shell import Shell


@pytest.fixture
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """An empty directory, and no AWS that answers."""
    directory = tmp_path / "work"
    directory.mkdir()
    installed = request.node.get_closest_marker("subprocess")
    forked = None if installed else request.getfixturevalue("forked")
    return Shell(directory, request.config.cache.mkdir("layers"), forked, aws="http://127.0.0.1:9")


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    notes = tmp_path_factory.mktemp("aws") / "operations"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.moto_server", str(notes)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip(), notes
        process.terminate()


@pytest.fixture
def cloud(shell: Shell, _server: tuple[str, Path], config_dir: Path) -> Shell:
    """A directory with the shipped configurations, and an empty AWS account."""
    shell.aws, shell.notes = _server
    _post(f"{shell.aws}/moto-api/reset")
    shell.operations()
    (shell.directory / "config").mkdir()
    for path in config_dir.glob("*.yaml"):
        (shell.directory / "config" / path.name).write_text(path.read_text())
    return shell


@pytest.fixture(scope="session")
def _state() -> dict[str, str]:
    """The state file of dev, once it was brought up."""
    return {}


@pytest.fixture
def bring_up(cloud: Shell, _state: dict[str, str]) -> Callable[[], None]:
    """Brings the environment dev up: by the command for the first test, from a photograph for all others."""

    return lambda: bring_up_once(cloud, _state)


@pytest.fixture
def deployed(cloud: Shell, bring_up: Callable[[], None]) -> Shell:
    """A directory and an AWS account in which the environment dev is up."""
    bring_up()
    return cloud


def bring_up_once(cloud: Shell, state: dict[str, str]) -> None:
    """Bring the environment dev up by the command; or, where `state` has its state file, from a photograph."""
    file = cloud.directory / ".iotpipe" / "dev.json"
    if not state:
        cloud.run("up", "--env", "dev")
        _post(f"{cloud.aws}/photograph")
        state["dev"] = file.read_text()
    else:
        _post(f"{cloud.aws}/put-back")
        file.parent.mkdir()
        file.write_text(state["dev"])
    cloud.operations()


def _post(address: str) -> None:
    urllib.request.urlopen(urllib.request.Request(address, method="POST")).close()
