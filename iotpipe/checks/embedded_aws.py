"""Check the embedded AWS: whether it is installed, runs or can start, and has disk space."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from iotpipe.checks.finding import Finding, ok, problem, warning
from iotpipe.errors import IotpipeError
from iotpipe.local import install_hint, launcher
from iotpipe.local.engine_directory import EngineDirectory, Record

CHECK, ROOM = "embedded AWS", "disk"
_MIN_FREE = 500 * 2**20
"""Bytes for the layer, the functions' unpacked code and some readings."""


def check(directory: EngineDirectory) -> list[Finding]:
    """Check the engine of this directory."""
    if not install_hint.installed():
        return [problem(CHECK, "it is not installed", install_hint.remedy())]
    try:
        return [*_engine(directory), _room(directory.path)]
    except IotpipeError as error:
        return [problem(CHECK, error.message, error.hint)]


def _engine(directory: EngineDirectory) -> Iterator[Finding]:
    state = launcher.status(directory)
    holds = f"it holds {state['data_bytes'] / 2**20:.1f} MB"
    if not state["running"]:
        yield ok(CHECK, f"not running; `up` starts it, and {holds}")
        record = directory.record()
        if record and _taken(record):
            text = f"its port {record.port} is taken by another program"
            yield warning(CHECK, text, "Nothing to do: it uses another port, and ApiEndpoint changes with it")
    elif state["trouble"]:
        yield problem(
            CHECK, f"it cannot save what it holds: {state['trouble']}", f"Free some disk space under {directory.data}"
        )
    else:
        yield ok(CHECK, f"runs at {state['endpoint']} since {state['since']}, process {state['pid']}; {holds}")


def _taken(record: Record) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", record.port))
        except OSError:
            return True
    return False


def _room(directory: Path) -> Finding:
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.1f} GB are free where it keeps its data ({directory})"
    if free >= _MIN_FREE:
        return ok(ROOM, text)
    return warning(ROOM, text, f"Free disk space: it needs {_MIN_FREE // 2**20} MB and cannot save without")
