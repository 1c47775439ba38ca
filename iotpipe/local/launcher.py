"""Starts, stops and resets the embedded AWS, and reports its status."""

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
from iotpipe.local.engine_directory import ACCOUNT, EngineDirectory, Record
from iotpipe.local.guard import ADMIN, SECRET
from iotpipe.provision import ledger
from iotpipe.provision.lock import locked
from iotpipe.provision.teardown import is_deleted
from iotpipe.times import timestamp

_START_TIMEOUT = 60
_STOP_TIMEOUT = 30
"""Seconds to wait for an engine to start or to end."""


def start(directory: EngineDirectory, report: Callable[[str], None] = lambda text: None) -> Record:
    """Start the engine if it is not running, and return its record; reports what the user should know about it.

    Raises UsageError if ministack is not installed, LedgerError if the engine's directory cannot be used, and
    IotpipeError with the engine's last log line if it cannot start.
    """
    _require_ministack()
    directory.create()
    with directory.launching():
        if record := directory.running():
            return record
        _wait(lambda: not directory.alive(), _STOP_TIMEOUT)
        if before := directory.record():
            # Otherwise the record of a killed engine would count as the new engine's as soon as it holds the lock.
            directory.write(replace(before, ready=False))
        owned_files.clear_temporary(directory.path)
        directory.create()
        record = _wait_until_ready(directory, _spawn(directory))
    for text in (f"started, at {record.endpoint}", *_news(before, record)):
        report(text)
    return record


def stop(directory: EngineDirectory) -> Record | None:
    """Save everything and stop the engine; None if it is not running.

    Raises IotpipeError if it cannot save, and then keeps it running; LedgerError if iotpipe did not create the
    directory.
    """
    owned_files.check(directory.path)
    if not directory.path.exists():
        return None
    with directory.launching():
        record = directory.running()
        if record is None:
            return None
        state = request(record, "save")
        if state["trouble"]:
            raise IotpipeError(
                f"the embedded AWS keeps running: what was written since {state['saved_at'] or 'its start'} "
                f"cannot be saved: {state['trouble']}",
                f"Free disk space under {directory.data} and stop it again, or delete it with `iotpipe local reset`",
            )
        _end(directory, record)
        return record


def reset(directory: EngineDirectory) -> list[str]:
    """Stop the engine if it is running, and delete its data.

    Returns the names of the files in its directory that iotpipe did not create; they are kept. Raises LedgerError if
    iotpipe did not create the directory.
    """
    owned_files.check(directory.path)
    if not directory.path.exists():
        return []
    with directory.launching():
        # An engine that is starting or stopping has no process id in its record.
        _wait(lambda: directory.running() is not None or not directory.alive(), _START_TIMEOUT)
        if directory.alive() and (record := directory.record()) and record.pid:
            _end(directory, record)
        return owned_files.clear(directory.path)


def delete_state_files(state_dir: Path) -> None:
    """Delete the state files of the environments in the embedded AWS. Raises LedgerLocked."""
    for name in _local_environments(state_dir):
        path = ledger.path_of(state_dir, name)
        with locked(path, "local reset", timestamp(time.time())):
            path.unlink(missing_ok=True)


def in_use(state_dir: Path) -> list[str]:
    """Return the environments that are up in the embedded AWS: those with resources that `down` would delete."""
    environments = _local_environments(state_dir).items()
    return [
        name
        for name, contents in environments
        if any(is_deleted(row, delete_data=False) for row in contents.rows.values())
    ]


def _local_environments(state_dir: Path) -> dict[str, ledger.Contents]:
    """Return the readable state files of environments in the embedded AWS, by environment."""
    environments = {}
    for name in ledger.with_state(state_dir):
        with suppress(LedgerError):
            contents = ledger.read(ledger.path_of(state_dir, name))
            if contents and contents.account == ACCOUNT:
                environments[name] = contents
    return environments


def status(directory: EngineDirectory) -> dict[str, Any]:
    """Return whether the engine is running, its addresses, process id, start time, data size and trouble.

    Raises LedgerError if iotpipe did not create the directory.
    """
    owned_files.check(directory.path)
    record = directory.running()
    size = _size(directory.data)
    if record is None:
        return {"running": False, "data_bytes": size}
    state = request(record, "state")
    process = {
        "running": True,
        "endpoint": record.endpoint,
        "mqtt": record.mqtt,
        "pid": record.pid,
        "since": record.since,
    }
    return process | {"saved_at": state["saved_at"], "trouble": state["trouble"], "data_bytes": size}


def _size(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # SQLite may delete its journal at any time
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def request(record: Record, command: str) -> dict[str, Any]:
    """Send `save` or `state` to the engine and return its state. Raises IotpipeError if it does not respond."""
    connection = http.client.HTTPConnection("127.0.0.1", record.port, timeout=30)
    try:
        connection.request("POST", f"{ADMIN}{command}", headers={SECRET: record.secret})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    except (OSError, ValueError, http.client.HTTPException) as error:
        hint = f"See its log, or end it with `kill {record.pid}`"
        raise IotpipeError(f"the embedded AWS is running but does not respond: {error!r}", hint) from error
    finally:
        connection.close()


def _require_ministack() -> None:
    if not install_hint.installed():
        raise UsageError("the embedded AWS is not installed", install_hint.remedy())


def _spawn(directory: EngineDirectory) -> subprocess.Popen[bytes]:
    """Start an engine process that outlives this command and inherits no environment, terminal or open files."""
    if directory.log.exists():
        # Without unlink, rename does nothing if both names are hard links to one file.
        directory.log.with_suffix(".log.1").unlink(missing_ok=True)
        directory.log.rename(directory.log.with_suffix(".log.1"))
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment |= {"HOME": str(directory.temporary), "TMPDIR": str(directory.temporary)}
    with os.fdopen(os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "iotpipe.local.engine", str(directory.path)],
            env=environment,
            cwd=directory.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_ready(directory: EngineDirectory, process: subprocess.Popen[bytes]) -> Record:
    _wait(lambda: process.poll() is not None or directory.running() is not None, _START_TIMEOUT)
    record = directory.running()
    if record is None:
        process.kill()
        lines = directory.log.read_text(errors="replace").splitlines() or ["its log is empty"]
        message = f"the embedded AWS failed to start: {lines[-1].removeprefix('error: ')}"
        raise IotpipeError(message, f"See its log, {directory.log}")
    process.returncode = 0  # prevents Popen's warning about a process that is still running
    return record


def _end(directory: EngineDirectory, record: Record) -> None:
    """End the engine. Call it only while the engine holds its lock: the process id is certainly the engine's then."""
    os.kill(record.pid, signal.SIGTERM)
    if not _wait(lambda: not directory.alive(), _STOP_TIMEOUT):
        os.kill(record.pid, signal.SIGKILL)
        _wait(lambda: not directory.alive(), _STOP_TIMEOUT)
    owned_files.clear_temporary(directory.path)


def _news(before: Record | None, now: Record) -> list[str]:
    if before is None:
        return []
    news = []
    if before.pid:
        saved = request(now, "state")["saved_at"]
        news.append(
            "the embedded AWS did not stop properly last time: it was killed, or the machine restarted: "
            + (f"what was written after {saved} is lost" if saved else "everything in it is lost")
        )
    if before.port != now.port:
        news.append(f"port {before.port} is taken by another program: the embedded AWS is at {now.endpoint} now")
    if before.mqtt_port not in (0, now.mqtt_port):
        news.append(f"port {before.mqtt_port} is taken by another program: devices connect to {now.mqtt} now")
    return news


def _wait(done: Callable[[], bool], timeout: float) -> bool:
    """Poll until `done` or the timeout (s); returns whether it is done."""
    deadline = time.monotonic() + timeout
    while not (finished := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return finished
