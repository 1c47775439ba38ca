"""The engine saves every change, and reports and retries a failed save."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from iotpipe.local import engine as module
from iotpipe.local.engine import Engine
from iotpipe.local.engine_directory import Record, at
from iotpipe.local.storage.states import States


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine that serves no requests, with an empty ministack."""
    directory = at(tmp_path)
    directory.create()
    engine = Engine(directory, Record(0))
    engine._states = States(engine._store, engine._persistence, ())
    monkeypatch.setattr(engine._app, "_build_persistence_save_dict", lambda: {})
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    return engine


def test_what_the_poller_changes_is_saved_without_any_request(engine: Engine) -> None:
    async def until_saved() -> None:
        keeping = asyncio.create_task(engine.save_periodically())
        while not engine.saved_at:
            await asyncio.sleep(0)
        keeping.cancel()

    engine._store.put(1, b"message", b"", b"received once more")
    asyncio.run(asyncio.wait_for(until_saved(), 30))
    assert not engine._store.has_changes


@pytest.mark.parametrize("error", [KeyError("queue"), MemoryError()])
def test_whatever_keeps_it_from_saving_is_said_and_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> Any:
        raise error

    monkeypatch.setattr(engine._app, "_build_persistence_save_dict", lambda: {"sqs": fail})
    assert asyncio.run(engine.save())
    assert engine.trouble == repr(error)
    monkeypatch.setattr(engine._app, "_build_persistence_save_dict", lambda: {"sqs": dict})
    assert asyncio.run(engine.save())
    assert engine.trouble == ""
