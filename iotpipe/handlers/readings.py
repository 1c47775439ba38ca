"""Readings: what a valid one is, and the keys it gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import attributes, clock, identifiers, parsing, times
from iotpipe.handlers.attributes import Attribute
from iotpipe.handlers.parsing import Document, Flaw, Problem, Repeating, quoted
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Request, detail, invalid

MAIN_METRICS = ("temperature", "humidity", "pressure")
MOST_METRICS = 100
LONGEST_NAME = 255
# Of canonical JSON. In a DynamoDB item each of its values takes at most two bytes more than in JSON, `[]` for one
# has four of the 400 KB; and as a message it fits a queue that was made with the older limit of 256 KiB.
MOST_BYTES = 250_000
# In Fahrenheit, anything hotter would be beyond DynamoDB's numbers.
_HOTTEST = Decimal("5E125")
_FIELDS = {"device_id", "sensor_data", "timestamp", "reading_id"}


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
        return f"{times.iso(self.timestamp)}#{self.digits}"

    @property
    def key(self) -> tuple[str, str]:
        return self.device_id, self.raw_key


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a reading without a time of its own gets: the request's time, and what no other reading has.

    `origin` is of the request, `index` the reading's place in it. Equal values within one millisecond are the most
    usual thing there is, and each is a reading.
    """

    time: int
    origin: str
    index: int


@dataclass(frozen=True, slots=True)
class Examined:
    """A body's readings in their order, each as it is or as everything that is wrong with it.

    `single` is a reading by itself rather than in a batch.
    """

    readings: list[Reading | list[Problem]]
    single: bool

    @property
    def good(self) -> list[Reading]:
        return [found for found in self.readings if isinstance(found, Reading)]


def result(index: int, reading: Reading, status: str, reason: str | None) -> dict[str, Any]:
    """What became of one reading, for an answer; a `reason` makes it a failure."""
    known = {"index": index, "device_id": reading.device_id, "timestamp": reading.timestamp}
    return known | ({"status": status} if reason is None else {"status": "failed", "reason": reason})


def from_request(request: Request, settings: Settings, timed: bool) -> Examined:
    """The body's readings, good and bad. `timed` requires a timestamp of each.

    Raises Refused for a body that cannot be taken apart into readings.
    """
    document = _document(request)
    candidates, single = _candidates(document.value, settings)
    now = clock.now()
    time = request.received_at(now)
    found = []
    for index, candidate in enumerate(candidates):
        arrival = None if timed else Arrival(time, request.origin, index)
        flaws = [] if document.sound else list(parsing.flaws(candidate))
        found.append(examine(candidate, settings, now, arrival, flaws))
    return Examined(found, single)


def all_good(examined: Examined) -> list[Reading]:
    """The readings, if there is none but good ones. Raises Refused with everything that is wrong with the others."""
    wrong = [(index, found) for index, found in enumerate(examined.readings) if not isinstance(found, Reading)]
    if wrong:
        places = [(None if examined.single else index, problem) for index, found in wrong for problem in found]
        raise invalid([detail(*problem, index) for index, problem in places])
    return examined.good


def _document(request: Request) -> Document:
    try:
        return parsing.parse(request.body())
    except parsing.NotJson as error:
        raise invalid([detail("body", error.code, str(error))]) from None


def _candidates(document: Any, settings: Settings) -> tuple[list[Any], bool]:
    if isinstance(document, dict) and "readings" in document:
        wrong = [detail(*problem) for problem in _foreign(document, {"readings"}, "a batch")]
        if isinstance(document, Repeating):
            wrong += [detail(quoted(name), "duplicate_key", "named more than once") for name in document.repeated]
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


def examine(
    candidate: Any, settings: Settings, now: int, arrival: Arrival | None = None, flaws: Sequence[Problem] = ()
) -> Reading | list[Problem]:
    """The reading that a parsed JSON value is, or everything that is wrong with it.

    Without an `arrival` it needs a time of its own. `flaws` are what the parser has found in it.
    """
    flawed = {field for field, _, _ in flaws}
    wrong: list[Problem] = [(field or "reading", code, message) for field, code, message in flaws]
    wrong += [problem for problem in _problems(candidate, settings, now, arrival) if problem[0] not in flawed]
    return wrong or _made(candidate, arrival)


def _problems(candidate: Any, settings: Settings, now: int, arrival: Arrival | None) -> list[Problem]:
    if not isinstance(candidate, dict):
        return [] if isinstance(candidate, Flaw) else [("reading", "type", "an object required")]
    return [
        *_foreign(candidate, _FIELDS, "a reading"),
        *identifier_problems(candidate, "device_id", required=True),
        *identifier_problems(candidate, "reading_id", required=False),
        *_timestamp_problems(candidate, settings, now, arrival),
        *metric_problems(candidate),
    ]


def _moment(given: Any) -> Decimal | None:
    if isinstance(given, str):
        return times.from_rfc_3339(given)
    return given if isinstance(given, Decimal) else None


def _made(candidate: dict[str, Any], arrival: Arrival | None) -> Reading | list[Problem]:
    sensor_data, text = attributes.encode(candidate["sensor_data"])
    if len(text) > MOST_BYTES:
        return [("sensor_data", "size", f"at most {MOST_BYTES} bytes as JSON in ASCII, others than that as \\uXXXX")]
    device_id, reading_id = candidate["device_id"], candidate.get("reading_id")
    moment = _moment(candidate.get("timestamp"))
    # The time counts with all its digits: two readings within one millisecond keep different keys.
    identity: list[Any] = [device_id, None if moment is None else attributes.canonical_number(moment), reading_id]
    if moment is None and arrival:
        moment = Decimal(arrival.time)
        identity += [arrival.time, arrival.origin, arrival.index]
    milliseconds = int(moment or 0)
    digits = _digits(json.dumps(identity) + text)
    return Reading(device_id, milliseconds, digits, reading_id, candidate["sensor_data"], sensor_data, text)


def _digits(canonical: str) -> str:
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:16], "big")
    return f"{number % 10**18:018}"


def identifier_problems(candidate: dict[str, Any], name: str, required: bool) -> list[Problem]:
    if name not in candidate:
        return [(name, "required", "required")] if required else []
    problem = identifiers.problem(candidate[name])
    return [(name, *problem)] if problem else []


def _timestamp_problems(
    candidate: dict[str, Any], settings: Settings, now: int, arrival: Arrival | None
) -> list[Problem]:
    if "timestamp" not in candidate:
        if arrival and "reading_id" not in candidate:
            return []
        reason = " with reading_id: a retry would get another time" if arrival else ""
        return [("timestamp", "required", f"required{reason}")]
    given = candidate["timestamp"]
    if not isinstance(given, str | Decimal):
        return [("timestamp", "type", "epoch milliseconds or an RFC 3339 string required")]
    moment = _moment(given)
    if moment is None:
        return [("timestamp", "format", times.why_not(str(given)))]
    if isinstance(given, Decimal) and (evident := times.not_milliseconds(given)):
        return [("timestamp", "range", evident)]
    earliest = max(0, now - settings.past_days * times.DAY)
    latest = min(times.LAST, now + settings.future_minutes * 60_000)
    if not earliest <= moment <= latest:
        window = f"{times.iso(earliest)} to {times.iso(latest)}"
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


def _well_named(value: Any, levels: int = parsing.DEEPEST) -> bool:
    """DynamoDB has no empty attribute names, at no depth. What is nested deeper is refused for that."""
    if levels == 0:
        return True
    if isinstance(value, dict):
        return all(1 <= len(name) <= LONGEST_NAME and _well_named(inner, levels - 1) for name, inner in value.items())
    return not isinstance(value, list) or all(_well_named(inner, levels - 1) for inner in value)
