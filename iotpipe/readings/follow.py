"""Follow the rows of devices as they are stored.

The API lists rows by the time of the reading, not by when they were stored. Each poll therefore reads the time before a
device's newest row again, and skips what it has returned already.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api, Parameters
from iotpipe.readings.stored_rows import Row
from iotpipe.times import iso

POLL = 2.0
"""Seconds between two polls."""

OVERLAP = 600_000
"""Milliseconds before a device's newest row that each poll reads again. A message that failed once is processed again
after the queue's visibility timeout, 5 minutes by default. Following misses a row that is stored when its device has
one that is newer by more than this.
"""


@dataclass
class Follower:
    """Return each row of one device once, in order of time within a poll.

    The first poll returns the rows from `since` on, a time as the API takes it; without it none.
    """

    api: Api
    parameters: Parameters
    since: str | None
    _start: int = 0
    _newest: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    def first(self, now: int) -> Iterator[Row]:
        """The first poll. Raises UsageError if the API refuses the time."""
        latest = next(stored_rows.pages(self.api, {**self.parameters, "order": "desc", "limit": "1"}))
        for row in latest.items:
            self._newest = stored_rows.timestamp(row)
        self._advance(now)
        for _ in self.new(now):
            pass
        if self.since is not None:
            for row in self._rows(self.since):
                self._take(row)
                yield row
            self._advance(now)

    def new(self, now: int) -> Iterator[Row]:
        """The rows that no earlier poll has returned, or that there were before the first one."""
        yield from filter(self._take, self._rows(iso(self._start)))
        self._advance(now)

    def _rows(self, start: str) -> Iterator[Row]:
        period = {"order": "asc", "from": start, "limit": str(stored_rows.MAX_ROWS)}
        for page in stored_rows.pages(self.api, {**self.parameters, **period}):
            yield from page.items

    def _take(self, row: Row) -> bool:
        """Remember a row, and return whether it is a new one."""
        # The range key of the table: in the raw table, the time has decimals that tell readings apart.
        key = str(row.get("event_date", row["timestamp"]))
        is_new = key not in self._seen
        self._seen[key] = time = stored_rows.timestamp(row)
        self._newest = max(self._newest, time)
        return is_new

    def _advance(self, now: int) -> None:
        # A row with a future time would otherwise hide those before it.
        self._start = max(self._start, min(self._newest, now) - OVERLAP)
        self._seen = {key: time for key, time in self._seen.items() if time >= self._start}


def beginning(followers: Sequence[Follower], now: float) -> Iterator[Row]:
    """The rows of all devices that there are already. `now` is in epoch seconds."""
    return _merged([each.first(int(now * 1000)) for each in followers])


def follow(followers: Sequence[Follower], now: Callable[[], float], pause: Callable[[float], None]) -> Iterator[Row]:
    """The rows that come after `beginning`, until `pause` raises. `now` returns epoch seconds."""
    while True:
        pause(POLL)
        moment = int(now() * 1000)
        yield from _merged([each.new(moment) for each in followers])


def _merged(rows: Sequence[Iterator[Row]]) -> Iterator[Row]:
    return heapq.merge(*rows, key=stored_rows.timestamp)
