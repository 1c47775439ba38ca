"""One writer per environment: a lock file that says who holds it, and that a dead holder cannot keep."""

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
    """Hold the lock of a state file. Raises LedgerLocked, with the holder's name, when somebody else does.

    The kernel drops the lock of a process that dies, so a dead holder on this machine is no obstacle. The file
    says who holds it, for people and for the machines that share a directory without sharing locks.
    """
    path = state_file.with_suffix(".lock")
    file = _open(path)
    _refuse_foreign(path, file)
    try:
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}, file)
        file.flush()
        yield
    finally:
        # Somebody may have removed it by hand; what stands in its place then is the lock of who came after us.
        if _is_still(path, file):
            path.unlink()
        file.close()


def refusal(state_file: Path) -> LedgerLocked | None:
    """Why a command could not take the lock of a state file now; None where it could. It is left as it is."""
    path = state_file.with_suffix(".lock")
    try:
        file = os.fdopen(_descriptor(path, os.O_RDONLY), encoding="utf-8")
    except OSError:  # what cannot be opened is said by whoever wants to write it
        return None
    with file:
        holder = _holder(file)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _refusal(path, holder)
        return _foreign(path, holder)


_CLOCK = RealClock()
_INTRODUCTION = 1.0
"""Seconds that somebody who has just taken the lock may need to say who it is."""
_BETWEEN = 0.02


def _open(path: Path) -> IO[str]:
    patience = _INTRODUCTION
    while True:
        file = _opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            if holder or patience <= 0:
                raise _refusal(path, holder) from None
            patience -= _BETWEEN
            _CLOCK.sleep(_BETWEEN, threading.Event())
            continue
        # The holder before us may have removed the file between our opening and locking it.
        if _is_still(path, file):
            return file
        file.close()


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.fdopen(_descriptor(path, os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8")
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise LedgerError(
                f"{path} is not a lock file of iotpipe but {_what_is(path)}",
                "Nothing was changed. Check what it is for, and remove it",
            ) from error
        hint = "Choose another place with --state-dir or IOTPIPE_STATE_DIR"
        raise LedgerError(f"cannot write {path}: {error}", hint) from error


def _descriptor(path: Path, access: int) -> int:
    """The file at the path, open. Raises OSError for anything but a plain file.

    A link is not followed, since what it leads to would be overwritten, and a pipe is not waited for.
    """
    descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def _what_is(path: Path) -> str:
    if path.is_symlink():
        return f"a link to {os.readlink(path)}"
    return "a directory" if path.is_dir() else "a pipe" if path.is_fifo() else "no plain file"


def _refusal(path: Path, holder: dict[str, str]) -> LedgerLocked:
    return LedgerLocked(
        f"{path.with_suffix('.json')} is locked by {_described(holder)}",
        f"Wait for it, or stop it with `kill {holder.get('pid', 'PID')}`: it finishes its calls and releases the lock",
    )


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.lstat().st_ino
    except FileNotFoundError:
        return False


def _refuse_foreign(path: Path, file: IO[str]) -> None:
    if refusal := _foreign(path, _holder(file)):
        file.close()
        raise refusal


def _foreign(path: Path, holder: dict[str, str]) -> LedgerLocked | None:
    """Locks of other machines are not seen here: what the file says counts."""
    if not holder or holder.get("host") == socket.gethostname():
        return None
    return LedgerLocked(
        f"{path.with_suffix('.json')} is locked by {_described(holder)}",
        f"If that command is no longer running, release the lock with `rm {path}`",
    )


def _holder(file: IO[str]) -> dict[str, str]:
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


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
