"""Print the progress of work on many devices on stderr, and what was enrolled as text or JSON."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.enrolment import ALREADY, ENROLLED, Enrolled
from iotpipe.devices.many import Tell, Worked
from iotpipe.devices.removal import Removed
from iotpipe.errors import IotpipeError
from iotpipe.render import console
from iotpipe.render.terminals import terminal

_MOST_LISTED = 20


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show a bar with rate and remaining time on a terminal; elsewhere print a line per tenth."""
    if not terminal(sys.stderr):
        yield _Tenths(what).tell
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console.stderr().rich, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Rate(ProgressColumn):
    """How many devices are finished per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class _Tenths:
    def __init__(self, what: str) -> None:
        self.what = what
        self.told = 0
        self.began = time.monotonic()
        self.lock = threading.Lock()

    def tell(self, done: int, total: int) -> None:
        tenth = done * 10 // total
        with self.lock:
            if tenth > self.told:
                self.told = tenth
                rate = done / max(time.monotonic() - self.began, 0.001)
                left = f", {(total - done) / rate:.0f} s left" if done < total else ""
                console.stderr().line(f"{self.what}: {done} of {total} ({rate:.1f}/s{left})")


def enrolled(name: str, endpoint: Endpoint, worked: Worked[Enrolled]) -> dict[str, Any]:
    """What was enrolled, for JSON."""
    return {
        "environment": name,
        "endpoint": {"host": endpoint.host, "port": endpoint.port},
        "devices": [
            {
                "device_id": each.device.device_id,
                "thing": each.device.thing,
                "result": each.result,
                "certificate": each.certificate_id,
                "active": each.active,
                "folder": str(each.folder.path),
            }
            for each in worked.done.values()
        ],
        "failed": failed(worked.failed),
        "left": list(worked.left),
    }


def failed(errors: Mapping[str, IotpipeError]) -> list[dict[str, str]]:
    """The devices that failed, for JSON."""
    return [{"device_id": each, "error": error.message, "hint": error.hint} for each, error in errors.items()]


def show_enrolled(name: str, endpoint: Endpoint, worked: Worked[Enrolled]) -> None:
    """Print what was enrolled: of one device everything that is needed to publish, of many their number."""
    if len(worked.done) == 1 and not worked.failed and not worked.left:
        _show_one(next(iter(worked.done.values())), endpoint)
        return
    out, counts = console.stdout(), Counter(each.result for each in worked.done.values())
    for result in (ENROLLED, ALREADY):
        if counts[result]:
            out.line(f"{name}: {counts[result]} devices {result}")
    if worked.done:
        folders = next(iter(worked.done.values())).folder.path.parent
        out.line(f"each has a folder in {folders}; they connect to {endpoint.host}, port {endpoint.port}")
    show_failed(worked)


def _show_one(one: Enrolled, endpoint: Endpoint) -> None:
    out, folder = console.stdout(), one.folder.path
    out.line((one.device.device_id, "bold"), f" is {one.result}, as thing and MQTT client id {one.device.thing}")
    if not one.active:
        out.line(
            ("  its certificate is not active: it cannot connect. ", "red"),
            f"`iotpipe device rotate {one.device.device_id}` makes a new one",
        )
    out.line(f"  {folder} holds its certificate, the CA and examples")
    if one.folder.given:
        out.line("  the examples expect the device's key beside them, as private.key")
    out.line(f"  {endpoint.host}, port {endpoint.port}, MQTT 5 with QoS 1. Publish a reading:")
    out.line(f"    sh {folder / 'publish-mosquitto.sh'}")
    out.line(f"    python {folder / 'publish_paho.py'}")
    out.line(f"    python {folder / 'publish_awsiot.py'}")


def removed(name: str, worked: Worked[Removed], absent: Sequence[str]) -> dict[str, Any]:
    """What was removed, for JSON. `absent` are devices that were not enrolled."""
    return {
        "environment": name,
        "removed": list(worked.done),
        "absent": list(absent),
        "failed": failed(worked.failed),
        "left": list(worked.left),
    }


def show_removed(name: str, worked: Worked[Removed], absent: Sequence[str]) -> None:
    """Print what was removed."""
    out = console.stdout()
    if len(worked.done) == 1:
        out.line(f"{next(iter(worked.done))} is removed from {name}")
    elif worked.done or not absent:
        out.line(f"{name}: {len(worked.done)} devices removed")
    for device_id in absent:
        out.line(f"{device_id} is not enrolled in {name}")
    show_failed(worked)


def show_failed(worked: Worked[Any]) -> None:
    """Print the first failures on stderr, and the number of the others."""
    out = console.stderr()
    for device_id, error in list(worked.failed.items())[:_MOST_LISTED]:
        out.line((f"  {device_id}: ", "red"), f"{error}")
    if (more := len(worked.failed) - _MOST_LISTED) > 0:
        out.line(f"  and {more} more; --json lists all")
