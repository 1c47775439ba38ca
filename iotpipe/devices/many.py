"""Work on many devices at once, until all are done or the command is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from iotpipe.devices.device_names import Device
from iotpipe.errors import CredentialsError, IotpipeError
from iotpipe.provision.graph import walk
from iotpipe.provision.run import Run

PARALLEL = 16
"""Devices at once: enough for AWS's rates at a tenth of a second per call."""

T = TypeVar("T")
Tell = Callable[[int, int], None]
"""Told how many devices are finished, and how many there are."""


@dataclass
class Worked(Generic[T]):
    """What became of the devices: results and failures by device id, and those that were not begun."""

    done: dict[str, T] = field(default_factory=dict)
    failed: dict[str, IotpipeError] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    stopped: bool = False
    """Whether the user stopped it."""


def work(run: Run, devices: Sequence[Device], act: Callable[[Device], T], tell: Tell = lambda *_: None) -> Worked[T]:
    """Call `act` for each device. An IotpipeError fails only its device.

    Raises CredentialsError, with which every other device would fail as well.
    """
    by_id = {each.device_id: each for each in devices}
    worked: Worked[T] = Worked()
    finished = 0
    lock = threading.Lock()

    def visit(device_id: str) -> None:
        nonlocal finished
        try:
            result = act(by_id[device_id])
        finally:
            with lock:
                finished += 1
                tell(finished, len(by_id))
        with lock:
            worked.done[device_id] = result

    walked = walk({device_id: () for device_id in by_id}, visit, PARALLEL, run.stop.is_set)
    for error in walked.failed.values():
        if isinstance(error, CredentialsError):
            raise error
    worked.failed = {device_id: walked.failed[device_id] for device_id in by_id if device_id in walked.failed}
    worked.left = walked.skipped
    worked.stopped = run.stop.is_set()
    return worked
