"""The log streams of CloudWatch Logs: in memory, where they are searched, and in the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from ministack.core.responses import AccountRegionScopedDict

from iotpipe.local.storage.scoped import ConvertingScopedDict
from iotpipe.local.storage.store import Store

_CHUNK = 100
"""The minimum of events per row, except in the stream's own row, so that a new event does not rewrite the stream."""


def patch_ministack(store: Store) -> None:
    """Have ministack keep all log streams in the store. Call it before ministack reads its state."""
    from ministack.services import cloudwatch_logs

    def convert(group: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(group["streams"], Streams):
            streams = Streams(store, store.reserve_collection())
            streams.update(group["streams"])
            group["streams"] = streams
        return group

    append, put = cloudwatch_logs._append_log_events, cloudwatch_logs._put_log_events

    def append_log_events(stream: Any, events: Any) -> None:
        append(stream, events)
        if isinstance(stream, Stream):
            stream.write()

    def put_log_events(data: Any) -> Any:
        answer = put(data)
        streams = cloudwatch_logs._log_groups.get(data.get("logGroupName"), {}).get("streams", {})
        if stream := streams.get(data.get("logStreamName")):
            stream.write()  # put_log_events changed its sequence token
        return answer

    load = cloudwatch_logs.load_persisted_state

    def load_persisted_state(state: Any) -> None:
        load(state)
        for scope, group in cloudwatch_logs._log_groups.all_items():
            for name, stream in group["streams"].items():
                for pointer, record in _records(scope[-1], name, stream):
                    cloudwatch_logs._log_records.set_scoped(*scope[:-1], pointer, record)

    cloudwatch_logs._log_groups = ConvertingScopedDict(convert)
    cloudwatch_logs._log_records = Records()
    cloudwatch_logs.load_persisted_state = load_persisted_state
    cloudwatch_logs._append_log_events = append_log_events
    cloudwatch_logs._put_log_events = put_log_events


def _records(group: str, name: str, stream: Any) -> Iterator[tuple[str, Any]]:
    """Yield GetLogRecord's answers for the events of a stream, with their pointers."""
    from ministack.services import cloudwatch_logs

    for event in stream["events"]:
        if pointer := event.get("eventId"):
            timestamp, message = event["timestamp"], event["message"]
            yield (
                pointer,
                cloudwatch_logs._build_log_record(
                    ptr=pointer, timestamp_ms=timestamp, message=message, log_group=group, log_stream=name
                ),
            )


class Records(AccountRegionScopedDict):  # type: ignore[misc]  # ministack has no types
    """GetLogRecord's answers by pointer: derived from the events at each start, so that they need not be saved."""

    def __deepcopy__(self, memo: Any) -> Any:
        return AccountRegionScopedDict()


class Streams(MutableMapping[str, Any]):
    """A log group's streams by name."""

    kind = "streams"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.reserve_collection(number)
        self._by_name: dict[str, Stream] = {}
        for key in store.keys(self.number):
            self._by_name[key.decode()] = Stream.read(store, self.number, key)

    def __getitem__(self, name: str) -> Stream:
        return self._by_name[name]

    def __setitem__(self, name: str, stream: dict[str, Any]) -> None:
        if before := self._by_name.pop(name, None):
            before.delete()
        self._by_name[name] = Stream(stream, self._store, (self.number, name.encode()))
        self._by_name[name].write()

    def __delitem__(self, name: str) -> None:
        self._by_name.pop(name).delete()

    def __iter__(self) -> Iterator[str]:
        # Functions write their logs in other threads at the same time.
        return iter(list(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def __deepcopy__(self, memo: Any) -> Streams:
        return self


class Stream(dict[str, Any]):
    """ministack's description of a stream.

    In the database it has one row with everything but the old events, which are in rows of at least 100 each.
    """

    def __init__(self, values: dict[str, Any], store: Store, collection_key: tuple[int, bytes]) -> None:
        super().__init__(values)
        self._store = store
        self._collection_key = collection_key
        self._row_starts = [0]
        """The index of the first event of each row of old events; the last is that of the stream's own row."""
        self._deleted = False

    @classmethod
    def read(cls, store: Store, number: int, key: bytes) -> Stream:
        """Read a stream from the database."""
        rows = store.rows(number, key)
        stream = cls(json.loads(rows.pop(b"")), store, (number, key))
        newest = stream["events"]
        old: list[Any] = []
        for subkey in sorted(rows):
            old += json.loads(rows[subkey])
            stream._row_starts.append(len(old))
        dict.__setitem__(stream, "events", old + newest)
        return stream

    def __setitem__(self, name: str, value: Any) -> None:
        with self._store.lock:
            if name == "events" and value != self["events"]:
                # A late event may be inserted anywhere.
                self._delete_old_rows()
            super().__setitem__(name, value)

    def write(self) -> None:
        """Write the changes since the last call to the database."""
        with self._store.lock:
            # A thread that looked the stream up before its deletion may still write to it.
            if self._deleted:
                return
            newest = self["events"][self._row_starts[-1] :]
            if len(newest) >= _CHUNK:
                self._put(_subkey(self._row_starts[-1]), newest)
                self._row_starts.append(self._row_starts[-1] + len(newest))
                newest = []
            self._put(b"", self | {"events": newest})

    def delete(self) -> None:
        """Delete the stream from the database; later writes have no effect."""
        with self._store.lock:
            self._deleted = True
            self._delete_old_rows()
            self._store.put(*self._collection_key, b"", None)

    def _delete_old_rows(self) -> None:
        with self._store.lock:
            for start in self._row_starts[:-1]:
                self._store.put(*self._collection_key, _subkey(start), None)
            self._row_starts = [0]

    def _put(self, subkey: bytes, content: Any) -> None:
        self._store.put(*self._collection_key, subkey, json.dumps(content, separators=(",", ":")).encode())


def _subkey(number: int) -> bytes:
    return number.to_bytes(8, "big")
