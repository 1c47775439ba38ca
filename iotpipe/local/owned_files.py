"""What iotpipe has made in the directory of an embedded AWS, and how that, and nothing else, is deleted.

With `--state-dir .` the directory is `./local`, which may be anybody's: so it bears a mark from the moment it is made.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from iotpipe.errors import LedgerError

MARK = ".iotpipe-embedded-aws"
DATA, TEMPORARY = "data", "engine.tmp"
DATABASE = "engine.db"
LAUNCH_LOCK = "launch.lock"

_TEXT = (
    b"iotpipe made this directory for its embedded AWS. It deletes here what it has made itself, and nothing else.\n"
)
_FILES = re.compile(
    r"engine\.(json|lock|log|log\.1)|credentials\.json|launch\.lock"
    # What a command that was killed while it wrote one of them has left.
    r"|\.(engine|credentials)\.json\.\w{8}"
)
_DATABASE = re.compile(r"engine\.db(-wal|-shm|-journal)?")


def make(directory: Path) -> None:
    """Make the directory with its mark, for its owner alone. Raises OSError, and LedgerError where `check` does."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    check(directory)
    with suppress(FileExistsError):
        descriptor = os.open(directory / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_TEXT)
    for each in (directory, directory / DATA, directory / TEMPORARY):
        each.mkdir(exist_ok=True, mode=0o700)
        each.chmod(0o700)


def check(directory: Path) -> None:
    """Look, without changing anything, whether iotpipe may write and delete here.

    Raises LedgerError where the directory is somebody else's, or where a link in it leads elsewhere.
    """
    try:
        _check_kind(directory, stat.S_ISDIR, "directory")
        names = os.listdir(directory)
        if names and MARK not in names:
            raise LedgerError(
                f"{directory} is not a directory that iotpipe made: it holds {_listed(names)}, and no {MARK}",
                f"Nothing was changed. {_ELSEWHERE}; if an earlier iotpipe made it, `touch {directory / MARK}` says so",
            )
        for path in (directory / name for name in names):
            if path.name == MARK or _FILES.fullmatch(path.name):
                _check_kind(path, stat.S_ISREG, "file")
            elif path.name in (DATA, TEMPORARY):
                _check_kind(path, stat.S_ISDIR, "directory")
        _check_database(directory / DATA)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerError(f"cannot read {directory}: {error}", _ELSEWHERE) from error


_ELSEWHERE = "Choose another place with --state-dir or IOTPIPE_STATE_DIR"


def _listed(names: list[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(repr(name) for name in shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_database(data: Path) -> None:
    if not data.exists():
        return
    for path in (each for each in data.iterdir() if _DATABASE.fullmatch(each.name)):
        with suppress(FileNotFoundError):  # SQLite deletes its journal while others look
            _check_kind(path, stat.S_ISREG, "file")
            if path.lstat().st_nlink > 1:
                raise LedgerError(
                    f"{path} has a second name (hard link): iotpipe would write to that file too",
                    f"Nothing was changed. `cp {path} {path}.copy && mv {path}.copy {path}` makes it a separate file",
                )


def _check_kind(path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    found = path.lstat()
    if not is_kind(found.st_mode):
        what = f"a link to {os.readlink(path)}" if stat.S_ISLNK(found.st_mode) else f"no {kind}"
        raise LedgerError(
            f"{path} is {what}: iotpipe deletes only what it made itself, and follows no link to get there",
            f"Nothing was changed. Check what it is for, and remove it; or: {_ELSEWHERE[0].lower()}{_ELSEWHERE[1:]}",
        )
    if found.st_uid != os.getuid():
        raise LedgerError(f"{path} belongs to another user (id {found.st_uid})", f"Nothing was changed. {_ELSEWHERE}")


def clear(directory: Path) -> list[str]:
    """Delete all that iotpipe has made here, and the directory if nothing else is in it.

    Returns the names of what it did not make, which stays.
    """
    left: list[str] = []
    with suppress(FileNotFoundError):  # who was before us in launching has cleared it
        with _opened(directory) as top:
            _clear_temporary(top)
            _clear_data(top)
            # The lock last: whoever waits for it comes to a directory that is cleared.
            for name in sorted(os.listdir(top), key=lambda each: each == LAUNCH_LOCK):
                if _FILES.fullmatch(name):
                    _unlink(name, top)
            left = sorted(set(os.listdir(top)) - {MARK})
            if not left:
                _unlink(MARK, top)
        if not left:
            with suppress(OSError):  # another command has come here meanwhile
                directory.rmdir()
    return left


def clear_temporary(directory: Path) -> None:
    """Delete what the engine and its functions have left in their temporary directory."""
    with _opened(directory) as top:
        _clear_temporary(top)


def _clear_temporary(top: int) -> None:
    # It follows no link, and goes from the open directory on, so that nobody can put one in its way meanwhile.
    shutil.rmtree(TEMPORARY, ignore_errors=True, dir_fd=top)


def _clear_data(top: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        with _opened(DATA, top) as data:
            for name in os.listdir(data):
                if _DATABASE.fullmatch(name):
                    _unlink(name, data)
        with suppress(OSError):  # somebody has put something else there
            os.rmdir(DATA, dir_fd=top)


@contextmanager
def _opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    """The directory, open: what is deleted from it is deleted there, whatever the path leads to by then.

    Raises NotADirectoryError for a link.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unlink(name: str, directory: int) -> None:
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # a directory, to Linux and to macOS
        os.unlink(name, dir_fd=directory)
