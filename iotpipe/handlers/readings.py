"""Readings: what a valid one is, the keys it gets, and how it travels in the queue."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import attributes, clock, moments, parsing
from iotpipe.handlers.attributes import Attribute
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Request, detail, invalid

MAIN_METRICS = ("temperature", "humidity", "pressure")
MOST_METRICS = 100
LONGEST_NAME = 255
# Canonical JSON. As a DynamoDB item it is at most half as large again (below 400 KB), and as a message it
# fits a queue that still has the older limit of 256 KiB.
MOST_BYTES = 250_000

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:/#-]{1,128}")
_FIELDS = {"device_id", "sensor_data", "timestamp", "reading_id"}
_FAHRENHEIT = Decimal("1.8")

Detail = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """A valid reading. `digits` are 18 decimal digits of the hash of its canonical form."""

    device_id: str
    timestamp: int
    digits: str
    reading_id: str | None
    metrics: dict[str, Any]
    sensor_data: Attribute
    text: str

    @property
    def raw_key(self) -> str:
        """The raw table's range key: the millisecond, the hash behind the point."""
        return f"{self.timestamp}.{self.digits}"

    @property
    def event_date(self) -> str:
        """The processed table's range key."""
        return f"{moments.iso(self.timestamp)}#{self.digits}"

    @property
    def key(self) -> tuple[str, str]:
        return self.device_id, self.raw_key


def fahrenheit(celsius: Decimal) -> Decimal:
    """Exact where 38 digits hold the result, else rounded once, to 38."""
    return parsing.ROUNDED.fma(celsius, _FAHRENHEIT, Decimal(32))


def from_request(request: Request, settings: Settings, timed: bool) -> tuple[list[Reading], bool]:
    """The body's readings, and whether it was a single one rather than a batch.

    `timed` requires a timestamp of each. Raises Refused with everything that is wrong.
    """
    candidates, single = _candidates(_document(request), settings)
    now = clock.now()
    found: list[Reading] = []
    details: list[Detail] = []
    for index, candidate in enumerate(candidates):
        wrong = problems(candidate, settings, now, timed)
        if wrong:
            details += [detail(*problem, None if single else index) for problem in wrong]
        elif not details:
            found.append(make(candidate, now))
    if details:
        raise invalid(details)
    return found, single


def _document(request: Request) -> Any:
    try:
        return parsing.parse(request.body())
    except parsing.NotJson as error:
        raise invalid([detail("body", error.code, str(error))]) from None


def _candidates(document: Any, settings: Settings) -> tuple[list[Any], bool]:
    if isinstance(document, dict) and "readings" in document:
        wrong = [
            detail(name, "unknown", "not a field of a batch") for name in _foreign(document, {"readings"})
        ]
        document = document["readings"]
        if not isinstance(document, list):
            wrong.append(detail("readings", "type", "an array of readings required"))
        if wrong:
            raise invalid(wrong)
    if not isinstance(document, list):
        return [document], True
    if not 1 <= len(document) <= settings.max_readings:
        raise invalid([detail("readings", "count", f"1 to {settings.max_readings} readings required")])
    return document, False


def _foreign(members: dict[str, Any], own: set[str]) -> list[str]:
    return [name[:64] for name in members if name not in own]


Problem = tuple[str, str, str]


def problems(candidate: Any, settings: Settings, now: int, timed: bool) -> list[Problem]:
    """Everything wrong with one reading: (field, code, message)."""
    if not isinstance(candidate, dict):
        return [("", "type", "an object required")]
    found = [(name, "unknown", "not a field of a reading") for name in _foreign(candidate, _FIELDS)]
    found += identifier_problems(candidate, "device_id", required=True)
    found += identifier_problems(candidate, "reading_id", required=False)
    found += _timestamp_problems(candidate, settings, now, timed)
    if "sensor_data" not in candidate:
        return [*found, ("sensor_data", "required", "required")]
    return found + metric_problems(candidate["sensor_data"])


def identifier_problems(candidate: dict[str, Any], name: str, required: bool) -> list[Problem]:
    if name not in candidate:
        return [(name, "required", "required")] if required else []
    value = candidate[name]
    if not isinstance(value, str):
        return [(name, "type", "string required")]
    if not _IDENTIFIER.fullmatch(value):
        return [(name, "format", "1 to 128 of A-Z a-z 0-9 . _ : / # - required")]
    return []


def _timestamp_problems(
    candidate: dict[str, Any], settings: Settings, now: int, timed: bool
) -> list[Problem]:
    if "timestamp" not in candidate:
        if timed:
            return [("timestamp", "required", "required")]
        if "reading_id" in candidate:
            return [("timestamp", "required", "required with reading_id: a retry would get another time")]
        return []
    given = candidate["timestamp"]
    if not isinstance(given, str | Decimal):
        return [("timestamp", "type", "epoch milliseconds or an RFC 3339 string required")]
    moment = moments.from_rfc_3339(given) if isinstance(given, str) else given
    if moment is None:
        return [("timestamp", "format", "not an RFC 3339 time")]
    earliest = max(0, now - settings.past_days * moments.DAY)
    latest = min(moments.LAST, now + settings.future_minutes * 60_000)
    if not earliest <= moment <= latest:
        window = f"{moments.iso(earliest)} to {moments.iso(latest)}"
        return [("timestamp", "range", f"outside {window}, in epoch milliseconds or RFC 3339")]
    return []


def metric_problems(metrics: Any) -> list[Problem]:
    """Everything wrong with a reading's `sensor_data`."""
    if not isinstance(metrics, dict):
        return [("sensor_data", "type", "an object required")]
    if len(metrics) > MOST_METRICS:
        return [("sensor_data", "count", f"at most {MOST_METRICS} metrics")]
    found = []
    if not all(map(_well_named, metrics.values())) or not all(_good_name(name) for name in metrics):
        found.append(("sensor_data", "name", f"names must have 1 to {LONGEST_NAME} characters"))
    for name in MAIN_METRICS:
        if name in metrics and not isinstance(metrics[name], Decimal):
            found.append((f"sensor_data.{name}", "type", "number required"))
    temperature = metrics.get("temperature")
    if isinstance(temperature, Decimal) and abs(temperature) > _HOTTEST:
        found.append(("sensor_data.temperature", "range", "out of the range of numbers in Fahrenheit"))
    if not found and len(attributes.encode(metrics)[1]) > MOST_BYTES:
        found.append(("sensor_data", "size", f"at most {MOST_BYTES} bytes as JSON"))
    return found


_HOTTEST = Decimal("5E125")


def _good_name(name: str) -> bool:
    return 1 <= len(name) <= LONGEST_NAME


def _well_named(value: Any) -> bool:
    """DynamoDB has no empty attribute names, at no depth."""
    if isinstance(value, dict):
        return all(_good_name(name) and _well_named(inner) for name, inner in value.items())
    return not isinstance(value, list) or all(map(_well_named, value))


def make(candidate: dict[str, Any], now: int) -> Reading:
    """The reading of a candidate without problems; `now` is its time if it brings none."""
    given = candidate.get("timestamp", Decimal(now))
    exact = moments.from_rfc_3339(given) if isinstance(given, str) else given
    assert exact is not None
    device_id, reading_id, metrics = (
        candidate["device_id"],
        candidate.get("reading_id"),
        candidate["sensor_data"],
    )
    sensor_data, text = attributes.encode(metrics)
    # The time counts with all its digits: two readings within one millisecond keep different keys.
    canonical = f"{json.dumps([device_id, attributes.canonical_number(exact), reading_id])}{text}"
    return Reading(device_id, int(exact), _digits(canonical), reading_id, metrics, sensor_data, text)


def _digits(canonical: str) -> str:
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:16], "big")
    return f"{number % 10**18:018}"
