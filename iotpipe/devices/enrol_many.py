"""Enrol any number of devices, a folder for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from iotpipe.devices import enrolment, inventory, keys, many
from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.enrolment import Enrolled
from iotpipe.devices.folder import CERTIFICATE, Folder
from iotpipe.devices.many import Tell, Worked
from iotpipe.devices.registry import Registry
from iotpipe.devices.table import Row
from iotpipe.files import write_atomically

_WORTH_AN_INVENTORY = 25
"""From so many devices on, a list of all costs less than to ask for each."""


def enrol_all(
    registry: Registry, rows: Sequence[Row], out: Path, endpoint: Endpoint, tell: Tell = lambda *_: None
) -> Worked[Enrolled]:
    """Enrol the devices, each in the folder of its id in `out`. Repeated, it continues with those that are left.

    Raises CredentialsError, and ResourceError if the devices cannot be listed.
    """
    _make(out)
    requests = {row.device.device_id: row.request for row in rows}
    counted = len(rows) >= _WORTH_AN_INVENTORY
    listed = inventory.things(registry) if counted else {}

    @cache
    def known() -> frozenset[str]:
        return _certificates_in(out)

    def enrol(device: Device) -> Enrolled:
        folder = Folder(out / device.device_id, device, requests[device.device_id])
        thing = listed.get(device.device_id)
        return enrolment.enrol(registry, folder, endpoint, listed=thing, absent=counted and thing is None, known=known)

    return many.work(registry.run, [row.device for row in rows], enrol, tell)


def _make(out: Path) -> None:
    """Create the folder of the devices' folders, and keep the private keys in it out of Git."""
    if not out.exists():
        out.mkdir(mode=0o700, parents=True)
        write_atomically(out / ".gitignore", b"*\n")


def _certificates_in(out: Path) -> frozenset[str]:
    """The ids of the certificates in the devices' folders."""
    found = set()
    for path in out.glob(f"*/{CERTIFICATE}"):
        try:
            found.add(keys.read_certificate(path.read_bytes()).certificate_id)
        except ValueError:
            continue
    return frozenset(found)
