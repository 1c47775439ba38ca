"""Give a device a certificate: enrolment, and the second certificate of a rotation.

The order makes a kill harmless at every point; the next command finds what is there and completes it:

1. The key is written. A key without a certificate beside it belongs to a command that was interrupted.
2. The thing gets a mark with the key's fingerprint (see mark). A command that was interrupted from here on left the
   mark, and the next one looks for a certificate of this key.
3. The certificate is issued and written. It cannot do anything yet.
4. The policy is attached, and then the thing.
5. The mark says which certificates the thing has. Nothing is left to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from iotpipe.devices import keys, mark, orphans
from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.folder import Folder
from iotpipe.devices.keys import Request
from iotpipe.devices.mark import Mark
from iotpipe.devices.registry import OWNER, Certificate, Registry, Thing
from iotpipe.errors import RefusedError, ResourceError, UsageError

ENROLLED, ALREADY = "enrolled", "already enrolled"
_ATTEMPTS, _BETWEEN_ATTEMPTS = 10, 0.5
"""How often the thing is read again after another command changed it, and the seconds between."""


@dataclass(frozen=True)
class Enrolled:
    """A device and the certificate whose files are in the folder. `result` is ENROLLED or ALREADY."""

    device: Device
    result: str
    certificate_id: str
    folder: Folder
    active: bool = True


def enrol(
    registry: Registry,
    folder: Folder,
    endpoint: Endpoint,
    *,
    listed: Thing | None = None,
    absent: bool = False,
    known: Callable[[], Collection[str]] = tuple,
) -> Enrolled:
    """Enrol the folder's device, or complete an enrolment that was interrupted. An enrolled device stays as it is.

    `listed` is the thing as an inventory has just shown it, `absent` that it showed none: a device that is enrolled,
    with its files here, then costs no call. `known` gives ids of certificates that belong to other devices.

    Raises RefusedError if the thing is somebody else's, or if the device is enrolled and its files are elsewhere;
    UsageError if the folder cannot be used; ResourceError.
    """
    device = folder.device
    with folder.locked():
        issuing = Issuing(registry, folder, endpoint, known)
        if listed and (found := _complete(folder, mark.read(listed).certificates)):
            return Enrolled(device, ALREADY, found[1], found[0])
        for attempt in range(_ATTEMPTS):
            thing = None if absent and not attempt else registry.thing(device)
            if thing and (already := _already(registry, folder, endpoint, thing)):
                return already
            if certificate := issuing.issue(thing):
                return Enrolled(device, ENROLLED, certificate.certificate_id, folder)
            registry.run.pause(_BETWEEN_ATTEMPTS)
    raise taken(registry, device)


def _complete(folder: Folder, certificates: Collection[str]) -> tuple[Folder, str] | None:
    """The folder with one of these certificates and its key, which may be that of a rotation, and the certificate's id.

    The folder of a rotation has no key if the device made it itself.
    """
    for each in (folder, *folder.rotations()):
        here = each.certificate()
        on_device = each is not folder and not each.key_file.exists()
        if here and here.certificate_id in certificates and (on_device or here.key == each.key()):
            return each, here.certificate_id
    return None


def in_use(registry: Registry, folder: Folder) -> Folder:
    """The folder with a certificate that the device's thing has; the given one if none is here.

    During a rotation it is that of the old certificate: what is published with the new one shows that the device has
    switched. Raises UsageError and ResourceError.
    """
    found = _complete(folder, registry.attached(folder.device))
    return found[0] if found else folder


def _already(registry: Registry, folder: Folder, endpoint: Endpoint, thing: Thing) -> Enrolled | None:
    """The enrolled device; None if it has no certificate, or if its enrolment is not complete."""
    device, found = folder.device, mark.read(thing)
    check_owner(registry, device, thing)
    key = folder.key()
    if found.pending and key == found.key:
        return None
    attached = registry.attached(device)
    if complete := _complete(folder, attached):
        here, certificate_id = complete
        known = registry.certificate(certificate_id, device.address)
        return Enrolled(device, ALREADY, certificate_id, here, known is not None and known.active)
    for certificate in filter(None, (registry.certificate(each, device.address) for each in attached)):
        if key_of(certificate) == key:
            folder.write(registry.names, endpoint, certificate.pem)
            return Enrolled(device, ALREADY, certificate.certificate_id, folder, certificate.active)
    if attached:
        raise RefusedError(
            f"{device.device_id} is enrolled, and {folder.path} does not hold the files of its certificate",
            f"Use the files where it was enrolled. If they are lost, "
            f"`iotpipe device rotate {device.device_id} --env {registry.run.environment}` makes a new certificate",
        )
    return None


def key_of(certificate: Certificate) -> str:
    """The fingerprint of the certificate's public key."""
    return keys.read_certificate(certificate.pem).key


def check_owner(registry: Registry, device: Device, thing: Thing) -> None:
    """Raise RefusedError if the thing does not belong to this environment."""
    if thing.attributes.get(OWNER) != registry.names.suffix:
        raise RefusedError(
            f"there is a thing {thing.name} that iotpipe did not make for this environment",
            f"It belongs to somebody else if it has no attribute {OWNER}={registry.names.suffix}: "
            "give the device another id, or the environment another suffix",
        )


class Lost(Exception):
    """Another command has taken over the device, or removed it."""


class Issuing:
    """Issues one certificate for the key in the folder, and attaches it to the device's thing."""

    def __init__(
        self,
        registry: Registry,
        folder: Folder,
        endpoint: Endpoint,
        known: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._device = folder.device
        self._endpoint = endpoint
        self._known = known
        self._repeated = False

    def issue(self, thing: Thing | None) -> Certificate | None:
        """Issue and attach the certificate; None if another command changed the thing: it has to be read again.

        Raises RefusedError if another command is at it, UsageError, and ResourceError.
        """
        before = mark.read(thing) if thing else Mark()
        request = self._folder.request()
        resumed = before.pending and request is not None and request.key == before.key
        if not resumed:
            self._check_free(before)
        made = request is None
        request = request or self._folder.make_key()
        claimed = thing if resumed else self._claim(thing, before.claimed(request.key, self._registry.run.clock.now()))
        if claimed is None:
            if made:
                self._folder.discard(with_key=True)
            return None
        try:
            return self._issued(request, claimed, search=before.pending)
        except Lost:
            self._folder.discard(with_key=made)
            raise taken(self._registry, self._device) from None

    def _check_free(self, before: Mark) -> None:
        """Raise an error if the folder holds other files, or if another command may be issuing a certificate."""
        self._folder.refuse_other_files(f"a key is not used again for {self._device.device_id}")
        now = self._registry.run.clock.now()
        if before.is_recent(now):
            raise RefusedError(
                f"another command began to enrol {self._device.device_id} {max(now - before.since, 0):.0f} s ago",
                f"If it was interrupted, run it again where it ran, or here in {mark.OTHERS_TURN} s",
            )

    def _claim(self, thing: Thing | None, claim: Mark) -> Thing | None:
        """Put the mark on the thing; None if another command was faster."""
        after = mark.attributes(self._registry.names.suffix, claim, thing.attributes if thing else None)
        if thing is None:
            done = self._registry.create_thing(self._device, after)
        else:
            done = self._registry.update_thing(self._device, thing, after)
        return Thing(self._device.thing, after, 1 + (thing.version if thing else 0)) if done else None

    def _issued(self, request: Request, claimed: Thing, search: bool) -> Certificate:
        since = mark.read(claimed).since
        certificate = self._own(request, since) if search else None
        if certificate is None:
            certificate = self._registry.create_certificate(
                self._device, request.pem, lambda: self._after_lost_answer(request, since)
            )
        self._folder.write(self._registry.names, self._endpoint, certificate.pem)
        try:
            self._attach(certificate)
            if self._repeated:
                # AWS may have listed the certificate of the lost answer late: then there are two.
                self._own(request, since)
            self._seal(claimed, certificate)
        except Lost:
            self._undo(certificate)
            raise
        return certificate

    def _own(self, request: Request, since: int) -> Certificate | None:
        here = self._folder.certificate()
        known = set(self._known()) - ({here.certificate_id} if here else set())
        return orphans.own(self._registry, self._device, request.key, since, known)

    def _after_lost_answer(self, request: Request, since: int) -> Certificate | None:
        self._repeated = True
        return self._own(request, since)

    def _attach(self, certificate: Certificate) -> None:
        """Attach policy and thing. Raises Lost if the certificate or the thing is gone, and ResourceError."""
        try:
            self._registry.attach_policy(certificate.certificate_id, self._device.address)
        except ResourceError as error:
            if error.code != "ResourceNotFoundException":
                raise
            if self._registry.certificate(certificate.certificate_id, self._device.address) is None:
                raise Lost from None
            raise no_policy(self._registry) from None
        if not self._registry.attach(self._device, certificate.certificate_id):
            raise Lost

    def _seal(self, claimed: Thing, certificate: Certificate) -> None:
        """Replace the claim by the certificates that the thing has now. Raises Lost if it has another claim."""
        key, thing = mark.read(claimed).key, claimed
        for _ in range(_ATTEMPTS):
            found = mark.read(thing)
            if certificate.certificate_id in found.certificates and not found.pending:
                return
            if found.key != key:
                raise Lost
            done = found.with_certificate(certificate.certificate_id)
            after = mark.attributes(self._registry.names.suffix, done, thing.attributes)
            if self._registry.update_thing(self._device, thing, after):
                return
            thing = self._registry.thing(self._device) or Thing(claimed.name, {}, 0)
        raise Lost

    def _undo(self, certificate: Certificate) -> None:
        self._registry.deactivate(certificate.certificate_id, self._device.address)
        self._registry.detach(self._device, certificate.certificate_id)
        orphans.delete(self._registry, self._device, certificate.certificate_id)


def taken(registry: Registry, device: Device) -> RefusedError:
    """The error if another command works on the same device."""
    return RefusedError(
        f"another command has changed {device.device_id} meanwhile: nothing is left of this one",
        f"`iotpipe device show {device.device_id} --env {registry.run.environment}` shows what it is now",
    )


def no_policy(registry: Registry) -> UsageError:
    """The error if the environment has no policy for its devices."""
    name = registry.run.environment
    return UsageError(
        f"{name} has no policy for devices: {registry.names.device_policy}",
        f"Set `devices.enabled: true` in its configuration and run `iotpipe up --env {name}`",
    )
