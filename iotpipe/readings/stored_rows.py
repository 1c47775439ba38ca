"""Stored rows from GET /query, and the identities of the readings that they were made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.readings import api_pages, exact_json
from iotpipe.readings.api_client import Api, Parameters
from iotpipe.readings.generate import Reading
from iotpipe.times import iso, milliseconds

MAIN_METRICS = ("temperature", "humidity", "pressure")
MAX_ROWS = 1000
"""The most rows that one GET returns."""

Row = dict[str, Any]
ReadingKey = tuple[int, str]
"""A reading's time and id, unique per device."""
Identity = tuple[int, str, str]
"""A reading's time, id and canonical values: equal identities are the same reading."""


@dataclass(frozen=True)
class Page:
    """One response: its rows or buckets, and whether there are more."""

    items: list[Row]
    more: bool


def pages(api: Api, parameters: Parameters) -> Iterator[Page]:
    """All pages of a query. Raises UsageError for a 400 and IotpipeError for any other error."""
    for document in api_pages.documents(api, "/query", parameters):
        yield Page(document["items"], "next_token" in document)


def reading_identity(reading: Reading) -> Identity:
    return reading.timestamp, reading.reading_id, exact_json.canonical(dict(reading.metrics))


def raw_identity(row: Row) -> Identity:
    """The identity of a raw row's reading. The row's key is the millisecond, a decimal point and a hash."""
    return int(Decimal(row["timestamp"])), row.get("reading_id", ""), exact_json.canonical(row.get("sensor_data"))


def processed_identity(row: Row) -> Identity:
    """The identity of a processed row's reading. A row with a processing error matches no reading."""
    others = row.get("sensor_data") or {}
    metrics = dict(others) if isinstance(others, dict) else {"sensor_data": others}
    metrics |= {name: row[name] for name in MAIN_METRICS if name in row}
    error = _processing_error(row)
    values = exact_json.canonical(metrics) + (f" but {error}" if error else "")
    return row.get("timestamp", 0), str(row.get("reading_id", "")), values


IDENTITIES: dict[str, Callable[[Row], Identity]] = {"raw": raw_identity, "processed": processed_identity}
"""How to read the identity from a row, by table."""


def metrics(row: Row) -> dict[str, Any]:
    """The values that the device sent, from a row of either table, main metrics first."""
    values = {name: row[name] for name in MAIN_METRICS if name in row}
    others = row.get("sensor_data") or {}
    return values | {name: others[name] for name in (*MAIN_METRICS, *sorted(others)) if name in others}


def timestamp(row: Row) -> int:
    """A row's time in epoch milliseconds."""
    return int(Decimal(row["timestamp"]))


def received_at(row: Row) -> int | None:
    """When ingestion received the reading, in epoch milliseconds; None if the row has no valid `received_at`."""
    return _milliseconds(row.get("received_at"))


def _milliseconds(text: Any) -> int | None:
    try:
        return milliseconds(text)
    except (TypeError, ValueError):
        return None


def _processing_error(row: Row) -> str:
    """The first attribute that is not as the processor must have written it; empty if all are right."""
    if type(row.get("timestamp")) is not int:
        return f"timestamp {row.get('timestamp')}"
    for name in ("received_at", "processed_at"):
        if _milliseconds(row.get(name)) is None:
            return f"{name} {row.get(name)}"
    if not str(row.get("event_date", "")).startswith(f"{iso(row['timestamp'])}#"):
        return f"event_date {row.get('event_date')}"
    if row.get("status") != "processed":
        return f"status {row.get('status')}"
    if "temperature" not in row:
        return ""
    celsius, fahrenheit = row.get("temperature_celsius"), row.get("temperature_fahrenheit")
    if celsius != row["temperature"]:
        return f"temperature_celsius {celsius}"
    return "" if fahrenheit == exact_json.fahrenheit(row["temperature"]) else f"temperature_fahrenheit {fahrenheit}"
