"""The process of the embedded AWS: ministack behind a guard, with what it holds saved again and again.

    python -m iotpipe.local.engine DIRECTORY

is what the launcher starts, with a clean environment: what it finds there, the functions' workers find too.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from iotpipe.errors import IotpipeError, LedgerCorrupt
from iotpipe.local import alarms, metrics
from iotpipe.local.background import keep_watch
from iotpipe.local.engine_directory import ACCOUNT, REGION, Place, Record
from iotpipe.local.guard import Guard
from iotpipe.local.signatures import Signatures
from iotpipe.local.storage.store import References, Store
from iotpipe.local.time_to_live import keep_expiring
from iotpipe.times import timestamp

INTERVAL = 2.0
"""Seconds from one save to the next while something changes: what `kill -9` can lose, besides the time one takes."""


class Engine:
    """ministack, once it has been imported: everything that reaches into it is here and in `gaps`."""

    def __init__(self, place: Place, record: Record) -> None:
        from ministack import app
        from ministack.core import persistence

        from iotpipe.local import ministack_gaps

        self.place = place
        self.record = record
        self.root = place.root_key()
        self.trouble = ""
        self.saved_at = ""
        self._app = app
        self._persistence = persistence
        self._store = Store(place.database)
        self._changed = False
        self._writing = asyncio.Lock()
        self._unrestored: list[str] = []
        self._stop = asyncio.Event()
        self._gaps = ministack_gaps

    def restore(self) -> None:
        """Let ministack read what was saved when it starts. Raises LedgerCorrupt and LedgerTooNew."""
        from iotpipe.local.storage import items, logs, messages, sqs, states

        self._states = states.States(self._store, self._persistence, (items.Items, messages.Messages, logs.Streams))
        self._states.check()
        if self._store.saved_at:
            self.saved_at = timestamp(self._store.saved_at)
        for service in (items, sqs, logs):
            service.patch_ministack(self._store)
        self._app.PERSIST_STATE = True
        self._app.load_state = self._states.load
        self._gaps.close(self.root)
        metrics.publish()
        alarms.ring_as_on_aws(self.touched)
        self._unrestored = self._gaps.note_what_is_not_restored()

    def ready(self) -> None:
        """ministack has started: it need not write anything itself from now on."""
        self._app.PERSIST_STATE = False
        # What is loaded now stays until the end: to look through it for garbage again and again holds up requests.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        if self._unrestored:
            self.stop()
        else:
            self.place.write(replace(self.record, ready=True))

    def stop(self) -> None:
        self._stop.set()

    def touched(self) -> None:
        self._changed = True

    async def admin(self, method: str, path: str) -> Mapping[str, Any]:
        """What the launcher asks: `save` saves now; every answer says how the engine is doing."""
        if path == "save":
            await self.save()
        return {"instance": self.record.instance, "saved_at": self.saved_at, "trouble": self.trouble}

    async def save(self) -> bool:
        """Save what has changed; True if there was anything. A failure is kept as `trouble`."""
        async with self._writing:
            began = time.time()
            references = References(newest=self._store.begin_save())
            try:
                states = self._copied()
                changed = await asyncio.to_thread(self._write, states, references, began)
            # A full disk, or a state that ministack cannot write: what was saved before stays as it is. Whatever it
            # is, it must be said and tried again: nobody would hear that nothing is saved any more.
            except Exception as error:  # noqa: BLE001
                trouble = str(error) if isinstance(error, sqlite3.Error | OSError) else repr(error)
                if self.trouble != trouble:
                    _log(f"{timestamp(began)} cannot save: {error!r}")
                self.trouble = trouble
                return True
            self.trouble, self.saved_at = "", timestamp(began)
            return changed

    def _copied(self, tries: int = 20) -> dict[str, Any]:
        """Every service's state, copied on the loop, where no request runs meanwhile; but functions do in threads."""
        for remaining in reversed(range(tries)):
            try:
                states = {name: get() for name, get in self._app._build_persistence_save_dict().items()}
                return {name: state for name, state in states.items() if state is not None}
            except RuntimeError:  # a dictionary that changed its size while it was copied
                if not remaining:
                    raise
        raise AssertionError

    def _write(self, states: dict[str, Any], references: References, moment: float) -> bool:
        return self._store.save(self._states.encode(states, references), references, moment)

    async def keep(self) -> None:
        """Save every few seconds as long as something changes."""
        while True:
            await asyncio.sleep(INTERVAL)
            # Lambda's poller changes the store without any request, also long after the last one.
            if self._changed or self._store.has_changes:
                self._changed = False
                self._changed = await self.save() or self._changed

    async def serve(self, listening: socket.socket) -> None:
        """Serve until told to stop, then save. Raises LedgerCorrupt where ministack would begin without some data."""
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"fd://{listening.detach()}"]
        config.loglevel = "WARNING"
        config.graceful_timeout = 1
        guard = Guard(
            self._app.app,
            port=self.record.port,
            secret=self.record.secret,
            signatures=Signatures(self.root.access_key),
            ready=self.ready,
            touched=self.touched,
            admin=self.admin,
        )

        async def stopped() -> None:
            await self._stop.wait()
            self.place.write(self.record)

        keeping = asyncio.gather(self.keep(), keep_watch(self.touched, _log), keep_expiring(self._store, _log))
        # hypercorn's own types name every key that a scope may have.
        await serve(cast(Any, metrics.of_the_api(guard)), config, shutdown_trigger=stopped)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        if self._unrestored:
            hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
            raise LedgerCorrupt(f"{self._store.path} cannot be restored: {'; '.join(self._unrestored)}", hint)
        await self.save()
        self._store.close()


def main(directory: Path) -> None:
    """Run the engine of this directory until it is told to stop."""
    os.umask(0o077)
    place = Place(directory)
    if not place.hold():
        sys.exit("error: another engine runs in this directory")
    before = None
    try:
        before = place.record()
        if before and not before.pid:
            place.check_database()
        listening = _listen(before.port if before else 0)
        port = listening.getsockname()[1]
        record = Record(port, os.getpid(), secrets.token_hex(8), secrets.token_urlsafe(24), timestamp(time.time()))
        place.write(record)
        os.environ.update(settings(place, port))
        asyncio.run(_run(place, record, listening))
    except IotpipeError as error:
        if before:
            place.write(before)
        sys.exit(f"error: {error}")


async def _run(place: Place, record: Record, listening: socket.socket) -> None:
    engine = Engine(place, record)
    engine.restore()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    await engine.serve(listening)
    if engine.trouble:
        sys.exit(f"error: what was written since {engine.saved_at} is not saved: {engine.trouble}")
    place.write(Record(record.port))


def settings(place: Place, port: int) -> dict[str, str]:
    """What ministack is told, before it is imported."""
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "LOG_LEVEL": "WARNING",
        "DOCKER_HOST": f"unix://{place.temporary}/none",
        # By default under /tmp, where every user of the machine could have put something for it to read.
        "STATE_DIR": str(place.temporary / "state"),
        "S3_DATA_DIR": str(place.temporary / "s3"),
        # The key that ministack takes for root without looking at the signature: one that nobody knows.
        "AWS_ACCESS_KEY_ID": secrets.token_hex(16),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback: at `port`, or at any other if that is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


def _log(text: str) -> None:
    with suppress(OSError):  # the log is on the disk that may be full
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log


if __name__ == "__main__":
    main(Path(sys.argv[1]))
