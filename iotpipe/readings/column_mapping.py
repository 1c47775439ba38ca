"""Which columns of a file are a reading's fields and metrics."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import UsageError
from iotpipe.readings.cells import BadRow, is_missing, metric_value, parse_time
from iotpipe.readings.generate import Reading

_FIELDS = ("device_id", "timestamp", "reading_id")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


@dataclass(frozen=True)
class ColumnMapping:
    """The columns of the reading's fields and metrics. Without `metrics`, every column that is not a field is a metric.

    `decimal_comma`: whether 1,5 is a number in a metric or a time.
    """

    fields: Mapping[str, str]
    metrics: Mapping[str, str]
    device: str
    time_format: str
    decimal_comma: bool

    def reading(self, cells: Mapping[str, Any], line: int) -> Reading | None:
        """The reading of one row; None if it has no metric. Raises BadRow."""
        device = self.device or cells.get(self.fields["device_id"])
        values = {
            name: metric_value(name, self._number(cells.get(column))) for name, column in self._metrics(cells).items()
        }
        values = {name: value for name, value in values.items() if value is not None}
        if is_missing(device):
            raise BadRow("no device")
        timestamp = parse_time(self._number(cells.get(self.fields["timestamp"])), self.time_format)
        id_cell = cells.get(self.fields["reading_id"])
        reading_id = "" if is_missing(id_cell) else str(id_cell)
        return Reading(str(device).strip(), timestamp, values, reading_id, line) if values else None

    def _number(self, cell: Any) -> Any:
        is_number = self.decimal_comma and isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell.strip())
        return cell.replace(",", ".") if is_number else cell

    def _metrics(self, cells: Mapping[str, Any]) -> Mapping[str, str]:
        if self.metrics:
            return self.metrics
        return {column: column for column in cells if column not in self.fields.values()}


def parse_maps(maps: Sequence[str]) -> dict[str, str]:
    """The columns by field or metric, of options such as "temperature=tmax". Raises UsageError."""
    columns = {}
    for text in maps:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise UsageError(
                f"--map {text} is not a mapping", "Write it as --map METRIC=COLUMN, such as temperature=tmax"
            )
        columns[name.strip()] = column.strip()
    return columns


def column_mapping(
    file: str,
    maps: Mapping[str, str],
    columns: Sequence[str],
    device: str,
    time_format: str,
    decimal_comma: bool,
    *,
    same_columns: bool,
) -> ColumnMapping:
    """The mapping for the columns of the first row. `same_columns`: all rows have these columns, as in CSV.

    A line of JSON may lack metrics, but not the device and the time.
    """
    for name, column in maps.items():
        if column not in columns and (same_columns or name in _FIELDS):
            raise UsageError(f"--map {name}={column}: {file} has no column {column}", _columns(columns, column))
    fields = {name: maps.get(name, name) for name in _FIELDS}
    needed = ("timestamp", *(() if device else ("device_id",)))
    if missing := [name for name in needed if fields[name] not in columns]:
        message = f"{file} has no column {' and none '.join(missing)}"
        raise UsageError(message, _suggest_maps(missing, [column for column in columns if column not in maps.values()]))
    metrics = {name: column for name, column in maps.items() if name not in _FIELDS}
    return ColumnMapping(fields, metrics, device, time_format, decimal_comma)


_USUAL_NAMES = {
    "timestamp": ("time", "date", "datetime", "ts", "moment", "when", "epoch", "zeit", "datum", "year"),
    "device_id": ("device", "sensor", "station", "node", "meter", "id", "name", "site", "location"),
}
"""Usual column names of the required fields."""


def _suggest_maps(missing: Sequence[str], columns: Sequence[str]) -> str:
    """A hint with the likely --map option for each missing column."""
    options = []
    for name in missing:
        usual_names = _USUAL_NAMES[name]
        likely = next((column for usual in usual_names for column in columns if usual in column.lower()), "COLUMN")
        options.append(f"--map {shlex.quote(f'{name}={likely}')}")
    one = " (or --device NAME if all are of one)" if "device_id" in missing else ""
    return f"Name it with {' '.join(options)}{one}. {_columns(columns)}"


def _columns(columns: Sequence[str], wanted: str = "") -> str:
    close = difflib.get_close_matches(wanted, columns, 1)
    return (f"Did you mean {close[0]}? " if close else "") + f"It has: {', '.join(columns)}"
