"""Which devices are enrolled, in few calls, and everything about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from iotpipe.devices import device_names, keys, mark
from iotpipe.devices.device_names import Device
from iotpipe.devices.registry import Certificate, Registry, Thing
from iotpipe.devices.removal import enrolled_thing
from iotpipe.errors import ResourceError

ACTIVE, INACTIVE, NONE, UNFINISHED = "ACTIVE", "INACTIVE", "no certificate", "unfinished"
"""What a device has: a certificate with which it can connect, only others, none, or an enrolment or rotation that is
under way or was interrupted."""


@dataclass(frozen=True)
class Listed:
    """A device in the list. `created` is when its newest certificate was issued; None without one."""

    device: Device
    status: str
    certificates: int
    created: datetime | None


@dataclass(frozen=True)
class Connection:
    """Whether a device is connected; None if AWS does not tell, and then `why`.

    `since` is when it was connected or disconnected, in epoch milliseconds; None if AWS does not tell. `reason` is why
    it was disconnected.
    """

    connected: bool | None
    since: int | None = None
    reason: str = ""
    why: str = ""


@dataclass(frozen=True)
class Issued:
    """A certificate and when it expires."""

    certificate: Certificate
    expires: datetime


@dataclass(frozen=True)
class Details:
    """One device: its certificates, the newest first, and its connection."""

    device: Device
    unfinished: bool
    certificates: Sequence[Issued]
    connection: Connection


def things(registry: Registry) -> dict[str, Thing]:
    """The things of the environment's devices by device id, in the order of their names."""
    found: dict[str, Thing] = {}
    for page in registry.things():
        for thing in page:
            if device := device_names.device_of_thing(registry.names, thing.name):
                found[device.device_id] = thing
    return dict(sorted(found.items()))


def named(registry: Registry, devices: Sequence[Device], few: int = 25) -> dict[str, Thing]:
    """The things of those devices that have one: asked for one by one if there are few, else listed."""
    if len(devices) >= few:
        listed = things(registry)
        return {each.device_id: listed[each.device_id] for each in devices if each.device_id in listed}
    found = ((each.device_id, registry.thing(each)) for each in devices)
    return {device_id: thing for device_id, thing in found if thing}


def listing(registry: Registry) -> list[Listed]:
    """The devices with the status of their certificates. Raises ResourceError.

    AWS lists certificates without their things, so the mark of a thing says which are its own: 40 calls for 10,000
    devices, and one more for each thing without a mark.
    """
    listed = things(registry)
    if not listed:
        return []
    certificates = {each.certificate_id: each for page in registry.certificates() for each in page}
    return [_listed(registry, device_id, thing, certificates) for device_id, thing in listed.items()]


def _listed(registry: Registry, device_id: str, thing: Thing, every: dict[str, Certificate]) -> Listed:
    device, found = device_names.device(registry.names, device_id), mark.read(thing)
    known = found.certificates or (() if found.pending else registry.attached(device))
    own = [every[each] for each in known if each in every]
    if found.pending:
        status = UNFINISHED
    elif not own:
        status = NONE
    else:
        status = ACTIVE if any(each.active for each in own) else INACTIVE
    return Listed(device, status, len(own), max((each.created for each in own), default=None))


def details(registry: Registry, device: Device) -> Details:
    """Everything about one device. Raises UsageError if it is not enrolled, RefusedError and ResourceError."""
    thing = enrolled_thing(registry, device)
    found = [registry.certificate(each, device.address) for each in registry.attached(device)]
    issued = [Issued(each, keys.read_certificate(each.pem).expires) for each in found if each]
    issued.sort(key=lambda each: each.certificate.created, reverse=True)
    return Details(device, mark.read(thing).pending, issued, _connection(registry, device))


def _connection(registry: Registry, device: Device) -> Connection:
    try:
        found = registry.connection(device)
    except ResourceError as error:
        # Not every policy allows GetConnection, and not every emulator has it.
        return Connection(None, why=error.message)
    if found is None:
        return Connection(False)
    connected = bool(found.get("connected"))
    since = found.get("connectedSince" if connected else "disconnectedSince")
    return Connection(connected, since, str(found.get("disconnectReason") or ""))
