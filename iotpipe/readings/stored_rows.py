"""Stored rows, as GET /query answers them, and the readings that they must have been made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.readings import exact_json
from iotpipe.readings.api_client import Api, refuse
from iotpipe.readings.generate import Reading
from iotpipe.times import iso, milliseconds

MAIN_METRICS = ("temperature", "humidity", "pressure")
MOST = 1000
"""Rows that one GET answers at most."""

Row = dict[str, Any]
Place = tuple[int, str]
"""A reading's time and id: where another reading must not stand."""
Identity = tuple[int, str, str]
"""Time, id and canonical values: whatever has the same is the same reading."""


@dataclass(frozen=True)
class Page:
    """One answer: its rows, and whether more follow it."""

    items: list[Row]
    more: bool


def pages(api: Api, parameters: Mapping[str, str]) -> Iterator[Page]:
    """All pages of a query. Raises IotpipeError where the API answers anything but rows, UsageError for a 400."""
    token: dict[str, str] = {}
    while True:
        answer = api.get("/query", {**parameters, **token})
        if answer.status != 200:
            refuse(answer)
            if answer.status == 400:
                said = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in answer.details())
                raise UsageError(f"the API refuses the query: {said or answer.brief()}")
            raise IotpipeError(f"the query is answered with {answer.brief()}", "`iotpipe logs` shows why")
        document = exact_json.loads(answer.body)
        yield Page(document["items"], "next_token" in document)
        if "next_token" not in document:
            return
        token = {"next_token": document["next_token"]}


def of_reading(reading: Reading) -> Identity:
    return reading.timestamp, reading.reading_id, exact_json.canonical(dict(reading.metrics))


def of_raw(row: Row) -> Identity:
    """The reading that a raw row holds. Its key has the millisecond before the point, a hash behind it."""
    return int(Decimal(row["timestamp"])), row.get("reading_id", ""), exact_json.canonical(row.get("sensor_data"))


def of_processed(row: Row) -> Identity:
    """The reading that a processed row was made of; its values carry a mark where the row contradicts itself."""
    others = row.get("sensor_data") or {}
    metrics = dict(others) if isinstance(others, dict) else {"sensor_data": others}
    metrics |= {name: row[name] for name in MAIN_METRICS if name in row}
    fault = _contradiction(row)
    moment = row.get("timestamp", 0)
    return moment, str(row.get("reading_id", "")), exact_json.canonical(metrics) + (f" but {fault}" if fault else "")


IDENTITIES: dict[str, Callable[[Row], Identity]] = {"raw": of_raw, "processed": of_processed}


def metrics(row: Row) -> dict[str, Any]:
    """The values that a device sent, from a row of either table, the main ones first."""
    values = {name: row[name] for name in MAIN_METRICS if name in row}
    others = row.get("sensor_data") or {}
    return values | {name: others[name] for name in (*MAIN_METRICS, *sorted(others)) if name in others}


def moment(row: Row) -> int:
    """A row's time in epoch milliseconds."""
    return int(Decimal(row["timestamp"]))


def received(row: Row) -> int | None:
    """When the reading of a row came in, in epoch milliseconds; None where the row does not say it."""
    return _milliseconds(row.get("received_at"))


def _milliseconds(text: Any) -> int | None:
    try:
        return milliseconds(text)
    except (TypeError, ValueError):
        return None


def _contradiction(row: Row) -> str:
    """What the processor must have added, and has not; also of a row that somebody else has put there."""
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
    celsius, warm = row.get("temperature_celsius"), row.get("temperature_fahrenheit")
    if celsius != row["temperature"]:
        return f"temperature_celsius {celsius}"
    return "" if warm == exact_json.fahrenheit(row["temperature"]) else f"temperature_fahrenheit {warm}"
