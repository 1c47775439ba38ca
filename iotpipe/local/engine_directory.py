"""Where the embedded AWS lives in the state directory: its files, its lock, and what is recorded of it."""

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
"""The account of every embedded AWS. AWS gives it to nobody, so a ledger that names it is a local one."""
REGION = "us-east-1"
"""The region of an embedded AWS where none is configured, whatever the user's profile says."""

_ALPHABET = string.ascii_uppercase + string.digits

# Who looks whether an engine runs takes the engine's lock himself, for a few microseconds; unless the machine lets
# him wait just then.
_LOOKS, _BETWEEN_LOOKS = 200, 0.05


@dataclass(frozen=True)
class Record:
    """What is known of the engine, also when it is not running: then `pid` is 0 if it ended in good order."""

    port: int
    pid: int = 0
    instance: str = ""
    secret: str = ""
    since: str = ""
    ready: bool = False
    format: int = FORMAT

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class RootKey:
    """The credentials of the embedded account's root."""

    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Place:
    """The directory of one embedded AWS: `<state-dir>/local`."""

    directory: Path

    @property
    def data(self) -> Path:
        return self.directory / owned_files.DATA

    @property
    def database(self) -> Path:
        return self.data / owned_files.DATABASE

    @property
    def log(self) -> Path:
        return self.directory / "engine.log"

    @property
    def temporary(self) -> Path:
        return self.directory / owned_files.TEMPORARY

    @property
    def _record(self) -> Path:
        return self.directory / "engine.json"

    @property
    def _credentials(self) -> Path:
        return self.directory / "credentials.json"

    def make(self) -> None:
        """Make the directory, readable for its owner alone, also where somebody opened it.

        Raises LedgerError where it cannot be written, or is not iotpipe's own.
        """
        try:
            # Parents that mkdir makes on the way are open to everybody. One that is there stays as it is.
            self.directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            owned_files.make(self.directory)
        except OSError as error:
            hint = "Choose another place with --state-dir or IOTPIPE_STATE_DIR"
            raise LedgerError(f"cannot write {self.directory}: {error}", hint) from error

    def record(self) -> Record | None:
        """What was recorded last; None where there never was an engine.

        Raises LedgerError where somebody else could have written it, LedgerCorrupt and LedgerTooNew.
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
        """Raise LedgerCorrupt where there is none, though an engine has ended in good order: a new one is empty."""
        if not (self.database.exists() and self.database.stat().st_size):
            hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
            raise LedgerCorrupt(f"{self.database} is empty or missing", hint)

    def root_key(self) -> RootKey:
        """The root credentials, made at the first call.

        Raises LedgerError where somebody else could have written them, and LedgerCorrupt.
        """
        state_trust.check(self._credentials)
        try:
            return RootKey(**json.loads(self._credentials.read_text(encoding="utf-8")))
        except FileNotFoundError:
            # None of AWS's own prefixes: nobody, and no scanner, is to take it for a key of a real account.
            name = "LOCAL" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
            key = RootKey(name, secrets.token_urlsafe(30))
            _write(self._credentials, json.dumps(asdict(key)) + "\n")
            return key
        except (OSError, ValueError, TypeError) as error:
            hint = "Remove it: iotpipe creates new ones"
            raise LedgerCorrupt(f"{self._credentials} holds no credentials: {error!r}", hint) from error

    def running(self) -> Record | None:
        """The engine that runs and answers requests, if there is one.

        The kernel says so, not the recorded process id, which may long be another process's.
        """
        return record if _held(self.directory / "engine.lock") and (record := self.record()) and record.ready else None

    def alive(self) -> bool:
        """Whether there is an engine process, be it one that is only coming up or going down."""
        return _held(self.directory / "engine.lock")

    def hold(self) -> int | None:
        """Take the lock that says an engine runs; it is held until the process ends. None if another one has it."""
        descriptor = os.open(self.directory / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        for _ in range(_LOOKS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_BETWEEN_LOOKS)
            else:
                return descriptor
        os.close(descriptor)
        return None

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Wait for, and be, the only command that starts or stops the engine."""
        lock = self.directory / owned_files.LAUNCH_LOCK
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def at(state_dir: Path) -> Place:
    """The place of the embedded AWS that belongs to a state directory."""
    return Place(state_dir.absolute() / "local")


def _held(path: Path) -> bool:
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
