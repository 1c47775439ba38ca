"""Read the functions' log groups page by page, merge them by time and follow them."""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.provision.run import Run
from iotpipe.times import ago

POLL = 2.0
"""Seconds between two polls; FilterLogEvents may be called 5 times a second per account."""

OVERLAP = 120_000
"""Milliseconds before a group's newest event that each poll usually reads again: logs arrive late and out of order.
Following misses an event that arrives more than this after a newer event of its group.
"""

# The most events in one FilterLogEvents response.
_PAGE = 10_000
_FILTERABLE_ID = re.compile(r"[A-Za-z0-9._:/=@+-]{1,128}")


@dataclass(frozen=True)
class LogEvent:
    """One entry of a function's log group; `timestamp` in epoch milliseconds."""

    timestamp: int
    function: str
    message: str
    event_id: str
    stream: str

    def document(self) -> dict[str, Any] | None:
        """The JSON object that a handler logs about an invocation; None for any other entry."""
        try:
            document = json.loads(self.message)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def concerns(self, correlation_id: str) -> bool:
        """Whether the entry belongs to that request, or to a batch that contains one of its messages."""
        line = self.document()
        if line is None:
            return correlation_id in self.message
        return correlation_id == line.get("correlation_id") or correlation_id in (line.get("correlation_ids") or ())


class TooManyEvents(IotpipeError):
    """One poll would read more events than its reader may."""


@dataclass
class LogReader:
    """Poll one log group from `since` (epoch milliseconds) on; return each event once.

    CloudWatch filters by `phrase` if it is set; an emulator may ignore the filter. Each poll reads `overlap`
    milliseconds again, and raises TooManyEvents if it reads more than `most` events.
    """

    run: Run
    function: str
    group: str
    since: int
    correlation_id: str | None = None
    phrase: str | None = None
    overlap: int = OVERLAP
    most: int | None = None
    group_exists: bool = False
    """Whether CloudWatch has returned the group."""
    _newest: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    def new(self) -> Iterator[LogEvent]:
        """The events since the last poll, ordered by time."""
        read = 0
        for page in self._pages(self._start()):
            read += len(page)
            if self.most is not None and read > self.most:
                raise TooManyEvents(f"{self.group} has more than {self.most:,} log lines to read at once")
            for event in page:
                if event.event_id in self._seen:
                    continue
                self._seen[event.event_id] = event.timestamp
                self._newest = max(self._newest, event.timestamp)
                if self.correlation_id is None or event.concerns(self.correlation_id):
                    yield event
            # Later polls do not read events before the start again.
            start = self._start()
            self._seen = {event_id: timestamp for event_id, timestamp in self._seen.items() if timestamp >= start}

    def _start(self) -> int:
        # Event times are AWS's clock. Without the limit, an event with a future time would hide those before it.
        newest = min(self._newest, int(self.run.clock.now() * 1000))
        return max(self.since, newest - self.overlap)

    def _pages(self, start: int) -> Iterator[Sequence[LogEvent]]:
        request: dict[str, Any] = {"logGroupName": self.group, "startTime": start}
        if self.correlation_id and _FILTERABLE_ID.fullmatch(self.correlation_id):
            request["filterPattern"] = f'"{self.correlation_id}"'
        elif self.phrase:
            request["filterPattern"] = f'"{self.phrase}"'
        while True:
            response = self.run.with_retries(
                "read", f"log-group/{self.group}", partial(self._filter_log_events, request)
            )
            events = _events(self.function, response["events"])
            # Some emulators return no page token: a full page may have successors without one.
            has_more = len(events) >= _PAGE and any(event.event_id not in self._seen for event in events)
            yield events
            if token := response.get("nextToken"):
                request["nextToken"] = token
            elif has_more:
                request["startTime"] = events[-1].timestamp
                request.pop("nextToken", None)
            else:
                return

    def _filter_log_events(self, request: dict[str, Any], attempt: int) -> dict[str, Any]:
        logs = self.run.client("logs")
        try:
            response: dict[str, Any] = logs.filter_log_events(**request)
        except logs.exceptions.ResourceNotFoundException:
            # The log group does not exist yet or was deleted. Lambda creates it with its next log line.
            return {"events": []}
        self.group_exists = True
        return response


def _events(function: str, entries: Sequence[dict[str, Any]]) -> list[LogEvent]:
    """Convert the entries, ordered by time. Without event ids (embedded AWS), hash the text and count repetitions."""
    events = []
    repeats: Counter[str] = Counter()
    for entry in sorted(entries, key=lambda entry: entry["timestamp"]):
        timestamp, message, stream = entry["timestamp"], entry["message"].rstrip("\r\n"), entry["logStreamName"]
        event_id = entry.get("eventId")
        if not event_id:
            text = f"{stream} {timestamp} {message}"
            event_id = hashlib.sha256(f"{repeats[text]} {text}".encode(errors="surrogatepass")).hexdigest()
            repeats[text] += 1
        events.append(LogEvent(timestamp, function, message, event_id, stream))
    return events


def merge(readers: Sequence[LogReader]) -> Iterator[LogEvent]:
    """The new events of all readers, ordered by time."""
    return heapq.merge(*(reader.new() for reader in readers), key=lambda event: event.timestamp)


def follow_events(run: Run, readers: Sequence[LogReader]) -> Iterator[LogEvent]:
    """Poll for new events every POLL seconds until the run is stopped."""
    while True:
        run.pause(POLL)
        yield from merge(readers)


def parse_since(text: str, now: float) -> int:
    """Epoch milliseconds of an age (`10m`, `2h`) or an ISO time (UTC if it has no zone).

    Raises UsageError for any other text and for a time in the future.
    """
    if (begin := ago(text, now)) is not None:
        return begin
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is not a time", "Use 30s, 10m, 2h, 3d or 2026-01-31T12:00:00Z") from None
    since = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if since > now:
        raise UsageError(f"{text!r} is in the future", "Use a time in the past; a time without a zone is UTC")
    return max(0, int(since * 1000))
