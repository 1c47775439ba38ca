"""Creates and deletes iotpipe's files in the directory of an embedded AWS, and never touches other files.

With `--state-dir .` the directory is `./local`, which may be the user's own. So iotpipe marks a directory when it
creates it, and refuses one without the mark.
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
MQTT_CA = "mqtt-ca.pem"

_TEXT = b"iotpipe created this directory for its embedded AWS. It deletes only the files that it created itself.\n"
_FILES = re.compile(
    r"engine\.(json|lock|log|log\.1)|credentials\.json|launch\.lock|mqtt-ca\.pem"
    # The temporary file of an atomic write that was killed.
    r"|\.(engine\.json|credentials\.json|mqtt-ca\.pem)\.\w{8}"
)
_DATABASE = re.compile(r"engine\.db(-wal|-shm|-journal)?")


def create(directory: Path) -> None:
    """Create the directory and its mark, accessible by its owner only. Raises OSError, and LedgerError as `check`."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    check(directory)
    with suppress(FileExistsError):
        descriptor = os.open(directory / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_TEXT)
    for path in (directory, directory / DATA, directory / TEMPORARY):
        path.mkdir(exist_ok=True, mode=0o700)
        path.chmod(0o700)


def check(directory: Path) -> None:
    """Check that iotpipe may write and delete in the directory; changes nothing.

    Raises LedgerError if iotpipe did not create the directory, or if it contains a link in place of a file.
    """
    try:
        _check_kind(directory, stat.S_ISDIR, "directory")
        names = os.listdir(directory)
        if names and MARK not in names:
            raise LedgerError(
                f"{directory} was not created by iotpipe: it contains {_listed(names)}, but no {MARK}",
                f"Nothing was changed. {ELSEWHERE}; if an earlier iotpipe created it, run `touch {directory / MARK}`",
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
        raise LedgerError(f"cannot read {directory}: {error}", ELSEWHERE) from error


ELSEWHERE = "Choose another directory with --state-dir or IOTPIPE_STATE_DIR"


def _listed(names: list[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(repr(name) for name in shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_database(data: Path) -> None:
    if not data.exists():
        return
    for path in (each for each in data.iterdir() if _DATABASE.fullmatch(each.name)):
        with suppress(FileNotFoundError):  # SQLite may delete its journal at any time
            _check_kind(path, stat.S_ISREG, "file")
            if path.lstat().st_nlink > 1:
                raise LedgerError(
                    f"{path} has a second name (hard link): iotpipe would write to that file too",
                    f"Nothing was changed. Make it a separate file: `cp {path} {path}.copy && mv {path}.copy {path}`",
                )


def _check_kind(path: Path, is_kind: Callable[[int], bool], kind: str) -> None:
    status = path.lstat()
    if not is_kind(status.st_mode):
        actual = f"a link to {os.readlink(path)}" if stat.S_ISLNK(status.st_mode) else f"not a {kind}"
        raise LedgerError(
            f"{path} is {actual}: iotpipe deletes only what it created itself, and follows no links",
            f"Nothing was changed. Check what it is for and remove it, or {ELSEWHERE[0].lower()}{ELSEWHERE[1:]}",
        )
    if status.st_uid != os.getuid():
        raise LedgerError(f"{path} belongs to another user (id {status.st_uid})", f"Nothing was changed. {ELSEWHERE}")


def clear(directory: Path) -> list[str]:
    """Delete everything that iotpipe created in the directory, and the directory if nothing else is in it.

    Returns the names of the files that iotpipe did not create; they are kept.
    """
    left: list[str] = []
    with suppress(FileNotFoundError):  # the previous lock holder has cleared it
        with _opened(directory) as top:
            _clear_temporary(top)
            _clear_data(top)
            # The lock last: a command that waits for it then finds a cleared directory.
            for name in sorted(os.listdir(top), key=lambda name: name == LAUNCH_LOCK):
                if _FILES.fullmatch(name):
                    _unlink(name, top)
            left = sorted(set(os.listdir(top)) - {MARK})
            if not left:
                _unlink(MARK, top)
        if not left:
            with suppress(OSError):  # another command uses the directory again
                directory.rmdir()
    return left


def clear_temporary(directory: Path) -> None:
    """Delete the temporary directory of the engine and its functions."""
    with _opened(directory) as top:
        _clear_temporary(top)


def _clear_temporary(top: int) -> None:
    # rmtree follows no links. It starts from the open directory, so that nobody can swap a link in on the way.
    shutil.rmtree(TEMPORARY, ignore_errors=True, dir_fd=top)


def _clear_data(top: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        with _opened(DATA, top) as data:
            for name in os.listdir(data):
                if _DATABASE.fullmatch(name):
                    _unlink(name, data)
        with suppress(OSError):  # it has other files
            os.rmdir(DATA, dir_fd=top)


@contextmanager
def _opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    """Open a directory, so that deletions happen in it even if its path is replaced meanwhile.

    Raises NotADirectoryError for a link.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unlink(name: str, directory: int) -> None:
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # a directory, on Linux and on macOS
        os.unlink(name, dir_fd=directory)
