"""The streams of CloudWatch Logs: in memory, since they are searched, and each in the database once it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from iotpipe.local.storage.scoped import Scoped
from iotpipe.local.storage.store import Store


def keep_in(store: Store) -> None:
    """Have ministack keep all streams there; before it reads its state."""
    from ministack.services import cloudwatch_logs

    def group(described: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(described["streams"], Streams):
            streams = Streams(store, store.collection())
            streams.update(described["streams"])
            described["streams"] = streams
        return described

    append = cloudwatch_logs._append_log_events

    def append_log_events(stream: Any, events: Any) -> None:
        append(stream, events)
        if isinstance(stream, Stream):
            stream.write()

    cloudwatch_logs._log_groups = Scoped(group)
    cloudwatch_logs._append_log_events = append_log_events


class Streams(MutableMapping[str, Any]):
    """A log group's streams by name."""

    kind = "streams"

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self.number = store.collection(number)
        self._all: dict[str, Stream] = {}
        for key in store.keys(self.number):
            for content in store.rows(self.number, key).values():
                self._all[key.decode()] = Stream(json.loads(content), store, (self.number, key, b""))

    def __getitem__(self, name: str) -> Stream:
        return self._all[name]

    def __setitem__(self, name: str, stream: dict[str, Any]) -> None:
        self._all[name] = Stream(stream, self._store, (self.number, name.encode(), b""))
        self._all[name].write()

    def __delitem__(self, name: str) -> None:
        del self._all[name]
        self._store.put(self.number, name.encode(), b"", None)

    def __iter__(self) -> Iterator[str]:
        # Functions write their logs in other threads meanwhile.
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def __deepcopy__(self, memo: Any) -> Streams:
        return self


class Stream(dict[str, Any]):
    """A stream as ministack knows it, and the row that it is kept in."""

    def __init__(self, values: dict[str, Any], store: Store, row: tuple[int, bytes, bytes]) -> None:
        super().__init__(values)
        self._store = store
        self._row = row

    def write(self) -> None:
        self._store.put(*self._row, json.dumps(self, separators=(",", ":")).encode())
