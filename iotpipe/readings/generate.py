"""Readings as a device sends them, and devices that make realistic ones: the same seed, the same readings."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from iotpipe.readings import exact_json
from iotpipe.times import iso

DAY = 86_400_000
_CHARGED = 90
"""Days between two charges of a device's battery."""
_FIRST_MILLISECONDS = 100_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: `timestamp` in epoch milliseconds, `line` where it stands in a file (0 in none).

    It always has its own time, so that sending it again stores nothing anew.
    """

    device_id: str
    timestamp: int
    metrics: Mapping[str, Any]
    reading_id: str = ""
    line: int = 0

    def document(self) -> dict[str, Any]:
        """As POST /ingest takes it."""
        head: dict[str, Any] = {"device_id": self.device_id, "timestamp": written(self.timestamp)}
        if self.reading_id:
            head["reading_id"] = self.reading_id
        return {**head, "sensor_data": dict(self.metrics)}

    def __str__(self) -> str:
        place = f" (line {self.line})" if self.line else ""
        return f"{self.device_id} at {iso(self.timestamp)}{place}"


def body(readings: Sequence[Reading]) -> str:
    """The body of a POST: one reading by itself, several as a batch."""
    if len(readings) == 1:
        return exact_json.dumps(readings[0].document())
    return exact_json.dumps({"readings": [reading.document() for reading in readings]})


def written(milliseconds: int) -> int | str:
    """A time as the API takes it: a number that could be epoch seconds is refused there, the same as text is not."""
    return milliseconds if milliseconds >= _FIRST_MILLISECONDS else iso(milliseconds)


def device_names(count: int) -> list[str]:
    """sensor-001, sensor-002, …"""
    return [f"sensor-{number:0{max(3, len(str(count)))}}" for number in range(1, count + 1)]


def generate(devices: int, count: int, seed: int, until: int) -> Iterator[Reading]:
    """`count` readings of `devices` devices together, in the order of time, the last one at `until`.

    A device's readings span about a day, so that its daily cycle shows, but lie a minute apart at least and an
    hour at most; and, however many there are, within 300 days.
    """
    makers = [_Device(name, index, seed) for index, name in enumerate(device_names(devices))]
    rounds = -(-count // devices)
    apart = max(min(DAY // rounds, 3_600_000), 60_000)
    apart = max(1, min(apart, 300 * DAY // rounds))

    def place(number: int) -> int:
        # The devices of one round follow one another within the interval: no two send in one instant.
        return number // devices * apart + number % devices * (apart // devices)

    for number in range(count):
        moment = until - place(count - 1) + place(number)
        yield makers[number % devices].measure(moment, number // devices)


class _Device:
    """One device. Its climate and its instruments follow from its name, so that every sending goes on with the same;
    the seed makes the noise."""

    def __init__(self, name: str, index: int, seed: int) -> None:
        self.name = name
        self.label = f"{seed}-{index + 1}"
        self.random = random.Random(f"{seed}/{name}")
        climate = random.Random(name)
        self.base = climate.uniform(14, 22)
        self.swing = climate.uniform(3, 8)
        self.drift = climate.uniform(-0.15, 0.15)
        self.peak = climate.uniform(13.5, 16)
        self.height = climate.uniform(0, 25)
        self.charge = climate.uniform(85, 100)
        self.on_battery = index % 2 == 0

    def measure(self, moment: int, number: int) -> Reading:
        days = moment / DAY
        warmth = math.cos((days * 24 - self.peak) * math.pi / 12)
        weather = math.sin(days * 2 * math.pi / 5.3 + self.height)
        noise = self.random.gauss
        metrics = {
            "temperature": _places(
                self.base + self.swing * warmth + 2 * weather + self.drift * (days % 30) + noise(0, 0.15), 2
            ),
            "humidity": _places(min(99.0, max(12.0, 58 - 18 * warmth - 6 * weather + noise(0, 0.8))), 1),
            "pressure": _places(1013 - self.height - 7 * weather + noise(0, 0.12), 2),
        }
        if self.on_battery:
            metrics["battery"] = _places(self.charge - days % _CHARGED * 0.9, 1)
        return Reading(self.name, moment, metrics, f"{self.label}-{number + 1}")


def _places(value: float, places: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-places))
