"""The columns of rows and of buckets in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iotpipe.readings import buckets, stored_rows
from iotpipe.readings.stored_rows import Row


@dataclass(frozen=True)
class Layout:
    """How rows become a table.

    `keys` are the columns that `head` returns for each row; the last one is the time in epoch milliseconds. `cells`
    returns the others by name: the `usual` ones come first, and those that are `always` there even without rows. Those
    that are `whole` have whole numbers of at most 64 bits.
    """

    keys: tuple[str, ...]
    head: Callable[[Row], list[Any]]
    cells: Callable[[Row], Mapping[str, Any]]
    usual: tuple[str, ...]
    always: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    def in_order(self, names: set[str]) -> list[str]:
        """The usual columns, then all others by name, whatever the order of the rows."""
        usual = [name for name in self.usual if name in names]
        return usual + sorted(names.difference(usual))

    def headings(self, names: Sequence[str], written: Callable[[str], str]) -> list[str]:
        """The names of all columns as they are `written`, each once."""
        return distinct([*self.keys, *names], written)


def distinct(names: Sequence[str], written: Callable[[str], str]) -> list[str]:
    """The names as they are `written`; one gets a prefix where it would name two columns alike.

    Names that differ may be written alike: of a line break and of a backslash with an n.
    """
    found: dict[str, None] = {}
    for name in names:
        while (heading := written(name)) in found:
            name = f"sensor_data.{name}"
        found[heading] = None
    return [*found]


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
    usual=buckets.FIGURES,
    always=buckets.FIGURES,
    whole=("count",),
)
"""A column per figure; the time is the bucket's start."""
