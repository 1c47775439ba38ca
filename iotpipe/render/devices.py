"""Format the list of devices as a table, as JSON or as CSV, with all digits of every number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from iotpipe.readings import exact_json, stored_rows
from iotpipe.readings.devices import Device
from iotpipe.render import output
from iotpipe.render.layout import ROWS
from iotpipe.render.query import aligned, cell, inert
from iotpipe.times import iso

_LAYOUT = replace(ROWS, keys=("device_id", "last_seen"))
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000


def as_table(devices: Sequence[Device], now: int) -> Iterator[str]:
    """A header and a line per device. `now` is in epoch milliseconds."""
    lines = [["device_id", "last seen", "", "latest values"]]
    for device in devices:
        values = [f"{name}={cell(value)}" for name, value in stored_rows.metrics(device.latest).items()]
        lines.append([device.device_id, iso(device.last_seen), ago(now - device.last_seen), "  ".join(values)])
    yield from aligned(lines, texts=4)


def as_json_text(devices: Sequence[Device], now: int) -> str:
    """The devices as JSON, one per line."""
    listed = ",\n    ".join(
        output.escaped_json(
            exact_json.dumps(
                {
                    "device_id": device.device_id,
                    "last_seen": iso(device.last_seen),
                    "seconds_ago": (now - device.last_seen) // 1000,
                    "latest": device.latest,
                }
            )
        )
        for device in devices
    )
    items = f"[\n    {listed}\n  ]" if devices else "[]"
    return f'{{\n  "count": {len(devices)},\n  "items": {items}\n}}'


def as_csv_text(devices: Sequence[Device]) -> str:
    """The devices as CSV with a column per metric of any latest row; the text is empty without devices."""
    if not devices:
        return ""
    cells = [stored_rows.metrics(device.latest) for device in devices]
    names = _LAYOUT.in_order({name for each in cells for name in each})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_LAYOUT.headings(names, inert))
    for device, values in zip(devices, cells, strict=True):
        listed = (inert(values[name]) if name in values else "" for name in names)
        writer.writerow([inert(device.device_id), iso(device.last_seen), *listed])
    return text.getvalue()


def ago(milliseconds: int) -> str:
    """An age in the largest unit of which it has two; a time to come is `in 3 min`."""
    size = abs(milliseconds)
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s"))
    length, unit = next((each for each in units if size >= 2 * each[0]), units[-1])
    amount = f"{size // length} {unit}"
    return f"{amount} ago" if milliseconds >= 0 else f"in {amount}"
