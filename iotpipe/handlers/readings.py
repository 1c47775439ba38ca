"""Validates readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from iotpipe.handlers import attributes, clock, identifiers, parsing, reading_keys, times
from iotpipe.handlers.attributes import Attribute
from iotpipe.handlers.parsing import Document, DuplicateNames, Flaw, Problem, quoted
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Request, detail, invalid

MAIN_METRICS = ("temperature", "humidity", "pressure")
MAX_METRICS = 100
MAX_NAME_LENGTH = 255
# Of canonical JSON. In a DynamoDB item (400 KB) a value takes at most two bytes more than in JSON: `[]` takes four.
# As a message it fits into a queue that was created with the old limit of 256 KiB.
MAX_BYTES = 250_000
# A higher temperature in Fahrenheit would exceed DynamoDB's range of numbers.
_MAX_TEMPERATURE = Decimal("5E125")
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
        """The raw table's range key."""
        return reading_keys.raw_key(self.timestamp, self.digits)

    @property
    def event_date(self) -> str:
        """The processed table's range key."""
        return reading_keys.event_date(self.timestamp, self.digits)

    @property
    def key(self) -> tuple[str, str]:
        return self.device_id, self.raw_key


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a reading without its own words: when it arrived, and perhaps the device that sent it.

    A reading without a timestamp gets `time`. `origin` names the request or message, `index` is the reading's position
    in it: they distinguish equal readings within one millisecond, which are common and must all be stored.
    """

    time: int
    origin: str
    index: int = 0
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """A body's readings in their order, each as a valid reading or as its list of problems.

    `single` means that the body is one reading instead of a batch.
    """

    readings: list[Reading | list[Problem]]
    single: bool

    @property
    def valid(self) -> list[Reading]:
        return [reading for reading in self.readings if isinstance(reading, Reading)]


def result(index: int, reading: Reading, status: str, reason: str | None) -> dict[str, Any]:
    """Return the result of one reading for an answer; with a `reason` it is a failure."""
    identity = {"index": index, "device_id": reading.device_id, "timestamp": reading.timestamp}
    return identity | ({"status": status} if reason is None else {"status": "failed", "reason": reason})


def from_request(request: Request, settings: Settings, needs_timestamp: bool) -> ParsedBody:
    """Parse and validate the body's readings. With `needs_timestamp` each must have a timestamp.

    Raises Refused for a body that cannot be split into readings.
    """
    now = clock.now()
    arrival = None if needs_timestamp else Arrival(request.received_at(now), request.origin)
    return from_text(request.body(), settings, now, arrival)


def from_text(text: str, settings: Settings, now: int, arrival: Arrival | None) -> ParsedBody:
    """Parse and validate the readings of a JSON text that arrived as a whole; `now` is what their times are judged by.

    Without an `arrival` each reading must have a timestamp. Raises Refused for a text that cannot be split into
    readings.
    """
    document = _document(text)
    candidates, single = _candidates(document.value, settings)
    results = []
    for index, candidate in enumerate(candidates):
        own = arrival and replace(arrival, index=index)
        flaws = [] if document.is_flawless else list(parsing.flaws(candidate))
        results.append(validate(candidate, settings, now, own, flaws))
    return ParsedBody(results, single)


def require_valid(body: ParsedBody) -> list[Reading]:
    """Return the readings if all are valid. Raises Refused with the problems of all invalid ones."""
    rejected = [(index, problems) for index, problems in enumerate(body.readings) if not isinstance(problems, Reading)]
    if rejected:
        raise invalid(
            [detail(*problem, None if body.single else index) for index, problems in rejected for problem in problems]
        )
    return body.valid


def _document(text: str) -> Document:
    try:
        return parsing.parse(text)
    except parsing.NotJson as error:
        raise invalid([detail("body", error.code, str(error))]) from None


def _candidates(document: Any, settings: Settings) -> tuple[list[Any], bool]:
    if isinstance(document, dict) and "readings" in document:
        details = [detail(*problem) for problem in _unknown_fields(document, {"readings"}, "a batch")]
        if isinstance(document, DuplicateNames):
            details += [detail(quoted(name), "duplicate_key", "named more than once") for name in document.repeated]
        document = document["readings"]
        if not isinstance(document, list):
            details.append(detail("readings", "type", "an array of readings required"))
        if details:
            raise invalid(details)
    if not isinstance(document, list):
        return [document], True
    if not 1 <= len(document) <= settings.max_readings:
        raise invalid([detail("readings", "count", f"1 to {settings.max_readings} readings required")])
    return document, False


def _unknown_fields(members: dict[str, Any], own: set[str], what: str) -> list[Problem]:
    """Return the problems of unknown fields: ignoring them would lose data and hide mistyped names."""
    return [(quoted(name), "unknown", f"not a field of {what}") for name in members if name not in own]


def validate(
    candidate: Any, settings: Settings, now: int, arrival: Arrival | None = None, flaws: Sequence[Problem] = ()
) -> Reading | list[Problem]:
    """Return the reading of a parsed JSON value, or all its problems.

    Without an `arrival` the timestamp is required. `flaws` are the parser's findings in the value.
    """
    flawed = {field for field, _, _ in flaws}
    problems: list[Problem] = [(field or "reading", code, message) for field, code, message in flaws]
    problems += [problem for problem in _problems(candidate, settings, now, arrival) if problem[0] not in flawed]
    return problems or _build(candidate, arrival)


def _problems(candidate: Any, settings: Settings, now: int, arrival: Arrival | None) -> list[Problem]:
    if not isinstance(candidate, dict):
        return [] if isinstance(candidate, Flaw) else [("reading", "type", "an object required")]
    return [
        *_unknown_fields(candidate, _FIELDS, "a reading"),
        *_device_problems(candidate, arrival.device_id if arrival else None),
        *identifier_problems(candidate, "reading_id", required=False),
        *_timestamp_problems(candidate, settings, now, arrival),
        *metric_problems(candidate),
    ]


def _parse_time(given: Any) -> Decimal | None:
    if isinstance(given, str):
        return times.from_rfc_3339(given)
    return given if isinstance(given, Decimal) else None


def _build(candidate: dict[str, Any], arrival: Arrival | None) -> Reading | list[Problem]:
    sensor_data, text = attributes.encode(candidate["sensor_data"])
    if len(text) > MAX_BYTES:
        return [("sensor_data", "size", f"at most {MAX_BYTES} bytes as JSON, with non-ASCII characters as \\uXXXX")]
    device_id = str(candidate.get("device_id") or (arrival and arrival.device_id))
    reading_id = candidate.get("reading_id")
    time = _parse_time(candidate.get("timestamp"))
    # The identity has the timestamp with all its digits, so two readings within one millisecond get different keys.
    identity: list[Any] = [device_id, None if time is None else attributes.canonical_number(time), reading_id]
    if time is None and arrival:
        time = Decimal(arrival.time)
        identity += [arrival.time, arrival.origin, arrival.index]
    milliseconds = int(time or 0)
    digits = reading_keys.digits(identity, text)
    return Reading(device_id, milliseconds, digits, reading_id, candidate["sensor_data"], sensor_data, text)


def _device_problems(candidate: dict[str, Any], sender: str | None) -> list[Problem]:
    """Return the problems of the reading's device; a known sender can only send readings of its own."""
    problems = identifier_problems(candidate, "device_id", required=sender is None)
    if sender is not None and not problems and candidate.get("device_id", sender) != sender:
        problems.append(("device_id", "identity", "another device than the one that sent it; leave device_id out"))
    return problems


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
    time = _parse_time(given)
    if time is None:
        return [("timestamp", "format", times.why_not(str(given)))]
    if isinstance(given, Decimal) and (problem := times.not_milliseconds(given)):
        return [("timestamp", "range", problem)]
    earliest = max(0, now - settings.past_days * times.DAY)
    latest = min(times.LAST, now + settings.future_minutes * 60_000)
    if not earliest <= time <= latest:
        window = f"{times.iso(earliest)} to {times.iso(latest)}"
        return [("timestamp", "range", f"outside {window}; epoch milliseconds or RFC 3339 required")]
    return []


def metric_problems(candidate: dict[str, Any]) -> list[Problem]:
    """Return the problems of a reading's `sensor_data`, except for its size."""
    if "sensor_data" not in candidate:
        return [("sensor_data", "required", "required")]
    metrics = candidate["sensor_data"]
    if not isinstance(metrics, dict):
        return [("sensor_data", "type", "an object required")]
    problems = []
    if len(metrics) > MAX_METRICS:
        problems.append(("sensor_data", "count", f"at most {MAX_METRICS} metrics"))
    if not _well_named(metrics):
        problems.append(("sensor_data", "name", f"names must have 1 to {MAX_NAME_LENGTH} characters"))
    for name in MAIN_METRICS:
        if name in metrics and not isinstance(metrics[name], Decimal):
            problems.append((f"sensor_data.{name}", "type", "number required"))
    temperature = metrics.get("temperature")
    if isinstance(temperature, Decimal) and abs(temperature) > _MAX_TEMPERATURE:
        message = f"a number from -{_MAX_TEMPERATURE} to {_MAX_TEMPERATURE} required"
        problems.append(("sensor_data.temperature", "range", message))
    return problems


def _well_named(value: Any, levels: int = parsing.MAX_DEPTH) -> bool:
    """Whether no name is empty or too long, at any depth, as DynamoDB requires. Deeper values are flaws anyway."""
    if levels == 0:
        return True
    if isinstance(value, dict):
        return all(
            1 <= len(name) <= MAX_NAME_LENGTH and _well_named(inner, levels - 1) for name, inner in value.items()
        )
    return not isinstance(value, list) or all(_well_named(inner, levels - 1) for inner in value)
