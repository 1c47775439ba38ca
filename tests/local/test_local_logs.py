"""Log streams of the embedded AWS: what each event writes to the database, and what the next start reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack.services import cloudwatch_logs

from iotpipe.local.storage import logs
from iotpipe.local.storage.logs import Streams
from iotpipe.local.storage.store import Store

REPLACED = ("_log_groups", "_log_records", "_append_log_events", "_put_log_events", "load_persisted_state")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in which ministack keeps its log groups; there is one with one stream."""
    for name in REPLACED:
        monkeypatch.setattr(cloudwatch_logs, name, getattr(cloudwatch_logs, name))
    store = Store(tmp_path / "engine.db")
    logs.patch_ministack(store)
    cloudwatch_logs._create_log_group({"logGroupName": "group"})
    cloudwatch_logs._create_log_stream({"logGroupName": "group", "logStreamName": "stream"})
    yield store
    store.close()


def put(*moments: int) -> None:
    events = [{"timestamp": moment, "message": f"line {moment}"} for moment in moments]
    status, _, _ = cloudwatch_logs._put_log_events(
        {"logGroupName": "group", "logStreamName": "stream", "logEvents": events}
    )
    assert status == 200


def streams() -> Any:
    return cloudwatch_logs._log_groups["group"]["streams"]


def found_again(store: Store) -> dict[str, Any]:
    """Return the streams as the next start reads them."""
    return {name: dict(stream) for name, stream in Streams(store, streams().number).items()}


def test_a_long_stream_is_not_written_anew_with_each_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    put_row = store.put
    monkeypatch.setattr(store, "put", lambda *row: (written.append(len(row[-1] or b"")), put_row(*row)))
    for moment in range(1000):
        put(moment)
    assert max(written) < 20_000
    assert len(json.dumps(streams()["stream"]["events"])) > 100_000
    assert found_again(store) == {"stream": dict(streams()["stream"])}


def test_a_stream_is_found_again_with_late_events_and_its_token(store: Store) -> None:
    put(*range(1000, 1250))
    put(5, 1100, 2000)
    put(3000)
    (found,) = found_again(store).values()
    assert found == dict(streams()["stream"])
    assert found["uploadSequenceToken"] == "4"
    # Again, after writing to the stream that was read.
    again = Streams(store, streams().number)
    cloudwatch_logs._append_log_events(
        again["stream"], [{"timestamp": 4000, "message": "new", "ingestionTime": 1}] * 150
    )
    assert found_again(store) == {"stream": dict(again["stream"])}


def test_a_deleted_stream_does_not_come_back_with_what_is_written_to_it_late(store: Store) -> None:
    put(*range(300))
    late = streams()["stream"]
    cloudwatch_logs._delete_log_stream({"logGroupName": "group", "logStreamName": "stream"})
    cloudwatch_logs._append_log_events(late, [{"timestamp": 1, "message": "late", "ingestionTime": 1}])
    assert store.keys(streams().number) == []


def test_a_record_is_found_by_its_pointer_after_a_start_though_it_is_not_saved(store: Store) -> None:
    put(7)
    pointer = streams()["stream"]["events"][0]["eventId"]
    before = cloudwatch_logs._get_log_record({"logRecordPointer": pointer})
    state = cloudwatch_logs.get_state()
    assert not state["log_records"].values()
    cloudwatch_logs._log_records.clear()
    cloudwatch_logs.load_persisted_state(state)
    assert cloudwatch_logs._get_log_record({"logRecordPointer": pointer}) == before
