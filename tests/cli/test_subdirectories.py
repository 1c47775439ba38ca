"""What is typed below a project: it neither begins a second one unasked, nor changes the one above."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from iotpipe.cli import iotpipe
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError

ROW = {
    **{"kind": "queue", "name": "q", "status": "ready", "properties": {}, "needs": [], "inside": ""},
    **{"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
}
HEAD = {"format": 1, "environment": "dev", "account": "123456789012", "region": "us-east-1", "protected": False}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an environment that is up; the subdirectory docs is where one is."""
    state = tmp_path / "project" / ".iotpipe"
    state.mkdir(parents=True, mode=0o700)
    (state / "dev.json").write_text(json.dumps(HEAD | {"resources": {"queue/q": ROW}, "deleted": {}}))
    docs = tmp_path / "project" / "docs"
    docs.mkdir()
    monkeypatch.chdir(docs)
    return tmp_path / "project"


def test_below_a_project_it_says_where_that_is(project: Path) -> None:
    with pytest.raises(UsageError, match=f"but {project} has: dev") as refused:
        Settings().environment  # noqa: B018 - it is the look that raises
    assert f"`cd {project}`" in refused.value.hint
    assert "--state-dir .iotpipe" in refused.value.hint
    assert sorted(path.name for path in Path.cwd().iterdir()) == []
    with pytest.raises(UsageError):
        Settings(env="prod").environment  # noqa: B018


@pytest.mark.parametrize(
    "typed", ["status", "up", "down --yes", "logs", "local start", "local stop", "local status", "local reset --yes"]
)
def test_no_command_begins_anything_there(project: Path, typed: str) -> None:
    done = CliRunner().invoke(iotpipe, typed.split())
    assert isinstance(done.exception, UsageError)
    assert f"but {project} has: dev" in done.exception.message
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("own", [".iotpipe", "config"])
def test_what_has_something_of_its_own_is_a_project(project: Path, own: str) -> None:
    Path(own).mkdir()
    assert Settings().environment == "local"


@pytest.mark.parametrize("option", ["state_dir", "config_dir"])
def test_who_says_where_is_believed(project: Path, option: str) -> None:
    assert Settings(said={option}).environment == "local"


def test_in_the_project_itself_nothing_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert Settings().environment == "dev"


def test_a_project_in_which_nothing_is_up_is_no_obstacle(project: Path) -> None:
    (project / ".iotpipe" / "dev.json").unlink()
    (project / ".iotpipe" / "local").mkdir()
    (project / ".iotpipe" / "local" / "engine.lock").write_text("")
    assert Settings().environment == "local"


def test_what_another_user_has_put_above_is_not_even_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: project.stat().st_uid + 1)
    monkeypatch.setattr(Path, "read_text", lambda path, **how: pytest.fail(f"read {path}"))
    assert Settings().environment == "local"


def test_a_directory_that_is_gone_is_no_traceback(project: Path) -> None:
    Path.cwd().rmdir()
    assert Settings().environment == "local"
