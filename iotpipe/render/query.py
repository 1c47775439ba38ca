"""Format stored rows as a table with sparklines, as JSON or as CSV, with all digits of every number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from iotpipe.readings import exact_json, stored_rows
from iotpipe.readings.stored_rows import Row
from iotpipe.render import output, sparkline
from iotpipe.times import iso

_WIDEST = 60


def as_json_text(found: Sequence[Row], more: bool) -> str:
    """The rows as JSON, one per line."""
    listed = ",\n    ".join(output.escaped_json(exact_json.dumps(row)) for row in found)
    items = f"[\n    {listed}\n  ]" if found else "[]"
    return f'{{\n  "count": {len(found)},\n  "more": {"true" if more else "false"},\n  "items": {items}\n}}'


def as_csv_text(found: Sequence[Row]) -> str:
    """The rows as CSV with a column per attribute; metrics other than the main ones are sensor_data.NAME. Without rows
    there is no header: the text is empty.
    """
    flat = [_flat(row) for row in found]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names:
        writer.writerow(map(inert, names))
    for row in flat:
        writer.writerow([inert(row[name]) if name in row else "" for name in names])
    return text.getvalue()


def as_table(found: Sequence[Row]) -> Iterator[str]:
    """A header and a line per row: its time, and a column per metric of any row."""
    values = [stored_rows.metrics(row) for row in found]
    names = _names(values)
    lines = [["time", *map(output.harmless, names)]]
    for row, metrics in zip(found, values, strict=True):
        lines.append(
            [iso(stored_rows.timestamp(row)), *(_cell(metrics[name]) if name in metrics else "" for name in names)]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def as_sparklines(found: Sequence[Row], width: int) -> Iterator[str]:
    """A sparkline per numeric metric over the time of all rows, scaled from its lowest to its highest value."""
    moments = [stored_rows.timestamp(row) for row in found]
    columns = sparkline.columns_for(moments, min(width, _WIDEST))
    points: dict[str, list[sparkline.Point]] = {}
    for moment, row in zip(moments, found, strict=True):
        for name, value in stored_rows.metrics(row).items():
            if exact_json.is_number(value):
                points.setdefault(name, []).append((moment, value))
    widest = max((len(output.harmless(name)) for name in points), default=0)
    for name, drawn in points.items():
        line = sparkline.sparkline(drawn, min(moments), max(moments), columns)
        low, high = (choose(value for _, value in drawn) for choose in (min, max))
        yield f"{output.harmless(name):<{widest}}  {line}  {_cell(low)} to {_cell(high)}"


def _names(values: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all metrics, main metrics first."""
    there = dict.fromkeys(name for metrics in values for name in metrics)
    return [name for name in stored_rows.MAIN_METRICS if name in there] + [
        name for name in there if name not in stored_rows.MAIN_METRICS
    ]


def _flat(row: Row) -> dict[str, Any]:
    flat = {name: value for name, value in row.items() if name != "sensor_data"}
    others = row.get("sensor_data")
    return flat | {f"sensor_data.{name}": others[name] for name in others} if isinstance(others, dict) else flat


def _cell(value: Any) -> str:
    """A value with all its digits, or a device's text with control characters escaped."""
    return output.harmless(value if isinstance(value, str) else exact_json.dumps(value))


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet evaluates a cell that begins like this as a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def inert(value: Any) -> str:
    """A value in CSV. A text that a spreadsheet would evaluate gets an apostrophe; numbers keep all their digits."""
    quoted = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{_cell(value)}" if quoted else _cell(value)
