"""The lock file of an environment: one writer at a time. The kernel releases the lock of a process that dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from iotpipe.errors import LedgerError, LedgerLocked
from iotpipe.provision.run import RealClock
from iotpipe.times import seconds


@contextmanager
def locked(state_file: Path, command: str, since: str) -> Iterator[None]:
    """Hold the lock of a state file. Raises LedgerLocked, which names the holder, if another process holds it.

    The lock file also describes its holder: for the user, and for machines that share the directory but not the
    kernel's locks.
    """
    path = state_file.with_suffix(".lock")
    file = _acquire(path)
    _check_other_machine(path, file)
    try:
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}, file)
        file.flush()
        yield
    finally:
        # If the user removed the lock file, the file at this path is the lock of another process: keep it.
        if _is_at(path, file):
            path.unlink()
        file.close()


def refusal(state_file: Path) -> LedgerLocked | None:
    """Return why the lock cannot be taken now; None if it can. The lock file is not changed."""
    path = state_file.with_suffix(".lock")
    try:
        file = os.fdopen(_descriptor(path, os.O_RDONLY), encoding="utf-8")
    except OSError:  # `locked` reports a lock file that cannot be opened
        return None
    with file:
        holder = _holder(file)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _locked_error(path, holder)
        return _other_machine_error(path, holder)


_CLOCK = RealClock()
_HOLDER_WRITE_TIME = 1.0
"""Seconds that a process may need between taking the lock and writing its description into the file."""
_POLL_INTERVAL = 0.02


def _acquire(path: Path) -> IO[str]:
    time_left = _HOLDER_WRITE_TIME
    while True:
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            if holder or time_left <= 0:
                raise _locked_error(path, holder) from None
            time_left -= _POLL_INTERVAL
            _CLOCK.sleep(_POLL_INTERVAL, threading.Event())
            continue
        # A race: the previous holder may have removed the file after this process opened it.
        if _is_at(path, file):
            return file
        file.close()


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.fdopen(_descriptor(path, os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8")
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise LedgerError(
                f"{path} is not a lock file of iotpipe but {_file_type(path)}",
                "Nothing was changed. Check what it is for, and remove it",
            ) from error
        hint = "Choose another place with --state-dir or IOTPIPE_STATE_DIR"
        raise LedgerError(f"cannot write {path}: {error}", hint) from error


def _descriptor(path: Path, access: int) -> int:
    """Open the file. Raises OSError for anything but a regular file.

    Symbolic links are not followed, since their target would be overwritten. Opening a pipe does not block.
    """
    descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def _file_type(path: Path) -> str:
    if path.is_symlink():
        return f"a link to {os.readlink(path)}"
    return "a directory" if path.is_dir() else "a pipe" if path.is_fifo() else "no plain file"


def _locked_error(path: Path, holder: dict[str, str]) -> LedgerLocked:
    return LedgerLocked(
        f"{path.with_suffix('.json')} is locked by {_described(holder)}",
        f"Wait for it, or stop it with `kill {holder.get('pid', 'PID')}`: it finishes its calls and releases the lock",
    )


def _is_at(path: Path, file: IO[str]) -> bool:
    """Whether the open file is the one at the path."""
    try:
        return os.fstat(file.fileno()).st_ino == path.lstat().st_ino
    except FileNotFoundError:
        return False


def _check_other_machine(path: Path, file: IO[str]) -> None:
    if error := _other_machine_error(path, _holder(file)):
        file.close()
        raise error


def _other_machine_error(path: Path, holder: dict[str, str]) -> LedgerLocked | None:
    """Return an error if the file names a holder on another machine, whose kernel lock is not visible here."""
    if not holder or holder.get("host") == socket.gethostname():
        return None
    return LedgerLocked(
        f"{path.with_suffix('.json')} is locked by {_described(holder)}",
        f"If that command is no longer running, release the lock with `rm {path}`",
    )


def _holder(file: IO[str]) -> dict[str, str]:
    file.seek(0)
    try:
        contents = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return {key: str(value) for key, value in contents.items()} if isinstance(contents, dict) else {}


def _described(holder: dict[str, str]) -> str:
    if not holder:
        return "another command"
    return (
        f"`iotpipe {holder.get('command', '?')}`, process {holder.get('pid', '?')} on {holder.get('host', '?')}, "
        f"since {_with_age(holder.get('since', '?'))}"
    )


def _with_age(since: str) -> str:
    try:
        passed = _CLOCK.now() - seconds(since)
    except ValueError:
        return since
    size, unit = next(((size, unit) for size, unit in _UNITS if passed >= 2 * size), (1, "s"))
    return f"{since}, {passed / size:.0f} {unit} ago"


_UNITS = ((86400, "days"), (3600, "h"), (60, "min"))
