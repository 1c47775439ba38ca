"""iotpipe rejects a state file that another user could have written: it decides what `down` deletes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.errors import LedgerError
from iotpipe.provision.ledger import Ledger, Row, read

Give = Callable[[Path], int]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state file with one row, in a directory of its own."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    path = directory / "dev.json"
    Ledger(path, "dev", "1", "us-east-1", lambda: 1_800_000_000.0).record(Row("queue", "q", "ready", {}))
    return path


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Make another user the owner of a path, or simulate it without root; return the user's id."""
    other = 4711
    given: set[Path] = set()
    lstat, stat = os.lstat, os.stat

    def owned(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def looked(path: Path, **how: bool) -> os.stat_result:
            found = look(path, **how)
            if Path(path) not in given:
                return found
            return os.stat_result((*found[:4], other, *found[5:]))

        return looked

    def give(path: Path) -> int:
        if os.getuid() == 0:
            os.chown(path, other, -1, follow_symlinks=False)
        else:
            given.add(path)
            monkeypatch.setattr(os, "lstat", owned(lstat))
            monkeypatch.setattr(os, "stat", owned(stat))
        return other

    return give


def refused(path: Path) -> LedgerError:
    with pytest.raises(LedgerError) as error:
        read(path)
    assert "--state-dir" in error.value.hint
    return error.value


def test_ones_own_state_file_is_believed(state: Path) -> None:
    assert read(state)


@pytest.mark.parametrize("which", ["the file", "its directory"])
def test_what_belongs_to_somebody_else_is_refused_with_what_to_do(which: str, state: Path, give_away: Give) -> None:
    path = state if which == "the file" else state.parent
    other = give_away(path)
    error = refused(state)
    assert f"{path} belongs to another user (id {other})" in error.message
    assert f"chown -R {os.getuid()} {path}" in error.hint


def test_no_state_file_is_begun_in_somebody_elses_directory(tmp_path: Path, give_away: Give) -> None:
    give_away(tmp_path)
    assert str(tmp_path) in refused(tmp_path / "dev.json").message


def test_what_belongs_to_root_is_believed_by_everybody(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make something that belongs to root")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert read(state)


@pytest.mark.parametrize("which", ["the file", "its directory"])
def test_what_everybody_may_write_is_refused_with_what_to_do(which: str, state: Path) -> None:
    path = state if which == "the file" else state.parent
    path.chmod(0o777)
    error = refused(state)
    assert f"every user of this machine may write {path}" in error.message
    assert f"chmod o-w {path}" in error.hint


def test_what_a_group_may_write_is_believed(state: Path) -> None:
    state.chmod(0o664)
    state.parent.chmod(0o775)
    assert read(state)


def test_a_directory_in_which_nobody_can_replace_what_others_own_is_believed(state: Path, give_away: Give) -> None:
    state.parent.chmod(0o1777)
    assert read(state)
    give_away(state)
    assert str(state) in refused(state).message


def test_a_link_is_as_good_as_who_made_it(state: Path, tmp_path: Path, give_away: Give) -> None:
    link = tmp_path / "other.json"
    link.symlink_to(state)
    assert read(link)
    give_away(link)
    assert str(link) in refused(link).message


def test_a_link_is_as_good_as_what_it_leads_to(state: Path, tmp_path: Path, give_away: Give) -> None:
    link = tmp_path / "other.json"
    link.symlink_to(state)
    give_away(state.parent)
    assert str(state.parent) in refused(link).message


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dev.json")
    with pytest.raises(LedgerError, match="pipe"):
        read(tmp_path / "dev.json")
