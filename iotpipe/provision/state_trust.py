"""Checks that no other user could have written the state file, which decides what iotpipe changes and deletes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from iotpipe.errors import LedgerError


def check(path: Path) -> None:
    """Raise LedgerError if another user could have written the file at this path. The file need not exist."""
    for each in _checked_paths(path):
        for status in _statuses(each):
            _check_one(each, status)


def _checked_paths(path: Path) -> Iterator[Path]:
    """Yield the file and its directory, and those that a symbolic link leads to."""
    real = Path(os.path.realpath(path))
    yield from dict.fromkeys((path.parent, path, real.parent, real))


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of the path itself and, for a symbolic link, of its target, which the link's owner chose."""
    for stat_function in (os.lstat, os.stat):
        try:
            yield stat_function(path)
        except OSError:  # a path that does not exist or is not accessible cannot be read either
            return


def _check_one(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.getuid(), 0):
        raise LedgerError(
            f"{path} belongs to another user (id {status.st_uid}): what is recorded there decides what iotpipe changes "
            "and deletes",
            f"If it is yours, take ownership with `chown -R {os.getuid()} {path}`; if not, {_ELSEWHERE}",
        )
    if _is_world_writable(status):
        raise LedgerError(
            f"every user of this machine may write {path}: what is recorded there decides what iotpipe changes and "
            "deletes",
            f"Look whether it is as you left it, and close it with `chmod o-w {path}`; or {_ELSEWHERE}",
        )


_ELSEWHERE = "choose another place with --state-dir or IOTPIPE_STATE_DIR"


def _is_world_writable(status: os.stat_result) -> bool:
    """Whether every user may write the file or directory.

    Group-writable files are allowed: with the common umask 002, the group is the owner's private group, or a team that
    shares the files. In a sticky directory, users cannot replace files of others.
    """
    if stat.S_ISLNK(status.st_mode):
        return False  # a symbolic link has no permissions of its own
    sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
    return bool(status.st_mode & stat.S_IWOTH) and not sticky
