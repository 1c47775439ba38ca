"""Replace the certificate of a device: first a second one, then, when the device uses it, away with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iotpipe.devices import mark, orphans
from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.enrolment import Issuing, taken
from iotpipe.devices.folder import Folder
from iotpipe.devices.keys import Request
from iotpipe.devices.registry import Certificate, Registry, Thing
from iotpipe.devices.removal import delete_certificates, enrolled_thing
from iotpipe.errors import RefusedError


@dataclass(frozen=True)
class Rotation:
    """The certificates of a device from the oldest to the newest, and where the files of the newest are.

    `made` says whether the newest was issued by this command. `folder` is None if its files are not known here.
    """

    device: Device
    certificates: tuple[Certificate, ...]
    made: bool
    folder: Path | None


@dataclass(frozen=True)
class Finished:
    """The certificate that a device keeps, and those that were deleted."""

    device: Device
    kept: str
    deleted: tuple[str, ...]


def rotate(registry: Registry, device: Device, parent: Path, endpoint: Endpoint, given: Request | None) -> Rotation:
    """Give the device a second certificate, in a folder of its own in `parent`, the device's folder.

    A device that has two already gets no third, unless the newest was revoked. `given` is the request that the device
    made; None if the key is made here. Raises UsageError if the device is not enrolled, RefusedError and ResourceError.
    """
    for _ in range(2):
        thing = enrolled_thing(registry, device)
        folder = Folder(_folder_for(parent, device, thing, given), device, given)
        present = _certificates(registry, device)
        if len(present) > 1 and present[-1].active and not _unfinished(folder, thing):
            _settle(registry, device, thing, present)
            return Rotation(device, present, made=False, folder=_folder_of(parent, device, present[-1]))
        with folder.locked():
            if Issuing(registry, folder, endpoint).issue(thing):
                return Rotation(device, _certificates(registry, device), made=True, folder=folder.path)
    raise taken(registry, device)


def finish(registry: Registry, device: Device, used: Callable[[Certificate], bool]) -> Finished:
    """Delete every certificate of the device but the newest.

    `used` says whether the device has connected with it. Raises RefusedError if it has not, UsageError if the device
    is not enrolled, and ResourceError.
    """
    thing = enrolled_thing(registry, device)
    present, found = _certificates(registry, device), mark.read(thing)
    if found.pending:
        hint = f"`iotpipe device rotate {device.device_id} --env {registry.run.environment}` completes it"
        raise RefusedError(f"a certificate of {device.device_id} is being made, or that was interrupted", hint)
    if not present:
        hint = f"`iotpipe device rotate {device.device_id} --env {registry.run.environment}` makes one"
        raise RefusedError(f"{device.device_id} has no certificate", hint)
    kept = present[-1]
    if not kept.active:
        hint = f"`iotpipe device rotate {device.device_id} --env {registry.run.environment}` makes another one"
        raise RefusedError(f"the newest certificate of {device.device_id} is revoked", hint)
    others = [each.certificate_id for each in present[:-1]]
    # A command that was interrupted may have detached one without deleting it.
    others += [each for each in found.certificates if each not in (*others, kept.certificate_id)]
    if any(each.active for each in present[:-1]) and not used(kept):
        raise RefusedError(
            f"{device.device_id} has not sent anything with its new certificate {kept.certificate_id[:12]} yet",
            "Install the new files on the device first. --force deletes the old certificate all the same",
        )
    if others:
        delete_certificates(registry, device, thing, others)
    _note(registry, device, kept)
    return Finished(device, kept.certificate_id, tuple(others))


def _settle(registry: Registry, device: Device, thing: Thing, present: Sequence[Certificate]) -> None:
    """Complete the mark of a rotation that was interrupted elsewhere after it had attached its certificate."""
    found = mark.read(thing)
    if found.pending and not found.is_recent(registry.run.clock.now()):
        orphans.delete_all(registry, device, found.key, found.since, [each.certificate_id for each in present])
        done = mark.Mark(tuple(each.certificate_id for each in present))
        registry.update_thing(device, thing, mark.attributes(registry.names.suffix, done, thing.attributes))


def _note(registry: Registry, device: Device, kept: Certificate) -> None:
    """Have the mark of the thing name this certificate alone."""
    thing, only = enrolled_thing(registry, device), mark.Mark((kept.certificate_id,))
    if mark.read(thing) != only:
        registry.update_thing(device, thing, mark.attributes(registry.names.suffix, only, thing.attributes))


def _certificates(registry: Registry, device: Device) -> tuple[Certificate, ...]:
    """The device's certificates, the oldest first."""
    found = (registry.certificate(each, device.address) for each in registry.attached(device))
    return tuple(sorted(filter(None, found), key=lambda each: (each.created, each.certificate_id)))


def _unfinished(folder: Folder, thing: Thing) -> bool:
    """Whether a rotation into this folder was interrupted."""
    found = mark.read(thing)
    return found.pending and folder.key() == found.key


def _folder_for(parent: Path, device: Device, thing: Thing, given: Request | None) -> Path:
    """The folder of an interrupted rotation, else the next one."""
    rotations = Folder(parent, device).rotations()
    if not rotations:
        return parent / "rotation-1"
    last = replace(rotations[0], given=given)
    if not last.certificate_file.exists() or _unfinished(last, thing):
        return last.path
    return parent / f"rotation-{int(last.path.name.rpartition('-')[2]) + 1}"


def _folder_of(parent: Path, device: Device, certificate: Certificate) -> Path | None:
    """The folder in which the certificate's files are."""
    for each in (Folder(parent, device), *Folder(parent, device).rotations()):
        if each.certificate_file.exists() and each.certificate_file.read_text(encoding="utf-8") == certificate.pem:
            return each.path
    return None
