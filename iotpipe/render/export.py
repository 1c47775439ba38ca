"""Write rows or buckets to a file as they come: memory does not grow with their number."""

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
from iotpipe.readings.stored_rows import Page, Row
from iotpipe.render import console
from iotpipe.render.layout import Layout
from iotpipe.render.parquet import write_parquet
from iotpipe.render.query import as_json_line, inert
from iotpipe.render.terminals import terminal
from iotpipe.times import iso


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
        elif how == "parquet":
            write_parquet(rows(), file, path.parent, layout)
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
        writer.writerow(layout.headings(columns, inert))
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
