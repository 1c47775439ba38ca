"""Readings: what a valid one is, and the keys it gets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import attributes, clock, identifiers, moments, parsing
from iotpipe.handlers.attributes import Attribute
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Request, detail, invalid, quoted

MAIN_METRICS = ("temperature", "humidity", "pressure")
MOST_METRICS = 100
LONGEST_NAME = 255
# Of canonical JSON. In a DynamoDB item each of its values takes at most two bytes more than in JSON, `[]` for one
# has four of the 400 KB; and as a message it fits a queue that was made with the older limit of 256 KiB.
MOST_BYTES = 250_000
# In Fahrenheit, anything hotter would be beyond DynamoDB's numbers.
_HOTTEST = Decimal("5E125")
_FIELDS = {"device_id", "sensor_data", "timestamp", "reading_id"}

Problem = tuple[str, str, str]  # field, code, message


@dataclass(frozen=True, slots=True)
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
        """The raw table's range key: the millisecond, the hash behind the point, as DynamoDB writes numbers."""
        return f"{self.timestamp}.{self.digits}".rstrip("0").rstrip(".")

    @property
    def event_date(self) -> str:
        """The processed table's range key."""
        return f"{moments.iso(self.timestamp)}#{self.digits}"

    @property
    def key(self) -> tuple[str, str]:
        return self.device_id, self.raw_key


def result(index: int, reading: Reading, status: str, reason: str | None) -> dict[str, Any]:
    """What became of one reading, for an answer; a `reason` makes it a failure."""
    known = {"index": index, "device_id": reading.device_id, "timestamp": reading.timestamp}
    return known | ({"status": "failed", "reason": reason} if reason else {"status": status})


def from_request(request: Request, settings: Settings, timed: bool) -> tuple[list[Reading], bool]:
    """The body's readings, and whether it was a single one rather than a batch.

    `timed` requires a timestamp of each. Raises Refused with everything that is wrong.
    """
    candidates, single = _candidates(_document(request), settings)
    now = clock.now()
    found: list[Reading] = []
    details: list[dict[str, Any]] = []
    for index, candidate in enumerate(candidates):
        examined = examine(candidate, settings, now, timed)
        if isinstance(examined, Reading):
            found.append(examined)
        else:
            details += [detail(*problem, None if single else index) for problem in examined]
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
        wrong = [detail(*problem) for problem in _foreign(document, {"readings"}, "a batch")]
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


def _foreign(members: dict[str, Any], own: set[str], what: str) -> list[Problem]:
    """Unknown fields are refused: what is not understood would be lost, and a mistyped name is not noticed."""
    return [(quoted(name), "unknown", f"not a field of {what}") for name in members if name not in own]


def examine(candidate: Any, settings: Settings, now: int, timed: bool) -> Reading | list[Problem]:
    """The reading that a parsed JSON value is, or everything that is wrong with it.

    `now` is its time if it brings none, which `timed` does not allow.
    """
    if not isinstance(candidate, dict):
        return [("reading", "type", "an object required")]
    moment = _moment(candidate, now)
    wrong = _foreign(candidate, _FIELDS, "a reading")
    wrong += identifier_problems(candidate, "device_id", required=True)
    wrong += identifier_problems(candidate, "reading_id", required=False)
    wrong += _timestamp_problems(candidate, moment, settings, now, timed)
    wrong += metric_problems(candidate)
    if wrong or moment is None:
        return wrong
    return _sized(candidate, moment)


def _moment(candidate: dict[str, Any], now: int) -> Decimal | None:
    given = candidate.get("timestamp", Decimal(now))
    if isinstance(given, str):
        return moments.from_rfc_3339(given)
    return given if isinstance(given, Decimal) else None


def _sized(candidate: dict[str, Any], moment: Decimal) -> Reading | list[Problem]:
    sensor_data, text = attributes.encode(candidate["sensor_data"])
    if len(text) > MOST_BYTES:
        return [("sensor_data", "size", f"at most {MOST_BYTES} bytes as JSON")]
    device_id, reading_id = candidate["device_id"], candidate.get("reading_id")
    # The time counts with all its digits: two readings within one millisecond keep different keys.
    canonical = json.dumps([device_id, attributes.canonical_number(moment), reading_id]) + text
    return Reading(device_id, int(moment), _digits(canonical), reading_id, candidate["sensor_data"], sensor_data, text)


def _digits(canonical: str) -> str:
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:16], "big")
    return f"{number % 10**18:018}"


def identifier_problems(candidate: dict[str, Any], name: str, required: bool) -> list[Problem]:
    if name not in candidate:
        return [(name, "required", "required")] if required else []
    problem = identifiers.problem(candidate[name])
    return [(name, *problem)] if problem else []


def _timestamp_problems(
    candidate: dict[str, Any], moment: Decimal | None, settings: Settings, now: int, timed: bool
) -> list[Problem]:
    if "timestamp" not in candidate:
        if not timed and "reading_id" not in candidate:
            return []
        reason = "" if timed else " with reading_id: a retry would get another time"
        return [("timestamp", "required", f"required{reason}")]
    if not isinstance(candidate["timestamp"], str | Decimal):
        return [("timestamp", "type", "epoch milliseconds or an RFC 3339 string required")]
    if moment is None:
        return [("timestamp", "format", "not an RFC 3339 time")]
    earliest = max(0, now - settings.past_days * moments.DAY)
    latest = min(moments.LAST, now + settings.future_minutes * 60_000)
    if not earliest <= moment <= latest:
        window = f"{moments.iso(earliest)} to {moments.iso(latest)}"
        return [("timestamp", "range", f"outside {window}; epoch milliseconds or RFC 3339 required")]
    return []


def metric_problems(candidate: dict[str, Any]) -> list[Problem]:
    """Everything wrong with a reading's `sensor_data`, but for its size."""
    if "sensor_data" not in candidate:
        return [("sensor_data", "required", "required")]
    metrics = candidate["sensor_data"]
    if not isinstance(metrics, dict):
        return [("sensor_data", "type", "an object required")]
    found = []
    if len(metrics) > MOST_METRICS:
        found.append(("sensor_data", "count", f"at most {MOST_METRICS} metrics"))
    if not _well_named(metrics):
        found.append(("sensor_data", "name", f"names must have 1 to {LONGEST_NAME} characters"))
    for name in MAIN_METRICS:
        if name in metrics and not isinstance(metrics[name], Decimal):
            found.append((f"sensor_data.{name}", "type", "number required"))
    temperature = metrics.get("temperature")
    if isinstance(temperature, Decimal) and abs(temperature) > _HOTTEST:
        found.append(("sensor_data.temperature", "range", f"at most {_HOTTEST} either way"))
    return found


def _well_named(value: Any) -> bool:
    """DynamoDB has no empty attribute names, at no depth."""
    if isinstance(value, dict):
        return all(1 <= len(name) <= LONGEST_NAME and _well_named(inner) for name, inner in value.items())
    return not isinstance(value, list) or all(map(_well_named, value))
