"""Starts and stops the embedded AWS, and says how it is doing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from iotpipe.errors import IotpipeError, LedgerError, UsageError
from iotpipe.local import install_hint, owned_files
from iotpipe.local.engine_directory import ACCOUNT, Place, Record
from iotpipe.local.guard import ADMIN, SECRET
from iotpipe.provision import ledger
from iotpipe.provision.lock import locked
from iotpipe.provision.teardown import is_deleted
from iotpipe.times import timestamp

_START = 60
_STOP = 30
"""Seconds after which an engine that does not start, or end, is given up."""


def start(place: Place, tell: Callable[[str], None] = lambda text: None) -> Record:
    """The running engine; starts it if need be, and tells what the user should know about that.

    Raises UsageError where ministack is not installed, LedgerError where what is recorded of it cannot be used, or
    IotpipeError with what the engine said when it cannot start.
    """
    _require_ministack()
    place.make()
    with place.launching():
        if record := place.running():
            return record
        _wait(lambda: not place.alive(), _STOP)
        if before := place.record():
            # Or what a killed engine has left would pass for the new one's word as soon as that has the lock.
            place.write(replace(before, ready=False))
        owned_files.clear_temporary(place.directory)
        place.make()
        record = _started(place, _spawn(place))
    for text in (f"started, at {record.endpoint}", *_news(before, record)):
        tell(text)
    return record


def stop(place: Place) -> Record | None:
    """End the running engine, with everything saved; None if there is none.

    Raises IotpipeError where it cannot save: it keeps running then. And LedgerError where the directory is not
    iotpipe's own.
    """
    owned_files.check(place.directory)
    if not place.directory.exists():
        return None
    with place.launching():
        record = place.running()
        if record is None:
            return None
        state = ask(record, "save")
        if state["trouble"]:
            raise IotpipeError(
                f"the embedded AWS keeps running: what was written since {state['saved_at'] or 'its start'} "
                f"cannot be saved: {state['trouble']}",
                f"Free disk space under {place.data} and stop it again; `iotpipe local reset` drops the data instead",
            )
        _end(place, record)
        return record


def reset(place: Place) -> list[str]:
    """End the engine, if it runs, and delete everything that it kept.

    Returns the names of what in its directory iotpipe has not made, which stays. Raises LedgerError where the directory
    is not iotpipe's own.
    """
    owned_files.check(place.directory)
    if not place.directory.exists():
        return []
    with place.launching():
        # One that is only coming up or going down has not recorded its process id yet, or no longer.
        _wait(lambda: place.running() is not None or not place.alive(), _START)
        if place.alive() and (record := place.record()) and record.pid:
            _end(place, record)
        return owned_files.clear(place.directory)


def forget(state_dir: Path) -> None:
    """Remove the state files of the environments that were in an embedded AWS. Raises LedgerLocked."""
    for name in _inhabitants(state_dir):
        path = ledger.path_of(state_dir, name)
        with locked(path, "local reset", timestamp(time.time())):
            path.unlink(missing_ok=True)


def in_use(state_dir: Path) -> list[str]:
    """The environments that are up in the embedded AWS: that have more there than what `down` keeps."""
    rows = {name: contents.rows.values() for name, contents in _inhabitants(state_dir).items()}
    return [name for name, found in rows.items() if not all(not is_deleted(row, delete_data=False) for row in found)]


def _inhabitants(state_dir: Path) -> dict[str, ledger.Contents]:
    """The state files of environments in the embedded AWS, by their names."""
    found = {}
    for name in ledger.with_state(state_dir):
        with suppress(LedgerError):
            contents = ledger.read(ledger.path_of(state_dir, name))
            if contents and contents.account == ACCOUNT:
                found[name] = contents
    return found


def status(place: Place) -> dict[str, Any]:
    """Whether it runs, its address, process, start, the bytes that it keeps, and what is wrong with it.

    Raises LedgerError where the directory is not iotpipe's own.
    """
    owned_files.check(place.directory)
    record = place.running()
    size = _size(place.data)
    if record is None:
        return {"running": False, "data_bytes": size}
    said = ask(record, "state")
    found = {"running": True, "endpoint": record.endpoint, "pid": record.pid, "since": record.since}
    return found | {"saved_at": said["saved_at"], "trouble": said["trouble"], "data_bytes": size}


def _size(directory: Path) -> int:
    """The bytes of all files below; SQLite deletes its journal meanwhile."""
    found = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                found += os.lstat(os.path.join(parent, name)).st_size
    return found


def ask(record: Record, question: str) -> dict[str, Any]:
    """What the engine says about itself. Raises IotpipeError where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", record.port, timeout=30)
    try:
        connection.request("POST", f"{ADMIN}{question}", headers={SECRET: record.secret})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    except (OSError, ValueError, http.client.HTTPException) as error:
        hint = f"`kill {record.pid}` ends it; see its log"
        raise IotpipeError(f"the embedded AWS is running but does not respond: {error!r}", hint) from error
    finally:
        connection.close()


def _require_ministack() -> None:
    if not install_hint.installed():
        raise UsageError("the embedded AWS is not installed", install_hint.remedy())


def _spawn(place: Place) -> subprocess.Popen[bytes]:
    """An engine that outlives this command and has nothing of its environment, terminal or open files."""
    if place.log.exists():
        # By itself, replacing does nothing where both are links to one file.
        place.log.with_suffix(".log.1").unlink(missing_ok=True)
        place.log.rename(place.log.with_suffix(".log.1"))
    own = {"HOME": str(place.temporary), "TMPDIR": str(place.temporary)}
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "iotpipe.local.engine", str(place.directory)],
            env=kept | own,
            cwd=place.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _started(place: Place, process: subprocess.Popen[bytes]) -> Record:
    _wait(lambda: process.poll() is not None or place.running() is not None, _START)
    record = place.running()
    if record is None:
        process.kill()
        lines = place.log.read_text(errors="replace").splitlines() or ["it said nothing"]
        message = f"the embedded AWS failed to start: {lines[-1].removeprefix('error: ')}"
        raise IotpipeError(message, f"Its log is {place.log}")
    process.returncode = 0  # it outlives this command, of which Popen would warn
    return record


def _end(place: Place, record: Record) -> None:
    """Only called while the engine holds its lock: so the process id is still its own."""
    os.kill(record.pid, signal.SIGTERM)
    if not _wait(lambda: not place.alive(), _STOP):
        os.kill(record.pid, signal.SIGKILL)
        _wait(lambda: not place.alive(), _STOP)
    owned_files.clear_temporary(place.directory)


def _news(before: Record | None, now: Record) -> list[str]:
    if before is None:
        return []
    news = []
    if before.pid:
        saved = ask(now, "state")["saved_at"]
        news.append(
            "the embedded AWS did not stop properly last time: it was killed, or the machine restarted: "
            + (f"what was written after {saved} is lost" if saved else "everything in it is lost")
        )
    if before.port != now.port:
        news.append(f"port {before.port} is taken by another program: it is at {now.endpoint} now")
    return news


def _wait(done: Callable[[], bool], budget: float) -> bool:
    """Whether it was done within the budget (s)."""
    deadline = time.monotonic() + budget
    while not (finished := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return finished
