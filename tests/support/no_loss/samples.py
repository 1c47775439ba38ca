"""The readings of a run, and the facts by which a row is recognized as the reading that was sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from tests.support.handlers_world import NOON

DEVICES = 20
# A reading without a `timestamp` has few different values, so that many are equal.
_UNTIMED_DEVICES, _UNTIMED_VALUES = 3, 4

Sent = dict[str, Any]

BAD = {"device_id": "sensor-00", "timestamp": NOON - 1, "sensor_data": {"temperature": "warm", "n": 0}}
"""A reading that ingestion refuses."""


class Facts(NamedTuple):
    """What distinguishes readings with a time: equal facts are the same reading, sent again."""

    device_id: str
    milliseconds: int
    reading_id: str | None
    n: int
    temperature: Decimal


def timed_readings(count: int, dice: random.Random) -> list[Sent]:
    """Return readings with a `timestamp`: of each device about ten in a millisecond, of which some are equal."""
    return [_timed(dice, max(1, count // (10 * DEVICES))) for _ in range(count)]


def _timed(dice: random.Random, milliseconds: int) -> Sent:
    reading = {
        "device_id": f"sensor-{dice.randrange(DEVICES):02}",
        "timestamp": NOON - 1 - dice.randrange(milliseconds),
        "sensor_data": {"temperature": dice.randrange(-200, 200) / 10, "n": 0},
    }
    return reading | ({"reading_id": f"r-{dice.randrange(3)}"} if dice.random() < 0.2 else {})


def untimed_readings(count: int, dice: random.Random) -> list[Sent]:
    return [
        {
            "device_id": f"sensor-{dice.randrange(_UNTIMED_DEVICES):02}",
            "sensor_data": {"temperature": dice.randrange(_UNTIMED_VALUES) / 10, "n": 1},
        }
        for _ in range(count)
    ]


def batches(readings: list[Sent], dice: random.Random) -> Iterator[list[Sent]]:
    start = 0
    while start < len(readings):
        end = start + _batch_length(dice)
        yield readings[start:end]
        start = end


def _batch_length(dice: random.Random) -> int:
    """A tenth of the requests has one reading, another tenth more than ingestion stores and queues at once."""
    kind = dice.random()
    if kind < 0.1:
        return 1
    return dice.randrange(30, 120) if kind < 0.2 else dice.randrange(2, 20)


def facts(reading: Sent, arrived_at: int | None = None) -> Facts:
    """Return a reading's facts; `arrived_at` is the time of the request, for a reading without a `timestamp`."""
    metrics = reading["sensor_data"]
    return Facts(
        reading["device_id"],
        reading.get("timestamp", arrived_at),
        reading.get("reading_id"),
        metrics["n"],
        Decimal(str(metrics["temperature"])),
    )


def raw_facts(row: dict[str, Any]) -> Facts:
    metrics = row["sensor_data"]["M"]
    return _row_facts(row, metrics["n"], metrics["temperature"])


def processed_facts(row: dict[str, Any]) -> Facts:
    """Raises AssertionError if the temperature is converted wrongly."""
    assert Decimal(row["temperature_fahrenheit"]["N"]) == Decimal(row["temperature"]["N"]) * 9 / 5 + 32
    return _row_facts(row, row["sensor_data"]["M"]["n"], row["temperature"])


def _row_facts(row: dict[str, Any], n: dict[str, str], temperature: dict[str, str]) -> Facts:
    return Facts(
        row["device_id"]["S"],
        int(Decimal(row["timestamp"]["N"])),
        row.get("reading_id", {}).get("S"),
        int(n["N"]),
        Decimal(temperature["N"]),
    )
