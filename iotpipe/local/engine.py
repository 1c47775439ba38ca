"""The process of the embedded AWS: ministack behind a guard, with its data saved periodically.

    python -m iotpipe.local.engine DIRECTORY

The launcher starts it with a clean environment, because the functions' workers inherit the environment.
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
from iotpipe.local import alarms, background, iot_gaps, metrics
from iotpipe.local.engine_directory import ACCOUNT, REGION, EngineDirectory, Record
from iotpipe.local.guard import Guard
from iotpipe.local.iot_gaps import Surroundings
from iotpipe.local.mqtt import Listener
from iotpipe.local.mqtt_gaps import MAX_PAYLOAD
from iotpipe.local.signatures import Signatures
from iotpipe.local.storage.store import References, Store
from iotpipe.local.time_to_live import delete_expired_periodically
from iotpipe.times import timestamp

INTERVAL = 2.0
"""Seconds between two saves while something changes. `kill -9` loses at most this, plus the duration of a save."""


class Engine:
    """The imported ministack, and what loads and saves its data."""

    def __init__(self, directory: EngineDirectory, record: Record) -> None:
        from ministack import app
        from ministack.core import persistence

        from iotpipe.local import ministack_gaps, slow_imports

        slow_imports.leave_out()
        self.directory = directory
        self.record = record
        self.root = directory.root_key()
        self.trouble = ""
        self.saved_at = ""
        self._app = app
        self._persistence = persistence
        self._store = Store(directory.database)
        self._changed = False
        self._save_lock = asyncio.Lock()
        self._restore_failures: list[str] = []
        self._stop = asyncio.Event()
        self._gaps = ministack_gaps
        self._mqtt = Listener()
        self._failure: IotpipeError | None = None

    def restore(self) -> None:
        """Prepare ministack to read the saved data when it starts. Raises LedgerCorrupt and LedgerTooNew."""
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
        iot_gaps.close_when_loaded(Surroundings(lambda: self._mqtt.port, self.directory.mqtt_ca, self.mark_changed))
        metrics.patch_ministack()
        alarms.patch_ministack(self.mark_changed)
        self._restore_failures = self._gaps.collect_restore_failures()

    async def ready(self) -> None:
        """Listen for MQTT, and record that ministack has started. From now on ministack itself saves nothing."""
        self._app.PERSIST_STATE = False
        # The objects loaded so far are never garbage: collections that visit them delay requests.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        if self._restore_failures:
            self.stop()
            return
        try:
            # Not earlier: the listener needs the certificates that ministack has restored.
            await self._mqtt.listen(self.record.mqtt_port)
        except IotpipeError as error:
            self._failure = error
            self.stop()
            return
        self.record = replace(self.record, mqtt_port=self._mqtt.port)
        self.directory.write(replace(self.record, ready=True))

    def stop(self) -> None:
        self._stop.set()

    def mark_changed(self) -> None:
        self._changed = True

    async def admin(self, method: str, path: str) -> Mapping[str, Any]:
        """Answer the launcher with the engine's state; `save` saves first."""
        if path == "save":
            await self.save()
        return {"instance": self.record.instance, "saved_at": self.saved_at, "trouble": self.trouble}

    async def save(self) -> bool:
        """Save the changes; False if there were none. Keeps an error as `trouble`."""
        async with self._save_lock:
            began = time.time()
            references = References(newest=self._store.begin_save())
            try:
                states = self._copy_states()
                changed = await asyncio.to_thread(self._write, states, references, began)
            # Any error (a full disk, a state that ministack cannot encode) leaves the last save as it is. It is
            # reported and retried: if it ended the loop, nobody would notice that nothing is saved any more.
            except Exception as error:  # noqa: BLE001
                trouble = str(error) if isinstance(error, sqlite3.Error | OSError) else repr(error)
                if self.trouble != trouble:
                    _log(f"{timestamp(began)} cannot save: {error!r}")
                self.trouble = trouble
                return True
            self.trouble, self.saved_at = "", timestamp(began)
            return changed

    def _copy_states(self, attempts: int = 20) -> dict[str, Any]:
        """Copy each service's state. On the event loop no request runs meanwhile, but functions do, in threads."""
        for remaining in reversed(range(attempts)):
            try:
                states = {name: get() for name, get in self._app._build_persistence_save_dict().items()}
                return {name: state for name, state in states.items() if state is not None}
            except RuntimeError:  # a dictionary changed its size while it was copied
                if not remaining:
                    raise
        raise AssertionError

    def _write(self, states: dict[str, Any], references: References, seconds: float) -> bool:
        return self._store.save(self._states.encode(states, references), references, seconds)

    async def save_periodically(self) -> None:
        """Save every few seconds while something changes."""
        while True:
            await asyncio.sleep(INTERVAL)
            # Lambda's poller changes the store even without requests.
            if self._changed or self._store.has_changes:
                self._changed = False
                self._changed = await self.save() or self._changed

    async def serve(self, listening: socket.socket) -> None:
        """Serve until `stop` is called, then save.

        Raises LedgerCorrupt if ministack could not restore all data, and IotpipeError if MQTT cannot be served.
        """
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
            on_request=self.mark_changed,
            admin=self.admin,
        )

        async def wait_for_stop() -> None:
            await self._stop.wait()
            self._mqtt.close()
            self.directory.write(self.record)

        tasks = asyncio.gather(
            self.save_periodically(),
            background.run(self.mark_changed, _log),
            delete_expired_periodically(self._store, _log),
        )
        # The cast: hypercorn declares a scope as a TypedDict with every key.
        await serve(cast(Any, metrics.count_api_requests(guard)), config, shutdown_trigger=wait_for_stop)
        tasks.cancel()
        with suppress(asyncio.CancelledError):
            await tasks
        if self._restore_failures:
            hint = "Nothing was changed. Restore it from a backup, or start over with `iotpipe local reset`"
            raise LedgerCorrupt(f"{self._store.path} cannot be restored: {'; '.join(self._restore_failures)}", hint)
        if self._failure:
            raise self._failure
        await self.save()
        self._store.close()


def main(path: Path) -> None:
    """Run the engine of this directory until SIGTERM."""
    os.umask(0o077)
    directory = EngineDirectory(path)
    if not directory.take_lock():
        sys.exit("error: another engine runs in this directory")
    before = None
    try:
        before = directory.record()
        if before and not before.pid:
            directory.check_database()
        listening = _listen(before.port if before else 0)
        port = listening.getsockname()[1]
        record = Record(
            port,
            os.getpid(),
            secrets.token_hex(8),
            secrets.token_urlsafe(24),
            timestamp(time.time()),
            mqtt_port=before.mqtt_port if before else 0,
        )
        directory.write(record)
        os.environ.update(settings(directory, port))
        asyncio.run(_run(directory, record, listening))
    except IotpipeError as error:
        if before:
            directory.write(before)
        sys.exit(f"error: {error}")


async def _run(directory: EngineDirectory, record: Record, listening: socket.socket) -> None:
    engine = Engine(directory, record)
    engine.restore()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    await engine.serve(listening)
    if engine.trouble:
        sys.exit(f"error: what was written since {engine.saved_at} is not saved: {engine.trouble}")
    directory.write(Record(record.port, mqtt_port=engine.record.mqtt_port))


def settings(directory: EngineDirectory, port: int) -> dict[str, str]:
    """Return the environment variables that configure ministack; it reads them when it is imported."""
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        # ministack's own listener is open to the network and to clients without a certificate: iotpipe.local.mqtt
        # replaces it.
        "IOT_MTLS_ENABLED": "0",
        # Bytes that ministack keeps of a packet that is not complete; AWS's limit for a payload is half of it.
        "IOT_WS_FRAME_MAX_BYTES": str(2 * MAX_PAYLOAD),
        "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "LOG_LEVEL": "WARNING",
        "DOCKER_HOST": f"unix://{directory.temporary}/none",
        # The defaults are under /tmp, where any user of the machine could plant data for ministack to read.
        "STATE_DIR": str(directory.temporary / "state"),
        "S3_DATA_DIR": str(directory.temporary / "s3"),
        # ministack accepts this key as root without checking the signature, so it is random and never shown.
        "AWS_ACCESS_KEY_ID": secrets.token_hex(16),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _listen(port: int) -> socket.socket:
    """Return a listening socket on loopback, at `port` or, if that is taken, at a free port."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


def _log(text: str) -> None:
    with suppress(OSError):  # the disk with the log may be full
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the log


if __name__ == "__main__":
    main(Path(sys.argv[1]))
