"""Revoke the certificates of a device, and remove it.

The mark of the thing keeps the ids of its certificates until the thing is deleted, so that a command that was
interrupted between detaching and deleting a certificate leaves one that the next command finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iotpipe.devices import mark, orphans
from iotpipe.devices.device_names import Device
from iotpipe.devices.enrolment import check_owner, taken
from iotpipe.devices.registry import Registry, Thing
from iotpipe.errors import UsageError


@dataclass(frozen=True)
class Revoked:
    """A device whose certificates are not active any more; `certificates` are those that were until now."""

    device: Device
    certificates: tuple[str, ...]


@dataclass(frozen=True)
class Removed:
    """A device that is gone; `existed` is False if there was none."""

    device: Device
    existed: bool


def revoke(registry: Registry, device: Device) -> Revoked:
    """Deactivate every certificate of the device and end its connection.

    Raises UsageError if the device is not enrolled, RefusedError and ResourceError.
    """
    thing = enrolled_thing(registry, device)
    certificates = [registry.certificate(each, device.address) for each in _certificates(registry, device, thing)]
    active = tuple(each.certificate_id for each in certificates if each and each.active)
    for certificate_id in active:
        registry.deactivate(certificate_id, device.address)
    # In this order: a device that lost its connection comes back at once.
    registry.disconnect(device)
    return Revoked(device, active)


def remove(registry: Registry, device: Device, listed: Thing | None = None) -> Removed:
    """Delete the device's certificates and its thing, and end its connection. Raises RefusedError and ResourceError.

    `listed` is the thing as an inventory has just shown it.
    """
    thing = listed or registry.thing(device)
    if thing is None:
        return Removed(device, existed=False)
    check_owner(registry, device, thing)
    certificates = _certificates(registry, device, thing)
    delete_certificates(registry, device, thing, certificates)
    found = mark.read(thing)
    if found.pending:
        orphans.delete_all(registry, device, found.key, found.since, ())
    registry.delete_thing(device)
    return Removed(device, existed=True)


def enrolled_thing(registry: Registry, device: Device) -> Thing:
    """The device's thing. Raises UsageError if it has none, and RefusedError if it is somebody else's."""
    thing = registry.thing(device)
    if thing is None:
        hint = f"`iotpipe device add {device.device_id} --env {registry.run.environment}` enrols it"
        raise UsageError(f"{device.device_id} is not enrolled", hint)
    check_owner(registry, device, thing)
    return thing


def _certificates(registry: Registry, device: Device, thing: Thing) -> list[str]:
    """The certificates that are attached to the thing, and those that its mark still knows."""
    return list(dict.fromkeys((*registry.attached(device), *mark.read(thing).certificates)))


def delete_certificates(registry: Registry, device: Device, thing: Thing, certificates: Sequence[str]) -> None:
    """Delete certificates of the thing, and end its connection. One that other things use as well is only detached."""
    if not set(certificates) <= set(mark.read(thing).certificates):
        _note(registry, device, thing, certificates)
    users = {each: registry.things_of(each, device.address) for each in certificates}
    own = [each for each in certificates if set(users[each]) <= {device.thing}]
    for certificate_id in own:
        registry.deactivate(certificate_id, device.address)
    registry.disconnect(device)
    for certificate_id in certificates:
        if device.thing in users[certificate_id]:
            registry.detach(device, certificate_id)
    for certificate_id in own:
        registry.detach_policy(certificate_id, device.address)
        registry.delete_certificate(certificate_id, device.address)


def _note(registry: Registry, device: Device, thing: Thing, certificates: Sequence[str]) -> None:
    """Add certificates that somebody else attached to the thing's mark. Raises RefusedError if the thing changes."""
    found = mark.read(thing)
    every = tuple(dict.fromkeys((*found.certificates, *certificates)))
    after = mark.attributes(registry.names.suffix, replace(found, certificates=every), thing.attributes)
    if not registry.update_thing(device, thing, after):
        raise taken(registry, device)
