"""The functions' logs: several log groups read page by page, merged in the order of time, and followed."""

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

from iotpipe.errors import UsageError
from iotpipe.provision.run import Run
from iotpipe.times import ago

POLL = 2.0
"""Seconds between two looks at what is new; FilterLogEvents may be called 5 times a second per account."""

OVERLAP = 120_000
"""Milliseconds before the newest event of a group that are read again each time: logs are delivered late and out of
order. An event that comes later than that after a younger one of its group is not seen by those who follow.
"""

# FilterLogEvents answers with so many at most.
_PAGE = 10_000
_NAMED = re.compile(r"[A-Za-z0-9._:/=@+-]{1,128}")


@dataclass(frozen=True)
class LogEvent:
    """One entry of a function's log group; `timestamp` in epoch milliseconds."""

    timestamp: int
    function: str
    message: str
    event_id: str
    stream: str

    def document(self) -> dict[str, Any] | None:
        """The handlers' own line about an invocation; None of any other entry."""
        try:
            found = json.loads(self.message)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def concerns(self, correlation_id: str) -> bool:
        """Whether the entry belongs to that request, or to a batch with a message of it."""
        line = self.document()
        if line is None:
            return correlation_id in self.message
        return correlation_id == line.get("correlation_id") or correlation_id in (line.get("correlation_ids") or ())


@dataclass
class LogReader:
    """Reads one log group from `since` (epoch milliseconds) on. Answers each event once, however often it is asked.

    Where there is a `phrase`, CloudWatch looks for it; an emulator may answer with more.
    """

    run: Run
    function: str
    group: str
    since: int
    correlation_id: str | None = None
    phrase: str | None = None
    there: bool = False
    """Whether the group has been seen to exist."""
    _newest: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    def new(self) -> Iterator[LogEvent]:
        """What has come since the last time, in the order of time."""
        for page in self._pages(self._start()):
            for event in page:
                if event.event_id in self._seen:
                    continue
                self._seen[event.event_id] = event.timestamp
                self._newest = max(self._newest, event.timestamp)
                if self.correlation_id is None or event.concerns(self.correlation_id):
                    yield event
            # What is older will not be asked for again.
            start = self._start()
            self._seen = {name: at for name, at in self._seen.items() if at >= start}

    def _start(self) -> int:
        # The newest by AWS's clock, not by ours. An event from the future must not make us skip what is between.
        newest = min(self._newest, int(self.run.clock.now() * 1000))
        return max(self.since, newest - OVERLAP)

    def _pages(self, start: int) -> Iterator[Sequence[LogEvent]]:
        request: dict[str, Any] = {"logGroupName": self.group, "startTime": start}
        if self.correlation_id and _NAMED.fullmatch(self.correlation_id):
            request["filterPattern"] = f'"{self.correlation_id}"'
        elif self.phrase:
            request["filterPattern"] = f'"{self.phrase}"'
        while True:
            answer = self.run.trying("read", f"log-group/{self.group}", partial(self._ask, request))
            events = _events(self.function, answer["events"])
            # Not every emulator pages: a full answer without a token is no proof that this was all.
            goes_on = len(events) >= _PAGE and any(each.event_id not in self._seen for each in events)
            yield events
            if token := answer.get("nextToken"):
                request["nextToken"] = token
            elif goes_on:
                request["startTime"] = events[-1].timestamp
                request.pop("nextToken", None)
            else:
                return

    def _ask(self, request: dict[str, Any], attempt: int) -> dict[str, Any]:
        logs = self.run.client("logs")
        try:
            answer: dict[str, Any] = logs.filter_log_events(**request)
        except logs.exceptions.ResourceNotFoundException:
            # The function has not been made yet, or somebody deleted its log group: the next line makes it anew.
            return {"events": []}
        self.there = True
        return answer


def _events(function: str, found: Sequence[dict[str, Any]]) -> list[LogEvent]:
    """In the order of time. The embedded AWS gives no ids: there the text, and which of its like it is, has to do."""
    events = []
    alike: Counter[str] = Counter()
    for each in sorted(found, key=lambda each: each["timestamp"]):
        at, message, stream = each["timestamp"], each["message"].rstrip("\r\n"), each["logStreamName"]
        name = each.get("eventId")
        if not name:
            text = f"{stream} {at} {message}"
            name = hashlib.sha256(f"{alike[text]} {text}".encode(errors="surrogatepass")).hexdigest()
            alike[text] += 1
        events.append(LogEvent(at, function, message, name, stream))
    return events


def merged(readers: Sequence[LogReader]) -> Iterator[LogEvent]:
    """What is new in all of them, in the order of time."""
    return heapq.merge(*(reader.new() for reader in readers), key=lambda event: event.timestamp)


def followed(run: Run, readers: Sequence[LogReader]) -> Iterator[LogEvent]:
    """What comes from now on, looked for every POLL seconds until the run is stopped."""
    while True:
        run.pause(POLL)
        yield from merged(readers)


def moment(text: str, now: float) -> int:
    """The epoch millisecond that `10m`, `2h` ago or an ISO time (UTC where it names no zone) means.

    Raises UsageError for anything else and for what is in the future.
    """
    if (begin := ago(text, now)) is not None:
        return begin
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is not a time", "Use 30s, 10m, 2h, 3d or 2026-01-31T12:00:00Z") from None
    named = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if named > now:
        raise UsageError(f"{text!r} is in the future", "Use a time in the past; a time without a zone is UTC")
    return max(0, int(named * 1000))
