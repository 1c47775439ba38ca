"""A device's folder: its private key, its certificate, the CA and the examples.

Only this user can read what is written. A file appears under its name when it is complete.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from iotpipe.devices import examples, keys
from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.devices.keys import Issued, Request
from iotpipe.errors import UsageError
from iotpipe.files import write_atomically
from iotpipe.names import Names

T = TypeVar("T")
_ROTATION = re.compile(r"rotation-([1-9][0-9]{0,8})")
KEY, CERTIFICATE, CA = "private.key", "certificate.pem", "ca.pem"


@dataclass(frozen=True)
class Folder:
    """The folder of one device. `request` is the one that the device made; None if the key is made here."""

    path: Path
    device: Device
    given: Request | None = None

    @property
    def key_file(self) -> Path:
        return self.path / KEY

    @property
    def certificate_file(self) -> Path:
        return self.path / CERTIFICATE

    def rotations(self) -> list[Folder]:
        """The folders of the device's rotations, the latest first."""
        found = [(int(matched[1]), each) for each in self.path.glob("*") if (matched := _ROTATION.fullmatch(each.name))]
        return [Folder(each, self.device) for _, each in sorted(found, reverse=True)]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if it is missing, and keep other commands out of it. Raises UsageError.

        The kernel releases the lock of a process that was killed. A folder that was created and stayed empty is
        removed.
        """
        made = not self.path.exists()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"another command is writing {self.path}", "Wait until it has ended") from error
            yield
        finally:
            if made and not any(self.path.iterdir()):
                self.path.rmdir()
            os.close(descriptor)

    def key(self) -> str | None:
        """The fingerprint of the device's key; None if it has no key yet. Raises UsageError."""
        if self.given:
            return self.given.key
        return self._with_key(keys.fingerprint_of) if self.key_file.exists() else None

    def request(self) -> Request | None:
        """The device's request, or one with the key that is here; None if it has no key yet. Raises UsageError."""
        if self.given or not self.key_file.exists():
            return self.given
        return self._with_key(lambda key: keys.request_of(key, self.device.thing))

    def _with_key(self, act: Callable[[bytes], T]) -> T:
        try:
            return act(self.key_file.read_bytes())
        except ValueError as error:
            raise UsageError(f"{self.key_file} is no private key that can be used: {error}", _MOVE) from error

    def make_key(self) -> Request:
        """Make a private key here, and a request with it."""
        for leftover in self.path.glob(f".{KEY}.*"):
            # Of a command that was killed while it wrote a key, which nobody has used.
            leftover.unlink()
        key = keys.new_key()
        write_atomically(self.key_file, key)
        return keys.request_of(key, self.device.thing)

    def certificate(self) -> Issued | None:
        """The certificate that is here; None if none is. Raises UsageError."""
        if not self.certificate_file.exists():
            return None
        try:
            return keys.read_certificate(self.certificate_file.read_bytes())
        except ValueError as error:
            raise UsageError(f"{self.certificate_file} is no certificate: {error}", _MOVE) from error

    def refuse_other_files(self, why: str) -> None:
        """Raise UsageError if a certificate is here that is not the device's."""
        if found := self.certificate():
            raise UsageError(f"{self.path} holds the files of another enrolment, of {found.common_name}: {why}", _MOVE)

    def write(self, names: Names, endpoint: Endpoint, certificate: str) -> None:
        """Write the certificate, the CA and the examples where they are missing or differ."""
        self._put(CA, endpoint.ca_file.read_bytes())
        for name, text in examples.of(names, self.device, endpoint, key=KEY, certificate=CERTIFICATE, ca=CA).items():
            self._put(name, text.encode(), executable=name.endswith(".sh"))
        # Last: with it, the folder is complete.
        self._put(CERTIFICATE, certificate.encode())

    def _put(self, name: str, content: bytes, executable: bool = False) -> None:
        path = self.path / name
        if path.exists() and path.read_bytes() == content:
            return
        write_atomically(path, content)
        if executable:
            path.chmod(0o700)

    def discard(self, with_key: bool) -> None:
        """Delete what was written for a certificate that does not exist any more."""
        written = (CERTIFICATE, CA, *examples.FILES, *((KEY,) if with_key else ()))
        for name in written:
            (self.path / name).unlink(missing_ok=True)


_MOVE = "Move the folder away, or name another one with --out"
