"""The directory of the embedded AWS in the state directory: its files, its lock and the engine's record."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from iotpipe.errors import LedgerCorrupt, LedgerError, LedgerTooNew
from iotpipe.files import write_atomically
from iotpipe.local import owned_files
from iotpipe.provision import state_trust

FORMAT = 1
ACCOUNT = "000000000000"
"""The account of every embedded AWS. AWS never assigns it, so a state file with it belongs to an embedded AWS."""
REGION = "us-east-1"
"""The region of an embedded AWS if none is configured; the user's profile is ignored."""

_ALPHABET = string.ascii_uppercase + string.digits

# Checking whether an engine runs takes the engine's lock for some microseconds, or longer on a busy machine: retry.
_LOCK_ATTEMPTS, _LOCK_RETRY_DELAY = 200, 0.05


@dataclass(frozen=True)
class Record:
    """The engine's record, kept after it has stopped; `pid` is 0 if it was stopped properly."""

    port: int
    pid: int = 0
    instance: str = ""
    secret: str = ""
    since: str = ""
    ready: bool = False
    mqtt_port: int = 0
    """0 if no engine of this directory has served MQTT yet."""
    format: int = FORMAT

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mqtt(self) -> str:
        """Where devices connect by MQTT, a host for which the listener's certificate is valid; empty without a port."""
        return f"localhost:{self.mqtt_port}" if self.mqtt_port else ""


@dataclass(frozen=True)
class RootKey:
    """The credentials of the embedded account's root."""

    access_key: str
    secret_key: str


@dataclass(frozen=True)
class EngineDirectory:
    """The directory of one embedded AWS: `<state-dir>/local`."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / owned_files.DATA

    @property
    def database(self) -> Path:
        return self.data / owned_files.DATABASE

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def mqtt_ca(self) -> Path:
        """The certificate with which MQTT clients verify the listener.

        It is created with the first device certificate, or when a client first asks for the endpoint.
        """
        return self.path / owned_files.MQTT_CA

    @property
    def temporary(self) -> Path:
        return self.path / owned_files.TEMPORARY

    @property
    def _record(self) -> Path:
        return self.path / "engine.json"

    @property
    def _credentials(self) -> Path:
        return self.path / "credentials.json"

    def create(self) -> None:
        """Create the directory with access for its owner only, and restore this access if it was changed.

        Raises LedgerError if it cannot be written or iotpipe did not create it.
        """
        try:
            # Parents that mkdir creates get default permissions; an existing parent stays as it is.
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            owned_files.create(self.path)
        except OSError as error:
            hint = owned_files.ELSEWHERE
            raise LedgerError(f"cannot write {self.path}: {error}", hint) from error

    def record(self) -> Record | None:
        """Read the engine's record; None if there never was an engine.

        Raises LedgerError if another user could have written it, LedgerCorrupt and LedgerTooNew.
        """
        state_trust.check(self._record)
        try:
            data = json.loads(self._record.read_text(encoding="utf-8"))
            if data["format"] > FORMAT:
                message = f"{self._record} has format {data['format']}, this iotpipe reads up to {FORMAT}"
                raise LedgerTooNew(message, "Upgrade iotpipe; nothing was changed")
            return Record(**data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            hint = "Nothing was changed. `iotpipe local reset` starts over without the data"
            raise LedgerCorrupt(f"{self._record} was not written by iotpipe: {error!r}", hint) from error

    def write(self, record: Record) -> None:
        _write(self._record, json.dumps(asdict(record), indent=1) + "\n")

    def check_database(self) -> None:
        """Raise LedgerCorrupt if the database of a properly stopped engine is missing: a new one would be empty."""
        if not (self.database.exists() and self.database.stat().st_size):
            hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
            raise LedgerCorrupt(f"{self.database} is empty or missing", hint)

    def root_key(self) -> RootKey:
        """Return the root credentials; the first call creates them.

        Raises LedgerError if another user could have written them, and LedgerCorrupt.
        """
        state_trust.check(self._credentials)
        try:
            return RootKey(**json.loads(self._credentials.read_text(encoding="utf-8")))
        except FileNotFoundError:
            # Not a prefix of AWS, so that people and secret scanners do not mistake it for the key of a real account.
            name = "LOCAL" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
            key = RootKey(name, secrets.token_urlsafe(30))
            _write(self._credentials, json.dumps(asdict(key)) + "\n")
            return key
        except (OSError, ValueError, TypeError) as error:
            hint = "Remove it: iotpipe creates new ones"
            raise LedgerCorrupt(f"{self._credentials} holds no credentials: {error!r}", hint) from error

    def running(self) -> Record | None:
        """Return the record of the engine that is ready to answer requests, if there is one.

        The file lock decides, not the recorded process id, which may belong to another process by now.
        """
        return record if self.alive() and (record := self.record()) and record.ready else None

    def alive(self) -> bool:
        """Whether there is an engine process, including one that is starting or stopping."""
        return _is_locked(self.path / "engine.lock")

    def take_lock(self) -> int | None:
        """Take the lock of a running engine until the process ends. None if another process holds it."""
        descriptor = os.open(self.path / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_RETRY_DELAY)
            else:
                return descriptor
        os.close(descriptor)
        return None

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Wait for the lock of starting and stopping the engine, and hold it."""
        lock = self.path / owned_files.LAUNCH_LOCK
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def at(state_dir: Path) -> EngineDirectory:
    """Return the directory of the embedded AWS in a state directory."""
    return EngineDirectory(state_dir.absolute() / "local")


def _is_locked(path: Path) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise LedgerError(f"cannot write {path}: {error}", "Free some disk space or change its permissions") from error
