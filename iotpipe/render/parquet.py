"""Write rows to a Parquet file with exact numbers. Needs pyarrow, which the extra `parquet` installs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from iotpipe.readings import exact_json
from iotpipe.readings.stored_rows import Row
from iotpipe.render.layout import Layout

# Of decimal128.
_MOST_DIGITS = 38
# Of a row group, which is in memory as a whole.
_ROWS, _CELLS = 10_000, 200_000


@dataclass
class _Column:
    """What the values of a column need: digits before and after the point, or text for all of them."""

    before: int = 0
    after: int = 0
    is_text: bool = False

    def add(self, value: Any) -> None:
        if not exact_json.is_number(value):
            self.is_text = self.is_text or value is not None
        elif value:
            _, digits, exponent = Decimal(value).as_tuple()
            assert isinstance(exponent, int)
            self.before = max(self.before, len(digits) + exponent)
            self.after = max(self.after, -exponent)

    @property
    def digits(self) -> int:
        """How many digits each value has in decimal128; 0 if they are text."""
        found = max(1, self.before + self.after)
        return 0 if self.is_text or found > _MOST_DIGITS else found


def write_parquet(rows: Iterable[Row], file: BinaryIO, directory: Path, layout: Layout) -> None:
    """Write all columns. Their types are known after the last row: the rows wait in a file.

    The time is a timestamp in UTC. A column of numbers is decimal128 where their digits fit, any other one is text.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", dir=directory) as waiting:
        found = {name: _Column() for name in layout.always}
        for row in rows:
            cells = layout.cells(row)
            for name, value in cells.items():
                found.setdefault(name, _Column()).add(value)
            waiting.write(f"{exact_json.dumps([*layout.head(row), cells])}\n")
        names = layout.in_order({*found})
        types = [*[pyarrow.string()] * (len(layout.keys) - 1), pyarrow.timestamp("ms", tz="UTC")]
        converters: list[Callable[[Any], Any]] = [*[_text] * (len(layout.keys) - 1), int]
        for name in names:
            column = found[name]
            types.append(_type(column, name in layout.whole))
            converters.append(_decimal if column.digits else _text)
        schema = pyarrow.schema(list(zip(layout.headings(names, _text), types, strict=True)))
        waiting.seek(0)
        with ParquetWriter(file, schema) as writer:
            for group in _groups(waiting, names):
                columns = zip(zip(*group, strict=True), converters, types, strict=True)
                arrays = [
                    pyarrow.array([None if value is None else convert(value) for value in values], of)
                    for values, convert, of in columns
                ]
                writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


def _type(column: _Column, is_whole: bool) -> Any:
    import pyarrow

    if is_whole:
        return pyarrow.int64()
    return pyarrow.decimal128(column.digits, column.after) if column.digits else pyarrow.string()


def _groups(lines: TextIO, names: Sequence[str]) -> Iterator[list[list[Any]]]:
    """The rows with a value or None for each column, in groups that fit into memory."""
    size = max(1, min(_ROWS, _CELLS // max(1, len(names))))
    while group := [exact_json.loads(line) for line in islice(lines, size)]:
        yield [[*head, *map(cells.get, names)] for *head, cells in group]


def _decimal(value: Decimal | int) -> Decimal:
    return Decimal(value)


def _text(value: Any) -> str:
    """A text as the device sent it, and any other value as JSON with all its digits."""
    text = value if isinstance(value, str) else exact_json.dumps(value)
    # Parquet has UTF-8, which has no lone surrogates.
    return text.encode(errors="backslashreplace").decode()
