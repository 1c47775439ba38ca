"""Generate realistic readings of simulated devices. The same seed gives the same readings."""

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
_CHARGE_INTERVAL = 90
"""Days between two charges of a device's battery."""
_FIRST_MILLISECONDS = 100_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: `timestamp` in epoch milliseconds, `line` its line number in a file (0 if generated).

    It always carries its time, which makes sending it idempotent.
    """

    device_id: str
    timestamp: int
    metrics: Mapping[str, Any]
    reading_id: str = ""
    line: int = 0

    def document(self) -> dict[str, Any]:
        """The reading as POST /ingest accepts it."""
        fields: dict[str, Any] = {"device_id": self.device_id, "timestamp": api_time(self.timestamp)}
        if self.reading_id:
            fields["reading_id"] = self.reading_id
        return {**fields, "sensor_data": dict(self.metrics)}

    def __str__(self) -> str:
        place = f" (line {self.line})" if self.line else ""
        return f"{self.device_id} at {iso(self.timestamp)}{place}"


def body(readings: Sequence[Reading]) -> str:
    """The body of a POST: a single reading, or a batch of several."""
    if len(readings) == 1:
        return exact_json.dumps(readings[0].document())
    return exact_json.dumps({"readings": [reading.document() for reading in readings]})


def api_time(milliseconds: int) -> int | str:
    """A time as the API accepts it: as ISO text if the number could be epoch seconds, which the API rejects."""
    return milliseconds if milliseconds >= _FIRST_MILLISECONDS else iso(milliseconds)


def device_names(count: int) -> list[str]:
    """sensor-001, sensor-002, …"""
    return [f"sensor-{number:0{max(3, len(str(count)))}}" for number in range(1, count + 1)]


def generate(devices: int, count: int, seed: int, until: int) -> Iterator[Reading]:
    """`count` readings of all `devices` devices together, ordered by time, the last one at `until`.

    The readings of a device span about a day, to show its daily cycle. The interval is between a minute and an hour,
    or less where the readings would span more than 300 days.
    """
    simulated = [_Device(name, index, seed) for index, name in enumerate(device_names(devices))]
    rounds = -(-count // devices)
    interval = max(min(DAY // rounds, 3_600_000), 60_000)
    interval = max(1, min(interval, 300 * DAY // rounds))

    def offset(number: int) -> int:
        # The devices of one round are spread over the interval, so that no two send at the same time.
        return number // devices * interval + number % devices * (interval // devices)

    for number in range(count):
        timestamp = until - offset(count - 1) + offset(number)
        yield simulated[number % devices].measure(timestamp, number // devices)


class _Device:
    """A simulated device. Its name determines its climate, so that later runs continue it; the seed gives the noise."""

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

    def measure(self, timestamp: int, number: int) -> Reading:
        days = timestamp / DAY
        warmth = math.cos((days * 24 - self.peak) * math.pi / 12)
        weather = math.sin(days * 2 * math.pi / 5.3 + self.height)
        noise = self.random.gauss
        metrics = {
            "temperature": _rounded(
                self.base + self.swing * warmth + 2 * weather + self.drift * (days % 30) + noise(0, 0.15), 2
            ),
            "humidity": _rounded(min(99.0, max(12.0, 58 - 18 * warmth - 6 * weather + noise(0, 0.8))), 1),
            "pressure": _rounded(1013 - self.height - 7 * weather + noise(0, 0.12), 2),
        }
        if self.on_battery:
            metrics["battery"] = _rounded(self.charge - days % _CHARGE_INTERVAL * 0.9, 1)
        return Reading(self.name, timestamp, metrics, f"{self.label}-{number + 1}")


def _rounded(value: float, places: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-places))
