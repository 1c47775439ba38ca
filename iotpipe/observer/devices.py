"""Which devices have sent readings, when each was last heard of, and which of them are silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from iotpipe.handlers.readings import MAIN_METRICS
from iotpipe.observer.snapshot import Device, DeviceList
from iotpipe.observer.source import Sampled
from iotpipe.observer.tables import Tables
from iotpipe.provision.run import Run
from iotpipe.readings import exact_json
from iotpipe.times import milliseconds

LIMIT = 2000
"""Devices that are looked at: each takes two calls."""
_PATIENCE = 3
"""Usual intervals without a reading after which a device is silent."""
_LEAST = 300_000
"""Milliseconds after which a device is silent at the earliest."""
_SHARE = 20
"""Looking at the devices rests this many times as long as it took."""


class DeviceRows(Sampled):
    """Reads the newest rows of every device."""

    def __init__(self, tables: Tables, local: bool) -> None:
        super().__init__("devices", "Scan and Query", 10 if local else 60)
        self._tables = tables
        self._least_interval = self.interval
        self.list = DeviceList(0, None, True, LIMIT, ())

    def read(self, run: Run, now: int) -> None:
        found = self._tables.devices(run, LIMIT + 1)
        self.interval = max(self._least_interval, _SHARE * (run.clock.now() - now / 1000))
        devices = (device_of(device, rows, now) for device, rows in found[:LIMIT])
        items = [device for device in devices if device]
        items.sort(key=lambda each: (not each.silent, each.device_id))
        before = self.list
        changed = tuple(items) != before.items or before.time is None
        self.list = DeviceList(before.revision + changed, now, len(found) <= LIMIT, LIMIT, tuple(items))


def device_of(device_id: str, rows: Sequence[str], now: int) -> Device | None:
    """The device of its newest rows (JSON texts, the newest first); None if the processor has written none of them.

    A device is heard of when a reading is received, whatever the reading's own time is: clocks are wrong, and stored
    readings are sent later. The usual interval is the longer one of those between readings and between receipts.
    """
    found = [row for row in map(exact_json.loads, rows) if _received(row) is not None and "timestamp" in row]
    if not found:
        return None
    received = sorted({each for each in map(_received, found) if each is not None})
    intervals = [_usual(sorted({int(row["timestamp"]) for row in found})), _usual(received)]
    interval = max((each for each in intervals if each is not None), default=None)
    seen = received[-1]
    silent = interval is not None and now - seen > max(_LEAST, _PATIENCE * interval)
    latest = {name: _text(value) for name, value in _values(found[0])}
    return Device(device_id, seen, None if interval is None else interval / 1000, silent, latest, len(found))


def _received(row: Mapping[str, Any]) -> int | None:
    """When the reading of a row was received, in epoch milliseconds."""
    try:
        return milliseconds(row["received_at"])
    except (KeyError, TypeError, ValueError):
        return None


def _usual(moments: Sequence[int]) -> float | None:
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return median(gaps) if gaps else None


def _values(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, row[name]) for name in MAIN_METRICS if name in row)
    yield from row.get("sensor_data", {}).items()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else exact_json.dumps(value)
