"""An AWS in another process for the command to talk to."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_shell import Shell


@pytest.fixture
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """An empty directory, and no AWS that answers."""
    directory = tmp_path / "work"
    directory.mkdir()
    return Shell(directory, request.config.cache.mkdir("layers"), aws="http://127.0.0.1:9")


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    notes = tmp_path_factory.mktemp("aws") / "operations"
    script = Path(__file__).parents[1] / "moto_server.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(notes)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip(), notes
        process.terminate()


@pytest.fixture
def cloud(shell: Shell, _server: tuple[str, Path], config_dir: Path) -> Shell:
    """A directory with the shipped configurations, and an empty AWS account."""
    shell.aws, shell.notes = _server
    urllib.request.urlopen(urllib.request.Request(f"{shell.aws}/moto-api/reset", method="POST")).close()
    shell.operations()
    (shell.directory / "config").mkdir()
    for path in config_dir.glob("*.yaml"):
        (shell.directory / "config" / path.name).write_text(path.read_text())
    return shell
