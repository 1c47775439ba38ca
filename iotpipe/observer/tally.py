"""Counts what the functions' log lines tell, in buckets of time."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from iotpipe.observer.snapshot import Reason
from iotpipe.operations.logs import LogEvent

STEPS = {900: 10_000, 3600: 60_000, 21_600: 300_000, 86_400: 900_000, 604_800: 3_600_000}
"""Milliseconds of a bucket, by the seconds of the range that is looked at in such buckets."""

_CODES = {
    "required": "something required is missing",
    "type": "a value of the wrong type",
    "format": "a value in the wrong format",
    "range": "a value out of range",
    "count": "the wrong number of readings or metrics",
    "size": "something too large",
    "number": "a number that cannot be stored",
    "nesting": "a body nested too deep",
    "name": "a metric's name of the wrong length",
    "unknown": "an unknown parameter",
    "repeated": "something given more than once",
    "choice": "a value that is none of the choices",
    "conflict": "parameters that do not go together",
    "token": "a page token of another query",
    "key": "a missing or wrong API key",
    "json": "a body that is not JSON",
    "gzip": "a body that cannot be decompressed",
    "base64": "a body that is not base64 of UTF-8 text",
    "too_many_rows": "a bucket with too many rows",
    "identity": "a reading of another device than the one that sent it",
    "encoding": "a payload that is not UTF-8 text",
    "rule": "a message that the topic rule did not write",
}
"""What the codes of refusals mean. A code without an entry stands for itself."""

_Key = tuple[str, str, str]


@dataclass
class Bucket:
    """What was told of one bucket. `requests` and `refused` count HTTP requests, the other numbers count readings.

    `messages` are those of devices that ingestion took from their queue. `refused_over_mqtt` counts the readings of
    them that it refused, and the messages that it refused as a whole. `given_back` counts by function. `waits` counts
    readings by milliseconds from received to stored, in three digits.
    """

    accepted: int = 0
    stored: int = 0
    given_back: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    messages: int = 0
    refused_over_mqtt: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)
    reasons: dict[_Key, tuple[int, int]] = field(default_factory=dict)
    """Count and last time by kind, text and detail."""

    def add(self, event: LogEvent, line: Mapping[str, Any]) -> None:
        """Take in the line of one invocation."""
        self.accepted += _whole(line, "accepted")
        self.stored += _whole(line, "processed")
        if "status" in line:
            self.requests[event.function] += 1
            self.refused += _whole(line, "rejected")
        else:
            self.given_back[event.function] += _whole(line, "failed")
            self.messages += _whole(line, "messages")
            self.refused_over_mqtt += _whole(line, "rejected") + _whole(line, "refused_readings")
        # Ingestion's line of MQTT messages has the wait until the raw table, which is a part of the processor's.
        waits = line.get("wait") if event.function == "processor" else None
        for wait in waits if isinstance(waits, list) else ():
            if isinstance(wait, int) and wait >= 0:
                self.waits[_rounded(wait)] += 1
        for key, count in _reasons(event, line):
            before, last = self.reasons.get(key, (0, 0))
            self.reasons[key] = before + count, max(last, event.timestamp)

    def merge(self, other: Bucket) -> None:
        """Take in everything of another bucket."""
        self.accepted += other.accepted
        self.stored += other.stored
        self.given_back += other.given_back
        self.refused += other.refused
        self.messages += other.messages
        self.refused_over_mqtt += other.refused_over_mqtt
        self.requests += other.requests
        self.waits += other.waits
        for key, (count, last) in other.reasons.items():
            before, latest = self.reasons.get(key, (0, 0))
            self.reasons[key] = before + count, max(latest, last)

    def percentile(self, percent: float) -> float | None:
        """The smallest wait that is not below `percent` of all waits; None without any."""
        left = math.ceil(sum(self.waits.values()) * percent / 100)
        for value in sorted(self.waits):
            left -= self.waits[value]
            if left <= 0:
                return float(value)
        return None

    def most_frequent(self, most: int) -> tuple[Reason, ...]:
        """The most frequent reasons first."""
        listed = [
            Reason(count, text, detail, last, kind) for (kind, text, detail), (count, last) in self.reasons.items()
        ]
        return tuple(sorted(listed, key=lambda each: (-each.count, each.text, each.detail))[:most])


@dataclass
class Tally:
    """Everything that was told since `since` (epoch milliseconds), in buckets of every step of STEPS.

    One thread may add while others read, as long as those hold the `lock`.
    """

    since: int
    newest_stored: int | None = None
    _buckets: dict[int, dict[int, Bucket]] = field(default_factory=lambda: {step: {} for step in STEPS.values()})
    """By step and start."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, event: LogEvent) -> None:
        """Take in an entry of a log; entries that are not of a handler's invocation are left out."""
        line = event.document()
        if line is None or "milliseconds" not in line:
            return
        with self.lock:
            for step, buckets in self._buckets.items():
                buckets.setdefault(event.timestamp // step * step, Bucket()).add(event, line)
            if _whole(line, "processed"):
                self.newest_stored = max(self.newest_stored or 0, event.timestamp)

    def forget(self, now: int) -> None:
        """Forget the buckets that no range reaches."""
        with self.lock:
            for seconds, step in STEPS.items():
                buckets = self._buckets[step]
                for start in [start for start in buckets if start < now - seconds * 1000 - step]:
                    del buckets[start]

    def bucket(self, step: int, start: int) -> Bucket:
        """What was told of one bucket."""
        return self._buckets[step].get(start) or Bucket()

    def between(self, step: int, start: int, end: int) -> Bucket:
        """Everything of the buckets that begin in this time."""
        found = Bucket()
        for begin in range(start, end, step):
            if bucket := self._buckets[step].get(begin):
                found.merge(bucket)
        return found


def _whole(line: Mapping[str, Any], name: str) -> int:
    value = line.get(name)
    return max(0, value) if isinstance(value, int) else 0


def _rounded(milliseconds: int) -> int:
    unit = int(10 ** max(0, len(str(milliseconds)) - 3))
    return milliseconds // unit * unit


def _reasons(event: LogEvent, line: Mapping[str, Any]) -> Iterator[tuple[_Key, int]]:
    """The reasons of one line, and how often each applies.

    The lines of queues count messages, and the problems of refused readings; any other line is one request.
    """
    reasons, refusals, where = line.get("reasons"), line.get("refusals"), f"data-{event.function}"
    for code, count in refusals.items() if isinstance(refusals, dict) else ():
        if isinstance(count, int) and count > 0:
            yield ("refused", _CODES.get(str(code), str(code)), f"refused over MQTT by {where}: {code}"), count
    if isinstance(reasons, dict):
        for text, count in reasons.items():
            if isinstance(count, int) and count > 0:
                yield ("given back", str(text), f"given back to the queue by {where}"), count
    elif isinstance(reasons, list):
        status = line.get("status")
        # An answer of 200 has reasons if DynamoDB failed after some rows.
        did = "refused" if isinstance(status, int) and 400 <= status < 500 else "answered"
        with_status = f"{did} with {status} by {where}" if status is not None else f"not understood by {where}"
        for each in reasons:
            code = str(each)
            text = _CODES.get(code, code)
            yield ("refused", text, f"{with_status}: {code}" if text != code else with_status), 1
