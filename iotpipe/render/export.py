"""Write stored rows to a file as they come, as tidy CSV or as JSON Lines; memory does not grow with their number."""

from __future__ import annotations

import codecs
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from iotpipe.files import replacing
from iotpipe.readings import exact_json, stored_rows
from iotpipe.readings.stored_rows import Page, Row
from iotpipe.render import console, output
from iotpipe.render.query import inert
from iotpipe.render.terminals import terminal
from iotpipe.times import iso

_KEYS = ("device_id", "time")


def export(pages: Iterable[Page], path: Path, how: str) -> tuple[int, bool]:
    """Write all rows to the file, and return their number and whether there are more.

    The file appears under its name when it is complete. Raises OSError, and what reading the pages raises.
    """
    count, more = 0, False
    with replacing(path) as file, _progress() as tell:

        def rows() -> Iterator[Row]:
            nonlocal count, more
            for page in pages:
                yield from page.items
                count, more = count + len(page.items), page.more
                tell(count)

        if how == "csv":
            _write_csv(rows(), file, path.parent)
        else:
            _write_json_lines(rows(), file)
    return count, more


def _write_json_lines(rows: Iterable[Row], file: BinaryIO) -> None:
    for row in rows:
        file.write(f"{output.escaped_json(exact_json.dumps(row))}\n".encode())


def _write_csv(rows: Iterable[Row], file: BinaryIO, directory: Path) -> None:
    """Write device, time and a column per metric. The columns are known after the last row: the rows wait in a file."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=directory) as waiting:
        found: set[str] = set()
        for row in rows:
            cells = {name: inert(value) for name, value in stored_rows.metrics(row).items()}
            found |= cells.keys()
            waiting.write(f"{json.dumps([inert(row['device_id']), iso(stored_rows.timestamp(row)), cells])}\n")
        names = _in_order(found)
        waiting.seek(0)
        writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
        writer.writerow([*_KEYS, *map(_heading, names)])
        for line in waiting:
            device, time, cells = json.loads(line)
            writer.writerow([device, time, *(cells.get(name, "") for name in names)])


def _in_order(names: set[str]) -> list[str]:
    """The main metrics, then all others by name, whatever the order of the rows."""
    main = [name for name in stored_rows.MAIN_METRICS if name in names]
    return main + sorted(names.difference(main))


def _heading(metric: str) -> str:
    """A metric's name; with a prefix where it would name two columns alike."""
    return f"sensor_data.{metric}" if metric in _KEYS else inert(metric)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show the number of rows on stderr if it is a terminal."""
    if not terminal(sys.stderr):
        yield lambda count: None
        return
    with console.stderr().status("reading") as status:
        yield lambda count: status.update(console.line(f"{count:,} rows"))
