"""Read readings from CSV and JSON Lines files, with a column mapping and the usual time formats."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import re
import shlex
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import Any, cast

from iotpipe.errors import UsageError
from iotpipe.readings import exact_json
from iotpipe.readings.generate import Reading
from iotpipe.readings.stored_rows import MAIN_METRICS

STDIN = Path("-")
_GZIP = b"\x1f\x8b"
_FIELDS = ("device_id", "timestamp", "reading_id")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
# Stricter than Decimal, which also accepts 1_000: in a file that is a name, not a number.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# A smaller number is epoch seconds (up to the year 5138), a larger one milliseconds (from 1973).
_FIRST_MILLISECONDS = 100_000_000_000
# A smaller number is a year, a date in digits or a count; as epoch seconds it would be before March 1973.
_FIRST_SECONDS = 100_000_000
# A larger number is a date and time in digits; as epoch milliseconds it would be after the year 2200.
_FIRST_DIGITS = 7_258_118_400_000
_FIRST_MILLISECOND, _LAST_MILLISECOND = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 and 9999


class BadRow(ValueError):
    """The row is not a valid reading."""


@dataclass
class Replay:
    """A file's readings, and its bad rows as line number and problem."""

    readings: list[Reading] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


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
        values = {name: _value(name, self._number(cells.get(column))) for name, column in self._metrics(cells).items()}
        values = {name: value for name, value in values.items() if value is not None}
        if _missing(device):
            raise BadRow("no device")
        timestamp = _parse_time(self._number(cells.get(self.fields["timestamp"])), self.time_format)
        id_cell = cells.get(self.fields["reading_id"])
        reading_id = "" if _missing(id_cell) else str(id_cell)
        return Reading(str(device).strip(), timestamp, values, reading_id, line) if values else None

    def _number(self, cell: Any) -> Any:
        is_number = self.decimal_comma and isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell.strip())
        return cell.replace(",", ".") if is_number else cell

    def _metrics(self, cells: Mapping[str, Any]) -> Mapping[str, str]:
        if self.metrics:
            return self.metrics
        return {column: column for column in cells if column not in self.fields.values()}


def replay(path: Path, maps: Sequence[str], device: str, time_format: str, limit: int | None) -> Replay:
    """The first `limit` readings of a file. `maps` ("temperature=tmax") name its columns.

    `device` replaces the device column. Raises UsageError if the file cannot be read or a mapped column is missing.
    """
    try:
        with _open_text(path) as file:
            return _read(path, file, _parse_maps(maps), device, time_format, limit)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        hint = "Use CSV with a header or JSON Lines, in UTF-8, plain or compressed with gzip"
        raise UsageError(f"cannot read {display_name(path)}: {error}", hint) from error


@contextmanager
def _open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a file, or stdin for `-`, as text; recognize gzip by its first bytes."""
    with io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)) if path == STDIN else path.open("rb") as raw:
        is_gzip = raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        with io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if is_gzip else raw, "utf-8-sig", newline="") as text:
            yield text


def display_name(path: Path) -> str:
    """The file's name in messages."""
    return "stdin" if path == STDIN else str(path)


def shifted(readings: Sequence[Reading], until: int) -> list[Reading]:
    """The readings with their times moved so that the last one is at `until`."""
    by = until - max((reading.timestamp for reading in readings), default=until)
    return [replace(reading, timestamp=reading.timestamp + by) for reading in readings]


def parse_time(text: str) -> int:
    """Epoch milliseconds of a time. Raises BadRow."""
    return _parse_time(text, "")


def _read(
    path: Path, file: Iterable[str], maps: Mapping[str, str], device: str, time_format: str, limit: int | None
) -> Replay:
    lines = iter(file)
    first = next(lines, "")
    is_json = first.lstrip().startswith("{")
    # The most frequent candidate in the header is the separator.
    separator = max(",;\t|", key=first.count)
    rows = _json_rows(first, lines) if is_json else _csv_rows(first, lines, separator)
    # European spreadsheets that separate cells by semicolons use a decimal comma.
    decimal_comma = not is_json and separator == ";"
    result, mapping = Replay(), None
    for line, cells, problem in rows:
        if limit is not None and len(result.readings) == limit:
            break
        if problem:
            result.bad.append((line, problem))
            continue
        mapping = mapping or _column_mapping(
            display_name(path), maps, list(cells), device, time_format, decimal_comma, same_columns=not is_json
        )
        try:
            reading = mapping.reading(cells, line)
        except BadRow as error:
            result.bad.append((line, str(error)))
        else:
            result.readings += [reading] if reading else []
    return result


def _csv_rows(first: str, lines: Iterator[str], separator: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Line number, cells and problem (empty if none) of each row."""

    def all_lines() -> Iterator[str]:
        yield first
        yield from lines

    reader = csv.reader(all_lines(), delimiter=separator)
    header = _unique_names([name.strip() for name in next(reader, [])])
    for cells in reader:
        if not cells:
            continue
        problem = "" if len(cells) == len(header) else f"{len(cells)} cells, the header has {len(header)}"
        yield reader.line_num, dict(zip(header, cells, strict=False)), problem


def _unique_names(header: Sequence[str]) -> list[str]:
    """The columns' names; empty names become `column N`, repeated names get a number."""
    repeats: Counter[str] = Counter()
    names: list[str] = []
    for number, given in enumerate(header, 1):
        name = unique = given or f"column {number}"
        while unique in names:
            repeats[name] += 1
            unique = f"{name}.{repeats[name]}"
        names.append(unique)
    return names


def _json_rows(first: str, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Like `_csv_rows`; the members of `sensor_data` count as columns of the row."""
    line, text = 1, first
    while text:
        if text.strip():
            yield line, *_json_cells(text)
        line, text = line + 1, next(lines, "")


def _json_cells(text: str) -> tuple[dict[str, Any], str]:
    try:
        cells = exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"no JSON: {error}"
    if not isinstance(cells, dict):
        return {}, "no JSON object"
    inner = cells.pop("sensor_data", None)
    if not isinstance(inner, dict | None):
        return {}, "sensor_data is no object"
    return cells | (inner or {}), ""


def _parse_maps(maps: Sequence[str]) -> dict[str, str]:
    columns = {}
    for text in maps:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise UsageError(
                f"--map {text} is not a mapping", "Write it as --map METRIC=COLUMN, such as temperature=tmax"
            )
        columns[name.strip()] = column.strip()
    return columns


def _column_mapping(
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


def _missing(cell: Any) -> bool:
    """Whether a cell is empty or a marker of a missing value, including JSON's NaN (the only value != itself)."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _value(name: str, cell: Any) -> Any:
    """The cell as a metric: a number if possible; text unless the metric must be a number; None if missing."""
    if _missing(cell):
        return None
    if isinstance(cell, str) and (number := _number(cell.strip())) is not None:
        return number
    if name in MAIN_METRICS and not exact_json.is_number(cell):
        raise BadRow(f"{name} is not a number: {json.dumps(cell, default=str)[:40]}")
    return cell.strip() if isinstance(cell, str) else cell


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except DecimalException:
        return None
    return number if number is not None and number.is_finite() else None


def _parse_time(cell: Any, time_format: str) -> int:
    if _missing(cell):
        raise BadRow("no time")
    text = str(cell).strip()
    try:
        if time_format:
            return _milliseconds(datetime.strptime(text, time_format))
        number = _number(text)
        return _milliseconds(datetime.fromisoformat(text)) if number is None else _from_number(number)
    except BadRow:
        raise
    except (ValueError, OverflowError):
        form = time_format or "epoch seconds, epoch milliseconds or ISO 8601; see --time-format"
        raise BadRow(f"no time: {text[:40]!r} is not {form}") from None


def _from_number(number: Decimal) -> int:
    if abs(number) < _FIRST_SECONDS or _FIRST_DIGITS <= number <= _LAST_MILLISECOND:
        raise BadRow(f"no time: {number} is evidently neither epoch seconds nor milliseconds; see --time-format")
    if abs(number) < _FIRST_MILLISECONDS:
        number *= 1000
    if not _FIRST_MILLISECOND <= number <= _LAST_MILLISECOND:
        raise ValueError
    return int(number)


def _milliseconds(time: datetime) -> int:
    """Epoch milliseconds; a time without a zone is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
