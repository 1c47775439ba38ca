"""Format stored rows as a table with sparklines, as JSON or as CSV, with all digits of every number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from iotpipe.readings import exact_json, stored_rows
from iotpipe.readings.stored_rows import Row
from iotpipe.render import output, sparkline
from iotpipe.render.console import Part
from iotpipe.render.layout import distinct
from iotpipe.times import iso

_WIDEST = 60


def as_json_text(found: Sequence[Row], more: bool) -> str:
    """The rows as JSON, one per line."""
    listed = ",\n    ".join(map(as_json_line, found))
    items = f"[\n    {listed}\n  ]" if found else "[]"
    return f'{{\n  "count": {len(found)},\n  "more": {"true" if more else "false"},\n  "items": {items}\n}}'


def as_json_line(row: Row) -> str:
    """A row as JSON on one line."""
    return output.escaped_json(exact_json.dumps(row))


def as_line(row: Row, width: int) -> tuple[Part, ...]:
    """A row on one line: its time, its device in so many columns, and its metrics."""
    metrics = "".join(f"  {name}={cell(value)}" for name, value in stored_rows.metrics(row).items())
    device = output.harmless(row["device_id"])
    return (f"{iso(stored_rows.timestamp(row))}  ", "dim"), (f"{device:<{width}}", "bold"), metrics


def as_csv_text(found: Sequence[Row]) -> str:
    """The rows as CSV with a column per attribute; metrics other than the main ones are sensor_data.NAME. Without rows
    there is no header: the text is empty.
    """
    flat = [_flat(row) for row in found]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names:
        writer.writerow(distinct(names, inert))
    for row in flat:
        writer.writerow([inert(row[name]) if name in row else "" for name in names])
    return text.getvalue()


def as_table(found: Sequence[Row], *, with_devices: bool = False) -> Iterator[str]:
    """A header and a line per row: its time, its device if that is wanted, and a column per metric of any row."""
    values = [stored_rows.metrics(row) for row in found]
    names = _names(values)
    lines = [["time", *(["device_id"] if with_devices else []), *names]]
    for row, metrics in zip(found, values, strict=True):
        head = [iso(stored_rows.timestamp(row)), *([row["device_id"]] if with_devices else [])]
        lines.append([*head, *(cell(metrics[name]) if name in metrics else "" for name in names)])
    yield from aligned(lines, texts=len(lines[0]) - len(names))


def aligned(lines: Sequence[Sequence[str]], texts: int) -> Iterator[str]:
    """Lines of cells in columns: the first `texts` columns begin at the left, those of numbers end at the right."""
    lines = [[output.harmless(each) for each in line] for line in lines]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [f"{each}{_room(each, width)}" for each, width in zip(line[:texts], widths, strict=False)]
        cells += [f"{_room(each, width)}{each}" for each, width in zip(line[texts:], widths[texts:], strict=True)]
        yield "  ".join(cells).rstrip()


def _room(text: str, width: int) -> str:
    """The spaces that a text needs to be so wide: a terminal shows some characters two columns wide."""
    return " " * (width - cell_len(text))


def as_sparklines(found: Sequence[Row], width: int, *, with_devices: bool = False) -> Iterator[str]:
    """A sparkline per numeric metric over the time of all rows, scaled from its lowest to its highest value."""
    points: dict[str, list[sparkline.Point]] = {}
    widest = max(len(row["device_id"]) for row in found)
    for row in found:
        device = f"{row['device_id']:<{widest}}  " if with_devices else ""
        for name, value in stored_rows.metrics(row).items():
            if exact_json.is_number(value):
                points.setdefault(f"{device}{name}", []).append((stored_rows.timestamp(row), value))
    yield from sparklines(points, [stored_rows.timestamp(row) for row in found], width)


def sparklines(points: Mapping[str, Sequence[sparkline.Point]], moments: Sequence[int], width: int) -> Iterator[str]:
    """A sparkline per name over all moments."""
    columns = sparkline.columns_for(moments, min(width, _WIDEST))
    shown = {name: output.harmless(name) for name in points}
    widest = max(map(cell_len, shown.values()), default=0)
    for name, drawn in points.items():
        line = sparkline.sparkline(drawn, min(moments), max(moments), columns)
        low, high = (choose(value for _, value in drawn) for choose in (min, max))
        yield f"{shown[name]}{_room(shown[name], widest)}  {line}  {cell(low)} to {cell(high)}"


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


def cell(value: Any) -> str:
    """A value with all its digits, or a device's text with control characters escaped."""
    return output.harmless(value if isinstance(value, str) else exact_json.dumps(value))


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet evaluates a cell that begins like this as a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def inert(value: Any) -> str:
    """A value in CSV. A text that a spreadsheet would evaluate gets an apostrophe; numbers keep all their digits."""
    quoted = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{cell(value)}" if quoted else cell(value)
