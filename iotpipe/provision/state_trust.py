"""Whether the state file can be believed: what it says decides what iotpipe changes and deletes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from iotpipe.errors import LedgerError


def check(path: Path) -> None:
    """Raise LedgerError where another user could have written the file at this path, which need not exist."""
    for each in _decisive(path):
        for found in _found(each):
            _check_one(each, found)


def _decisive(path: Path) -> Iterator[Path]:
    """The file and its directory, and where a link leads."""
    real = Path(os.path.realpath(path))
    yield from dict.fromkeys((path.parent, path, real.parent, real))


def _found(path: Path) -> Iterator[os.stat_result]:
    """What is at the path, and what it leads to if it is a link: whoever made the link chose that."""
    for look in (os.lstat, os.stat):
        try:
            yield look(path)
        except OSError:  # what is not there, or cannot be looked at, cannot be read either
            return


def _check_one(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise LedgerError(
            f"{path} belongs to another user (id {found.st_uid}): what is recorded there decides what iotpipe changes "
            "and deletes",
            f"If it is yours, take ownership with `chown -R {os.getuid()} {path}`; if not, {_ELSEWHERE}",
        )
    if _open_to_everybody(found):
        raise LedgerError(
            f"every user of this machine may write {path}: what is recorded there decides what iotpipe changes and "
            "deletes",
            f"Look whether it is as you left it, and close it with `chmod o-w {path}`; or {_ELSEWHERE}",
        )


_ELSEWHERE = "choose another place with --state-dir or IOTPIPE_STATE_DIR"


def _open_to_everybody(found: os.stat_result) -> bool:
    """Whether users without any tie to the owner may write it.

    A group may: with a umask of 002, which many systems have, everything is writable for a group that holds nobody but
    its owner, or a team that means to share. In a sticky directory nobody can replace what others own.
    """
    if stat.S_ISLNK(found.st_mode):
        return False  # a link has no permissions of its own
    sticky = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
    return bool(found.st_mode & stat.S_IWOTH) and not sticky
