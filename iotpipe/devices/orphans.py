"""Certificates that were issued by a command that was interrupted before it attached them to the thing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from iotpipe.devices import keys
from iotpipe.devices.device_names import Device
from iotpipe.devices.registry import Certificate, Registry

_CLOCKS = 300
"""AWS IoT rejects requests of a clock that is more than 300 s off: the mark's time may differ from AWS's by so much."""


def own(registry: Registry, device: Device, key: str, since: int, known: Collection[str] = ()) -> Certificate | None:
    """The device's certificate of this key, attached or not; every other one that is attached to nothing is deleted.

    Looks at certificates that were issued after `since`, in epoch seconds, and leaves out those that are `known` to
    belong to other devices. Raises ResourceError.
    """
    found: Certificate | None = None
    for certificate_id in (attached := registry.attached(device)):
        certificate = registry.certificate(certificate_id, device.address)
        if certificate and keys.read_certificate(certificate.pem).key == key:
            found = found or certificate
    for certificate in list(_unattached(registry, device, key, since, {*attached, *known})):
        if found is None and keys.read_certificate(certificate.pem).key == key:
            found = certificate
        else:
            delete(registry, device, certificate.certificate_id)
    return found


def delete_all(registry: Registry, device: Device, key: str, since: int, attached: Collection[str]) -> None:
    """Delete the device's certificates that are attached to nothing."""
    for certificate in list(_unattached(registry, device, key, since, attached)):
        delete(registry, device, certificate.certificate_id)


def delete(registry: Registry, device: Device, certificate_id: str) -> None:
    """Delete a certificate that is attached to no thing."""
    registry.deactivate(certificate_id, device.address)
    registry.detach_policy(certificate_id, device.address)
    registry.delete_certificate(certificate_id, device.address)


def _unattached(
    registry: Registry, device: Device, key: str, since: int, known: Collection[str]
) -> Iterator[Certificate]:
    """The device's certificates, by key or by common name, that are attached to no thing."""
    for listed in _issued_after(registry, since - _CLOCKS):
        if listed.certificate_id in known:
            continue
        certificate = registry.certificate(listed.certificate_id, device.address)
        if certificate is None:
            continue
        issued = keys.read_certificate(certificate.pem)
        of_device = issued.key == key or issued.common_name == keys.common_name(device.thing)
        if of_device and not registry.things_of(certificate.certificate_id, device.address):
            yield certificate


def _issued_after(registry: Registry, since: int) -> Iterator[Certificate]:
    for page in registry.certificates():
        recent = [each for each in page if each.created.timestamp() >= since]
        yield from recent
        if not recent:
            return
