"""The queue's message, which ingestion writes and the processor reads. It contains the row's key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import parsing, reading_keys, readings, times
from iotpipe.handlers.parsing import Problem
from iotpipe.handlers.readings import Reading

VERSION = 1
# A message has some members more than its reading: a reading that ingestion accepted must not be too large here.
_MAX_VALUES = parsing.MAX_VALUES + 10


class Poison(ValueError):
    """A message that can never be processed, however often it is retried. The text never quotes it."""


@dataclass(frozen=True, slots=True)
class Message:
    """The reading that the processor stores, with the key from ingestion."""

    device_id: str
    event_date: str
    timestamp: int
    reading_id: str | None
    received_at: str
    metrics: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        return self.device_id, self.event_date


def write(reading: Reading, received_at: str) -> str:
    """Return a message body in ASCII: SQS refuses some characters, and its limits are in bytes."""
    head = {
        "version": VERSION,
        "device_id": reading.device_id,
        "event_date": reading.event_date,
        "timestamp": reading.timestamp,
        "received_at": received_at,
    }
    if reading.reading_id is not None:
        head["reading_id"] = reading.reading_id
    return f'{json.dumps(head)[:-1]}, "sensor_data": {reading.text}}}'


def from_reading(reading: Reading, received_at: str) -> Message:
    """Return the message of a reading that does not go through the queue."""
    return Message(
        device_id=reading.device_id,
        event_date=reading.event_date,
        timestamp=reading.timestamp,
        reading_id=reading.reading_id,
        received_at=received_at,
        metrics=reading.metrics,
    )


def read(body: Any) -> Message:
    """Parse a message body. Raises Poison for anything that `write` could not have written."""
    document = _document(body)
    problems = [f"{field}: {message}" for field, _, message in _problems(document)]
    if problems:
        raise Poison("; ".join(problems))
    return Message(
        device_id=document["device_id"],
        event_date=document["event_date"],
        timestamp=int(document["timestamp"]),
        reading_id=document.get("reading_id"),
        received_at=document["received_at"],
        metrics=document["sensor_data"],
    )


def _document(body: Any) -> dict[str, Any]:
    if not isinstance(body, str):
        raise Poison("no text")
    try:
        document = parsing.parse(body, _MAX_VALUES)
    except parsing.NotJson as error:
        raise Poison(str(error)) from None
    flaws = [] if document.is_flawless else sorted({message for _, _, message in parsing.flaws(document.value)})
    if flaws:
        raise Poison("; ".join(flaws))
    if not _is_message(document.value):
        raise Poison("not a message from ingestion")
    members: dict[str, Any] = document.value
    return members


def _is_message(document: Any) -> bool:
    version = document.get("version") if isinstance(document, dict) else None
    return isinstance(version, Decimal) and version == VERSION


def _problems(document: dict[str, Any]) -> list[Problem]:
    problems = readings.metric_problems(document)
    problems += readings.identifier_problems(document, "device_id", required=True)
    problems += readings.identifier_problems(document, "reading_id", required=False)
    timestamp = document.get("timestamp")
    if not isinstance(timestamp, Decimal) or not 0 <= timestamp <= times.LAST or timestamp % 1:
        problems.append(("timestamp", "type", "epoch milliseconds required"))
    elif not reading_keys.is_event_date(document.get("event_date"), int(timestamp)):
        problems.append(("event_date", "format", "not a key of the processed table for this timestamp"))
    received_at = document.get("received_at")
    if not isinstance(received_at, str) or times.from_rfc_3339(received_at) is None:
        problems.append(("received_at", "type", "an RFC 3339 time required"))
    return problems
