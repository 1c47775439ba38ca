"""What the pipeline in the pictures has to do: a day of readings of eleven devices, and a quarter of an hour live.

Commands of the program send all of it. The name of a device and the time of a reading determine its values.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

PLACES = ("attic", "barn", "cellar", "garage", "greenhouse", "kitchen", "office", "pond", "stable", "workshop")
"""The devices that send all the time."""
GAP, SILENT = "greenhouse", "roof"
"""One of them sent nothing for two hours last night, and another device has sent nothing for some minutes."""

_MINUTE = 60
_HOUR = 60 * _MINUTE
_LIVE = (
    *((50, 5.0, 0), (40, 7.5, 0), (70, 6.5, 6), (50, 8.5, 0), (10, 36.0, 0), (60, 7.0, 0), (50, 9.5, 4), (40, 13.0, 0)),
    *((50, 10.0, 0), (40, 7.5, 6), (10, 28.0, 0), (60, 6.0, 0), (50, 5.0, 0), (40, 7.0, 2), (60, 9.0, 0), (50, 8.0, 0)),
    *((10, 42.0, 0), (60, 9.0, 6), (40, 7.0, 0), (60, 8.0, 0), (60, 7.0, 0)),
)
"""Seconds, readings per second and bad readings of each command that sends live readings, one after the other."""

Reading = dict[str, Any]


def history(now: float) -> Iterator[Reading]:
    """The readings of a day: one of a device every five minutes, of those with a gap and an end more often."""
    for at in range(int(now) - 24 * _HOUR, int(now), _MINUTE):
        ago = now - at
        if not 11 * _HOUR < ago < 13 * _HOUR:
            yield _reading(GAP, at)
        if at // _MINUTE % 5 == 0:
            yield from (_reading(each, at) for each in PLACES if each != GAP)
        if at // _MINUTE % 2 == 0 and ago > 6 * _MINUTE:
            yield _reading(SILENT, at)


def live() -> Iterator[tuple[Sequence[Reading], Sequence[str]]]:
    """Readings from now on, each with the options to send them with at about the time that they bear."""
    for seconds, rate, bad in _LIVE:
        now, count = time.time(), round(seconds * rate)
        readings = [_reading(PLACES[number % len(PLACES)], now + number / rate) for number in range(count)]
        yield readings, ("--rate", str(rate), "--batch", "5", "--bad", str(bad))


def _reading(device: str, at: float) -> Reading:
    """A reading of a device at a time in epoch seconds."""
    climate = random.Random(device)
    base, swing, late = climate.uniform(12, 21), climate.uniform(2, 6), climate.uniform(14, 16)
    noise = random.Random(f"{device} {at}").gauss
    hours = at / _HOUR
    warmth = math.cos((hours - late) * math.pi / 12)
    weather = math.sin(hours / 20)
    values = {
        "temperature": round(base + swing * warmth + weather + noise(0, 0.12), 2),
        "humidity": round(61 - 14 * warmth - 3 * weather + noise(0, 0.7), 1),
    }
    if device == GAP:
        # Carbon dioxide gathers at night, and water comes twice a day.
        values |= {"co2": round(540 - 110 * warmth + noise(0, 6)), "soil_moisture": round(42 - hours % 12 * 0.9, 1)}
    else:
        values["pressure"] = round(1009 - 6 * weather + noise(0, 0.1), 2)
    return {"device_id": device, "timestamp": round(at * 1000), **values}
