"""The embedded AWS deletes only the files that iotpipe created in its directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.errors import LedgerError
from iotpipe.local import launcher, owned_files
from iotpipe.local.engine_directory import EngineDirectory, Record
from iotpipe.local.owned_files import MARK
from iotpipe.local.storage.store import Store
from tests.support.local_machine import Machine


@pytest.fixture
def directory(tmp_path: Path) -> EngineDirectory:
    """Return a directory that iotpipe created."""
    directory = EngineDirectory(tmp_path / "local")
    directory.create()
    return directory


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """Return a directory elsewhere with a file of the user."""
    path = tmp_path / "treasure"
    path.mkdir()
    (path / "engine.json").write_text("precious")
    (path / "photo.jpg").write_text("precious")
    return path


def tree(directory: Path) -> dict[str, str]:
    """Return all paths below a directory, with the contents of the files."""
    return {
        str(path.relative_to(directory)): path.read_text() if path.is_file() else "" for path in directory.rglob("*")
    }


def saved(directory: EngineDirectory) -> None:
    """Create the files of an engine's database, SQLite's journal included."""
    Store(directory.database).close()
    for suffix in ("-wal", "-shm", "-journal"):
        directory.database.with_name(f"{directory.database.name}{suffix}").write_text("")


ACTS: dict[str, Callable[[EngineDirectory], object]] = {
    "make": EngineDirectory.create,
    "start": launcher.start,
    "stop": launcher.stop,
    "reset": launcher.reset,
    "status": launcher.status,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["data/photos/a.jpg", "tmp/work/b", "engine.json", "data/engine.db"])
def test_a_directory_that_iotpipe_did_not_make_is_refused_and_left_as_it_is(
    tmp_path: Path, act: str, name: str
) -> None:
    file = tmp_path / "local" / name
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    (tmp_path / "local").chmod(0o755)
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match="was not created by iotpipe") as refused:
        ACTS[act](EngineDirectory(tmp_path / "local"))
    assert name.split("/")[0] in refused.value.message
    assert "--state-dir" in refused.value.hint
    assert tree(tmp_path) == before
    assert (tmp_path / "local").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("act", ACTS)
def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path, treasure: Path, act: str) -> None:
    (tmp_path / "local").symlink_to(treasure)
    # The mark in the link's target makes no difference.
    (treasure / MARK).write_text("")
    before = tree(treasure)
    with pytest.raises(LedgerError, match=f"is a link to {treasure}"):
        ACTS[act](EngineDirectory(tmp_path / "local"))
    assert tree(treasure) == before


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    "name",
    [
        *("data", "engine.tmp", "engine.json", "engine.lock", "engine.log", "engine.log.1"),
        *("credentials.json", "launch.lock", MARK, "data/engine.db", "data/engine.db-wal"),
    ],
)
def test_a_link_in_place_of_what_it_would_write_or_delete_is_refused(
    directory: EngineDirectory, treasure: Path, act: str, name: str
) -> None:
    saved(directory)
    link = directory.path / name
    if link.exists():
        link.rename(directory.path.parent / "moved")
    link.symlink_to(treasure if name in ("data", "engine.tmp") else treasure / "photo.jpg")
    before = tree(treasure)
    with pytest.raises(LedgerError, match="is a link to"):
        ACTS[act](directory)
    assert tree(treasure) == before
    assert link.is_symlink()


def test_another_users_directory_is_refused(directory: EngineDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: directory.path.stat().st_uid + 1)
    with pytest.raises(LedgerError, match="belongs to another user"):
        directory.create()


def test_what_somebody_put_among_its_own_survives_a_reset_and_is_named(directory: EngineDirectory) -> None:
    directory.write(Record(4566))
    saved(directory)
    kept = ["photos/a.jpg", "data/photos/a.jpg", "data/my-engine.db", "data/engine.db.bak"]
    for name in kept:
        path = directory.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    (directory.temporary / "worker").mkdir()
    assert launcher.reset(directory) == ["data", "photos"]
    assert {name: text for name, text in tree(directory.path).items() if text == "precious"} == dict.fromkeys(
        kept, "precious"
    )
    assert sorted(path.name for path in directory.path.iterdir()) == [MARK, "data", "photos"]
    # The directory is still recognised as iotpipe's.
    directory.create()
    for name in kept:
        (directory.path / name).unlink()
    for name in ("data/photos", "photos"):
        (directory.path / name).rmdir()
    assert launcher.reset(directory) == []
    assert not directory.path.exists()


def test_a_file_of_which_the_database_is_a_hard_link_is_not_written(directory: EngineDirectory, treasure: Path) -> None:
    os.link(treasure / "photo.jpg", directory.database)
    with pytest.raises(LedgerError, match=r"has a second name \(hard link\)"):
        launcher.start(directory)
    assert (treasure / "photo.jpg").read_text() == "precious"


def test_a_link_that_is_put_in_the_way_of_a_deletion_is_not_followed(
    directory: EngineDirectory, treasure: Path
) -> None:
    (treasure / "engine.db").write_text("precious")
    (directory.temporary / "inside").symlink_to(treasure)
    directory.data.rmdir()
    directory.data.symlink_to(treasure)
    before = tree(treasure)
    owned_files.clear_temporary(directory.path)
    directory.temporary.symlink_to(treasure)
    assert owned_files.clear(directory.path) == ["data", "engine.tmp"]
    assert tree(treasure) == before


@pytest.mark.embedded
def test_a_users_own_files_survive_up_and_reset_with_the_project_as_state_directory(machine: Machine) -> None:
    files = [machine.directory / "local" / name for name in ("data/photos/a.jpg", "tmp/work/b")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("precious")
    for command in (("up", "--env", "local"), ("local", "start"), ("local", "reset", "--yes"), ("local", "status")):
        said = machine.run("--state-dir", ".", *command, code=1).stderr
        assert f"{machine.directory / 'local'} was not created by iotpipe: it contains 'data', 'tmp'" in said
        assert [file.read_text() for file in files] == ["precious", "precious"]
    assert sorted(path.name for path in machine.directory.iterdir()) == ["local"]


@pytest.mark.embedded
def test_a_file_of_which_its_own_are_hard_links_is_neither_written_nor_emptied(
    machine: Machine, treasure: Path
) -> None:
    machine.engine_directory.create()
    files = {"engine.log": "photo.jpg", "engine.log.1": "photo.jpg", "engine.lock": "engine.json"}
    for name, mine in files.items():
        os.link(treasure / mine, machine.engine_directory.path / name)
    for command in ("start", "stop", "start"):
        machine.run("local", command)
    machine.run("local", "reset", "--yes")
    assert tree(treasure) == {"photo.jpg": "precious", "engine.json": "precious"}


@pytest.mark.embedded
def test_what_a_linked_directory_leads_to_survives_up_and_reset(machine: Machine, treasure: Path) -> None:
    (machine.directory / ".iotpipe").mkdir()
    machine.engine_directory.path.symlink_to(treasure)
    before = tree(treasure)
    for command in (("up", "--env", "local"), ("local", "stop"), ("local", "reset", "--yes")):
        assert "is a link to" in machine.run(*command, code=1).stderr
    assert tree(treasure) == before


@pytest.mark.embedded
def test_what_a_user_puts_into_the_directory_later_survives_too(machine: Machine) -> None:
    machine.run("local", "start")
    file = machine.engine_directory.data / "photos" / "a.jpg"
    file.parent.mkdir()
    file.write_text("precious")
    machine.client("sqs").create_queue(QueueName="something")
    machine.run("local", "stop")
    machine.run("local", "start")
    assert machine.client("sqs").list_queues()["QueueUrls"]
    assert "kept in" in machine.run("local", "reset", "--yes").stderr
    assert file.read_text() == "precious"
