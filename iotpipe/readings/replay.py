"""Read readings from CSV and JSON Lines files, plain or compressed with gzip."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from iotpipe.errors import UsageError
from iotpipe.readings import exact_json
from iotpipe.readings.cells import BadRow
from iotpipe.readings.column_mapping import column_mapping, parse_maps
from iotpipe.readings.generate import Reading

STDIN = Path("-")
_GZIP = b"\x1f\x8b"


@dataclass
class Replay:
    """A file's readings, and its bad rows as line number and problem."""

    readings: list[Reading] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


def replay(path: Path, maps: Sequence[str], device: str, time_format: str, limit: int | None) -> Replay:
    """The first `limit` readings of a file. `maps` ("temperature=tmax") name its columns.

    `device` replaces the device column. Raises UsageError if the file cannot be read or a mapped column is missing.
    """
    try:
        with _open_text(path) as file:
            return _read(path, file, parse_maps(maps), device, time_format, limit)
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
        mapping = mapping or column_mapping(
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
