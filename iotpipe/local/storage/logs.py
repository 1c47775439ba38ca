"""The streams of CloudWatch Logs: in memory, since they are searched, and each in the database once it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from ministack.core.responses import AccountRegionScopedDict

from iotpipe.local.storage.scoped import Scoped
from iotpipe.local.storage.store import Store

_CHUNK = 100
"""Events that a row holds at least, but for the stream's own row: a long stream is not written anew with each line."""


def keep_in(store: Store) -> None:
    """Have ministack keep all streams there; before it reads its state."""
    from ministack.services import cloudwatch_logs

    def group(described: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(described["streams"], Streams):
            streams = Streams(store, store.collection())
            streams.update(described["streams"])
            described["streams"] = streams
        return described

    append, put = cloudwatch_logs._append_log_events, cloudwatch_logs._put_log_events

    def append_log_events(stream: Any, events: Any) -> None:
        append(stream, events)
        if isinstance(stream, Stream):
            stream.write()

    def put_log_events(data: Any) -> Any:
        answer = put(data)
        found = cloudwatch_logs._log_groups.get(data.get("logGroupName"), {}).get("streams", {})
        if stream := found.get(data.get("logStreamName")):
            stream.write()  # with its next token
        return answer

    load = cloudwatch_logs.load_persisted_state

    def load_persisted_state(state: Any) -> None:
        load(state)
        for scope, described in cloudwatch_logs._log_groups.all_items():
            for name, stream in described["streams"].items():
                for pointer, record in _records(scope[-1], name, stream):
                    cloudwatch_logs._log_records.set_scoped(*scope[:-1], pointer, record)

    cloudwatch_logs._log_groups = Scoped(group)
    cloudwatch_logs._log_records = Records()
    cloudwatch_logs.load_persisted_state = load_persisted_state
    cloudwatch_logs._append_log_events = append_log_events
    cloudwatch_logs._put_log_events = put_log_events


def _records(group: str, name: str, stream: Any) -> Iterator[tuple[str, Any]]:
    """What GetLogRecord answers for the events of a stream, by their pointers."""
    from ministack.services import cloudwatch_logs

    for event in stream["events"]:
        if pointer := event.get("eventId"):
            moment, message = event["timestamp"], event["message"]
            yield (
                pointer,
                cloudwatch_logs._build_log_record(
                    ptr=pointer, timestamp_ms=moment, message=message, log_group=group, log_stream=name
                ),
            )


class Records(AccountRegionScopedDict):  # type: ignore[misc]  # ministack has no types
    """What is known of each event once more, by its pointer: made again at a start instead of being saved."""

    def __deepcopy__(self, memo: Any) -> Any:
        return AccountRegionScopedDict()


class Streams(MutableMapping[str, Any]):
    """A log group's streams by name."""

    kind = "streams"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.collection(number)
        self._all: dict[str, Stream] = {}
        for key in store.keys(self.number):
            self._all[key.decode()] = Stream.read(store, self.number, key)

    def __getitem__(self, name: str) -> Stream:
        return self._all[name]

    def __setitem__(self, name: str, stream: dict[str, Any]) -> None:
        if before := self._all.pop(name, None):
            before.delete()
        self._all[name] = Stream(stream, self._store, (self.number, name.encode()))
        self._all[name].write()

    def __delitem__(self, name: str) -> None:
        self._all.pop(name).delete()

    def __iter__(self) -> Iterator[str]:
        # Functions write their logs in other threads meanwhile.
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def __deepcopy__(self, memo: Any) -> Streams:
        return self


class Stream(dict[str, Any]):
    """A stream as ministack knows it, and its rows: one with all but the old events, and those in rows of many."""

    def __init__(self, values: dict[str, Any], store: Store, where: tuple[int, bytes]) -> None:
        super().__init__(values)
        self._store = store
        self._where = where
        self._written = [0]
        """How many events precede each row of old ones; the last is how many precede those in the stream's own row."""
        self._deleted = False

    @classmethod
    def read(cls, store: Store, number: int, key: bytes) -> Stream:
        """The stream that is in the database under this key."""
        rows = store.rows(number, key)
        stream = cls(json.loads(rows.pop(b"")), store, (number, key))
        newest = stream["events"]
        old: list[Any] = []
        for subkey in sorted(rows):
            old += json.loads(rows[subkey])
            stream._written.append(len(old))
        dict.__setitem__(stream, "events", old + newest)
        return stream

    def __setitem__(self, name: str, value: Any) -> None:
        with self._store.lock:
            if name == "events" and value != self["events"]:
                # A late event is sorted in anywhere.
                self._forget_old_rows()
            super().__setitem__(name, value)

    def write(self) -> None:
        """Write what has changed since it was written last."""
        with self._store.lock:
            # Who has found it before it was deleted may still write to it.
            if self._deleted:
                return
            newest = self["events"][self._written[-1] :]
            if len(newest) >= _CHUNK:
                self._put(_subkey(self._written[-1]), newest)
                self._written.append(self._written[-1] + len(newest))
                newest = []
            self._put(b"", self | {"events": newest})

    def delete(self) -> None:
        """Delete it from the database, for good."""
        with self._store.lock:
            self._deleted = True
            self._forget_old_rows()
            self._store.put(*self._where, b"", None)

    def _forget_old_rows(self) -> None:
        with self._store.lock:
            for number in self._written[:-1]:
                self._store.put(*self._where, _subkey(number), None)
            self._written = [0]

    def _put(self, subkey: bytes, content: Any) -> None:
        self._store.put(*self._where, subkey, json.dumps(content, separators=(",", ":")).encode())


def _subkey(number: int) -> bytes:
    return number.to_bytes(8, "big")
