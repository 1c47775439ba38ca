"""What was done to replace a device's certificate, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iotpipe.devices.rotation import Finished, Rotation


def rotated(done: Rotation) -> dict[str, Any]:
    """The device's certificates, for JSON."""
    return {
        "device_id": done.device.device_id,
        "thing": done.device.thing,
        "result": "rotated" if done.made else "waiting",
        "certificates": [each.certificate_id for each in done.certificates],
        "folder": str(done.folder) if done.folder else None,
        "deleted": [],
    }


def rotated_text(done: Rotation, environment: str) -> Iterator[str]:
    """What there is now, and what to do next."""
    name, folder = done.device.device_id, done.folder
    if done.made:
        yield f"{name} has a new certificate, in {folder}"
    elif folder:
        yield f"{name} has {len(done.certificates)} certificates already; the files of the newest are in {folder}"
    else:
        yield f"{name} has {len(done.certificates)} certificates already; the files of the newest are not here"
    if len(done.certificates) > 1:
        yield "The old one works as well. Install the new files on the device, then run"
        yield f"  iotpipe device rotate {name} --finish --env {environment}"


def finished(done: Finished) -> dict[str, Any]:
    """The certificate that the device keeps, for JSON."""
    return {
        "device_id": done.device.device_id,
        "thing": done.device.thing,
        "result": "finished",
        "certificates": [done.kept],
        "folder": None,
        "deleted": list(done.deleted),
    }


def finished_text(done: Finished) -> Iterator[str]:
    """What was deleted."""
    if done.deleted:
        yield f"{done.device.device_id} has one certificate, {done.kept[:12]}…; deleted: {len(done.deleted)}"
    else:
        yield f"{done.device.device_id} has one certificate, {done.kept[:12]}…; there was nothing to delete"
