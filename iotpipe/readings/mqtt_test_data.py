"""`send-test-data --via mqtt`: temporary devices publish, and what is refused of them is followed."""

from __future__ import annotations

import base64
import json
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from iotpipe.devices import device_names, many, removal
from iotpipe.devices.connection import Connection, Identity
from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.enrol_many import enrol_all
from iotpipe.devices.folder import Folder
from iotpipe.devices.many import Tell, Worked
from iotpipe.devices.registry import Registry
from iotpipe.devices.table import Row
from iotpipe.errors import Interrupted, IotpipeError
from iotpipe.provision.lock import locked
from iotpipe.provision.run import Run
from iotpipe.readings.bad_readings import Poison, Rejection
from iotpipe.readings.mqtt_send import Publisher
from iotpipe.readings.send_test_data import Load
from iotpipe.readings.verify import Findings
from iotpipe.times import timestamp

MOST_DEVICES = 300
"""Each has three open files. The MQTT client waits with select(), which knows none above _OPEN_FILES."""
_OPEN_FILES = 1024
_NOTICE_PATIENCE, _PAUSE = 10.0, 0.25
"""Seconds that the last notices may take after everything else has arrived, and between two looks."""

Progress = Callable[[str], AbstractContextManager[Tell]]


def of_test_devices(load: Load) -> Load:
    """The same readings, of devices that nobody else has."""

    def own(device_id: str) -> str:
        return f"test-{device_id}"

    def rejection(bad: Rejection) -> Rejection:
        renamed = bad.body.replace(json.dumps(bad.device_id), json.dumps(own(bad.device_id)), 1)
        return replace(bad, device_id=own(bad.device_id), body=renamed)

    return replace(
        load,
        good=[replace(each, device_id=own(each.device_id)) for each in load.good],
        rejections=[rejection(each) for each in load.rejections],
    )


@contextmanager
def connections(
    registry: Registry,
    device_ids: Sequence[str],
    folder: Path,
    endpoint: Endpoint,
    progress: Progress,
    stoppable: Callable[[], AbstractContextManager[None]],
) -> Iterator[dict[str, Connection]]:
    """Connections of these devices, which are enrolled for the test and removed again.

    Their files are in `folder`: a test that was killed leaves them there, and the next one removes these devices first.
    `stoppable` is in force while devices are enrolled or removed: Ctrl-C then stops between two of them.

    Raises IotpipeError if not all of them can be enrolled, or removed, Interrupted after Ctrl-C, and LedgerLocked while
    another test runs.
    """
    run = registry.run
    devices = device_names.checked(registry.names, device_ids)

    def remove() -> None:
        # Those with a folder, which nobody but this command enrols.
        present = [path.name for path in sorted(folder.glob("*/"))]
        if not present:
            return
        with stoppable(), progress("removing test devices") as tell:
            enrolled = device_names.checked(registry.names, present)
            removed = many.work(run, enrolled, lambda each: removal.remove(registry, each), tell)
        for device_id in removed.done:
            shutil.rmtree(folder / device_id)
        _all(removed, "removed")
        shutil.rmtree(folder)

    def check_stop() -> None:
        # Once the last device is done, the work on the devices does not look for a Ctrl-C any more.
        if run.stop.is_set():
            raise Interrupted("stopped: no reading was sent", "Run the same command again")

    _allow_open_files()
    with locked(folder, "send-test-data --via mqtt", timestamp(run.clock.now())):
        remove()
        check_stop()
        try:
            with stoppable(), progress("enrolling test devices") as tell:
                rows = [Row(each, None) for each in devices]
                _all(enrol_all(registry, rows, folder, endpoint, tell), "enrolled")
            check_stop()
            yield {
                each.device_id: connection(each, Folder(folder / each.device_id, each), endpoint) for each in devices
            }
        finally:
            # After Ctrl-C too: the flag would keep the removal from beginning.
            run.stop.clear()
            remove()


def _allow_open_files() -> None:
    """Raise the limit of open files where it is lower; macOS begins with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connection(device: Device, folder: Folder, endpoint: Endpoint) -> Connection:
    """The connection of a device with the files in its folder; it is not open yet."""
    identity = Identity(device.thing, folder.certificate_file, folder.key_file)
    return Connection(endpoint.host, endpoint.port, endpoint.ca_file, identity)


def _all(worked: Worked[Any], what: str) -> None:
    """Raise the first error if not every device was done, and Interrupted after Ctrl-C."""
    for device_id, error in worked.failed.items():
        raise IotpipeError(f"the test device {device_id} cannot be {what}: {error.message}", error.hint)
    if worked.stopped:
        left = len(worked.left)
        raise Interrupted(f"stopped: {left} test devices were not {what}", "Run the same command again")


def dead_letters(rejections: Sequence[Rejection]) -> list[Poison]:
    """What has to be in the dead-letter queue of the bad readings: the message itself, exactly once."""
    return [Poison(each.what, each.body) for each in rejections]


def as_published(bodies: Mapping[str, str]) -> dict[str, str]:
    """The dead letters by message id; of what ingestion refused, the payload that a device had published."""
    return {name: payload if (payload := _payload(body)) is not None else body for name, body in bodies.items()}


def _payload(body: str) -> str | None:
    try:
        return base64.b64decode(json.loads(body)["payload"], validate=True).decode()
    except (ValueError, TypeError, KeyError):
        return None


def follow_refusals(publisher: Publisher, rejections: Sequence[Rejection], run: Run, findings: Findings) -> None:
    """Add to the findings each device that was not told what was refused of it.

    Ingestion tells a device once per batch: of several bad messages that came together it hears of one.
    """
    expected: dict[str, set[tuple[str, str]]] = {}
    for each in rejections:
        expected.setdefault(each.device_id, set()).add((each.field, each.code))
    deadline = run.clock.now() + _NOTICE_PATIENCE
    while True:
        publisher.hear()
        untold = {
            device_id: problems
            for device_id, problems in expected.items()
            if not problems & {found for notice in publisher.notices[device_id] for found in _problems(notice)}
        }
        if not untold or run.clock.now() >= deadline:
            break
        run.pause(_PAUSE)
    findings.told = len(expected) - len(untold)
    for device_id, problems in untold.items():
        what = ", ".join(f"{field} {code}" for field, code in sorted(problems))
        findings.astray.append(f"{device_id} was not told over MQTT what was refused: {what}")


def _problems(notice: bytes) -> list[tuple[str, str]]:
    try:
        problems = json.loads(notice)["problems"]
        return [(str(each["field"]), str(each["code"])) for each in problems]
    except (ValueError, TypeError, KeyError):
        return []
