"""Readings out of files: CSV and JSON Lines, their columns named by a mapping, their times in any usual form."""

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
_OWN = ("device_id", "timestamp", "reading_id")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
# What Decimal takes besides, as 1_000, is a name for something and no number.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# A number below this is seconds (up to the year 5138), from this on milliseconds (from 1973).
_FIRST_MILLISECONDS = 100_000_000_000
# Below this a number is a year, a date in digits or a count; as seconds it would be before March 1973.
_FIRST_SECONDS = 100_000_000
# From the year 2200 on it is a date and time in digits.
_FIRST_DIGITS = 7_258_118_400_000
_FIRST_MILLISECOND, _LAST_MILLISECOND = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 and 9999


class BadRow(ValueError):
    """A row that is no reading."""


@dataclass
class Replay:
    """A file's readings, and the rows that are none, by line."""

    readings: list[Reading] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Mapped:
    """Which column is what. Without `metrics`, every column that is nothing else is a metric.

    `decimal_comma` is whether 1,5 is a number; a device or a reading may be called so all the same.
    """

    own: Mapping[str, str]
    metrics: Mapping[str, str]
    device: str
    time_format: str
    decimal_comma: bool

    def reading(self, cells: Mapping[str, Any], line: int) -> Reading | None:
        """The reading of one row; None where not one metric is there. Raises BadRow."""
        device = self.device or cells.get(self.own["device_id"])
        values = {name: _value(name, self._number(cells.get(column))) for name, column in self._metrics(cells).items()}
        values = {name: value for name, value in values.items() if value is not None}
        if _missing(device):
            raise BadRow("no device")
        moment = _moment(self._number(cells.get(self.own["timestamp"])), self.time_format)
        reading_id = cells.get(self.own["reading_id"])
        named = "" if _missing(reading_id) else str(reading_id)
        return Reading(str(device).strip(), moment, values, named, line) if values else None

    def _number(self, cell: Any) -> Any:
        is_number = self.decimal_comma and isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell.strip())
        return cell.replace(",", ".") if is_number else cell

    def _metrics(self, cells: Mapping[str, Any]) -> Mapping[str, str]:
        if self.metrics:
            return self.metrics
        return {column: column for column in cells if column not in self.own.values()}


def replay(path: Path, maps: Sequence[str], device: str, time_format: str, most: int | None) -> Replay:
    """The first `most` readings of a file, as `maps` ("temperature=tmax") name its columns.

    `device` is that of all rows where no column says it. Raises UsageError for a file that cannot be read and for
    columns that are not there.
    """
    try:
        with _opened(path) as file:
            return _read(path, file, _parsed(maps), device, time_format, most)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        what = "CSV with a header or JSON Lines, in UTF-8, by itself or compressed with gzip"
        raise UsageError(f"cannot read {called(path)}: {error}", f"It must be {what}") from error


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a file, or of stdin for `-`; what is compressed is told by how it begins."""
    with io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)) if path == STDIN else path.open("rb") as raw:
        packed = raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        with io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if packed else raw, "utf-8-sig", newline="") as text:
            yield text


def called(path: Path) -> str:
    """What the file is called in a message."""
    return "stdin" if path == STDIN else str(path)


def shifted(readings: Sequence[Reading], until: int) -> list[Reading]:
    """The readings with their times moved so that the last one is at `until`."""
    by = until - max((reading.timestamp for reading in readings), default=until)
    return [replace(reading, timestamp=reading.timestamp + by) for reading in readings]


def moment(text: str) -> int:
    """The epoch milliseconds that a text names. Raises BadRow."""
    return _moment(text, "")


def _read(
    path: Path, file: Iterable[str], maps: Mapping[str, str], device: str, time_format: str, most: int | None
) -> Replay:
    lines = iter(file)
    first = next(lines, "")
    is_json = first.lstrip().startswith("{")
    # The header tells what separates the cells.
    separator = max(",;\t|", key=first.count)
    rows = _json_rows(first, lines) if is_json else _csv_rows(first, lines, separator)
    # Where semicolons do, as in many spreadsheets in Europe, a comma is the decimal point.
    decimal_comma = not is_json and separator == ";"
    found, mapped = Replay(), None
    for line, cells, problem in rows:
        if most is not None and len(found.readings) == most:
            break
        if problem:
            found.bad.append((line, problem))
            continue
        mapped = mapped or _mapped(
            called(path), maps, list(cells), device, time_format, decimal_comma, alike=not is_json
        )
        try:
            reading = mapped.reading(cells, line)
        except BadRow as error:
            found.bad.append((line, str(error)))
        else:
            found.readings += [reading] if reading else []
    return found


def _csv_rows(first: str, lines: Iterator[str], separator: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Line, cells and what is wrong, of each row."""

    def all_lines() -> Iterator[str]:
        yield first
        yield from lines

    reader = csv.reader(all_lines(), delimiter=separator)
    header = _named([name.strip() for name in next(reader, [])])
    for cells in reader:
        if not cells:
            continue
        wrong = "" if len(cells) == len(header) else f"{len(cells)} cells, the header has {len(header)}"
        yield reader.line_num, dict(zip(header, cells, strict=False)), wrong


def _named(header: Sequence[str]) -> list[str]:
    """The columns' names: one that has none, or another one's, gets its own, and takes no other's place."""
    again: Counter[str] = Counter()
    names: list[str] = []
    for number, given in enumerate(header, 1):
        name = own = given or f"column {number}"
        while own in names:
            again[name] += 1
            own = f"{name}.{again[name]}"
        names.append(own)
    return names


def _json_rows(first: str, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any], str]]:
    """As `_csv_rows`; what a line has under `sensor_data` counts as its own."""
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


def _parsed(maps: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in maps:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise UsageError(
                f"--map {text} is not a mapping", "Write it as --map METRIC=COLUMN, such as temperature=tmax"
            )
        found[name.strip()] = column.strip()
    return found


def _mapped(
    file: str,
    maps: Mapping[str, str],
    columns: Sequence[str],
    device: str,
    time_format: str,
    decimal_comma: bool,
    *,
    alike: bool,
) -> Mapped:
    """How the columns of the first row are taken; `alike` are all rows of CSV.

    Not every line of JSON has every metric; the device and the time each has.
    """
    for name, column in maps.items():
        if column not in columns and (alike or name in _OWN):
            raise UsageError(f"--map {name}={column}: {file} has no column {column}", _columns(columns, column))
    own = {name: maps.get(name, name) for name in _OWN}
    needed = ("timestamp", *(() if device else ("device_id",)))
    if missing := [name for name in needed if own[name] not in columns]:
        told = f"{file} has no column {' and none '.join(missing)}"
        raise UsageError(told, _proposal(missing, [each for each in columns if each not in maps.values()]))
    return Mapped(
        own, {name: column for name, column in maps.items() if name not in _OWN}, device, time_format, decimal_comma
    )


_USUAL = {
    "timestamp": ("time", "date", "datetime", "ts", "moment", "when", "epoch", "zeit", "datum", "year"),
    "device_id": ("device", "sensor", "station", "node", "meter", "id", "name", "site", "location"),
}
"""What columns are usually called."""


def _proposal(missing: Sequence[str], columns: Sequence[str]) -> str:
    """The --map that is probably right, for each of these columns that is missing."""
    words = []
    for name in missing:
        likely = next((column for usual in _USUAL[name] for column in columns if usual in column.lower()), "COLUMN")
        words.append(f"--map {shlex.quote(f'{name}={likely}')}")
    one = " (or --device NAME if all are of one)" if "device_id" in missing else ""
    return f"Name it with {' '.join(words)}{one}. {_columns(columns)}"


def _columns(columns: Sequence[str], meant: str = "") -> str:
    close = difflib.get_close_matches(meant, columns, 1)
    return (f"Did you mean {close[0]}? " if close else "") + f"It has: {', '.join(columns)}"


def _missing(cell: Any) -> bool:
    """Whether a cell says nothing; JSON's NaN, the one number unlike itself, says no more than that of CSV."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _value(name: str, cell: Any) -> Any:
    """A cell as a metric: a number if it can be one; text only where no number is required; None if missing."""
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


def _moment(cell: Any, time_format: str) -> int:
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


def _milliseconds(moment: datetime) -> int:
    """Without a zone it is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
