"""Write rows or buckets to a file as they come, as tidy CSV or JSON Lines; memory does not grow with their number."""

from __future__ import annotations

import codecs
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from iotpipe.files import replacing
from iotpipe.readings import buckets, stored_rows
from iotpipe.readings.stored_rows import Page, Row
from iotpipe.render import console
from iotpipe.render.query import as_json_line, inert
from iotpipe.render.terminals import terminal
from iotpipe.times import iso


@dataclass(frozen=True)
class Layout:
    """How rows become a table.

    `keys` are the columns that `head` returns for each row; the last one is the time in epoch milliseconds. `cells`
    returns the others by name: the `usual` ones come first, and those that are `always` there even without rows.
    """

    keys: tuple[str, ...]
    head: Callable[[Row], list[Any]]
    cells: Callable[[Row], Mapping[str, Any]]
    usual: tuple[str, ...]
    always: tuple[str, ...] = ()

    def in_order(self, names: set[str]) -> list[str]:
        """The usual columns, then all others by name, whatever the order of the rows."""
        usual = [name for name in self.usual if name in names]
        return usual + sorted(names.difference(usual))

    def headings(self, names: Sequence[str]) -> list[str]:
        """The names of all columns; a metric gets a prefix where it would name two columns alike."""
        taken = [*self.keys]
        for name in names:
            while name in taken:
                name = f"sensor_data.{name}"
            taken.append(name)
        return taken


ROWS = Layout(
    ("device_id", "time"),
    lambda row: [row["device_id"], stored_rows.timestamp(row)],
    stored_rows.metrics,
    stored_rows.MAIN_METRICS,
)
"""A column per metric."""
BUCKETS = Layout(
    ("device_id", "metric", "time"),
    lambda bucket: [bucket["device_id"], bucket["metric"], bucket["start"]],
    lambda bucket: {name: bucket[name] for name in buckets.FIGURES},
    buckets.FIGURES,
    buckets.FIGURES,
)
"""A column per figure; the time is the bucket's start."""


def export(pages: Iterable[Page], path: Path, how: str, layout: Layout) -> tuple[int, bool]:
    """Write all rows to the file, and return their number and whether there are more.

    The file appears under its name when it is complete. Raises OSError, and what reading the pages raises.
    """
    count, more = 0, False
    with replacing(path) as file, _progress() as tell:

        def rows() -> Iterator[Row]:
            nonlocal count, more
            for page in pages:
                yield from page.items
                count, more = count + len(page.items), more or page.more
                tell(count)

        if how == "csv":
            _write_csv(rows(), file, path.parent, layout)
        else:
            _write_json_lines(rows(), file)
    return count, more


def _write_json_lines(rows: Iterable[Row], file: BinaryIO) -> None:
    for row in rows:
        file.write(f"{as_json_line(row)}\n".encode())


def _write_csv(rows: Iterable[Row], file: BinaryIO, directory: Path, layout: Layout) -> None:
    """Write all columns. They are known after the last row: the rows wait in a file."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=directory) as waiting:
        found = {*layout.always}
        for row in rows:
            cells = {name: inert(value) for name, value in layout.cells(row).items()}
            found |= cells.keys()
            *names, time = layout.head(row)
            waiting.write(f"{json.dumps([*map(inert, names), iso(time), cells])}\n")
        columns = layout.in_order(found)
        waiting.seek(0)
        writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
        writer.writerow(map(inert, layout.headings(columns)))
        for line in waiting:
            *head, cells = json.loads(line)
            writer.writerow([*head, *(cells.get(name, "") for name in columns)])


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show the number of rows on stderr if it is a terminal."""
    if not terminal(sys.stderr):
        yield lambda count: None
        return
    with console.stderr().status("reading") as status:
        yield lambda count: status.update(console.line(f"{count:,} rows"))
