"""The figures of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from tests.support.no_loss.samples import Facts

Counts = dict[str, int]


@dataclass(frozen=True)
class Figures:
    """What a run has seen. The tables' counts are `lost`, `twice` and `never sent`.

    `distinct_readings` counts equal readings with a time once, and of those without a time each.
    """

    readings: int
    distinct_readings: int
    acknowledged: int
    raw_table: Counts
    processed_table: Counts
    invocations: int
    in_an_outage: int
    with_little_time: int
    in_new_workers: int
    workers_killed: Counts
    answers: Counts
    requests_sent_once_more: int
    messages: int
    messages_handed_back: Counts
    delivered_though_done: int
    calls: Counts
    failed_calls: Counts
    faults: Counts
    faults_not_met: list[str]

    def __str__(self) -> str:
        """Return a table with one figure per line."""
        return "\n".join(f"{one.name.replace('_', ' '):24}{_cell(getattr(self, one.name))}" for one in fields(self))


def _cell(value: int | Counts | list[str]) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return ", ".join(f"{name} {count:,}" for name, count in sorted(value.items()))


def compare(expected: Counter[Facts], rows: Counter[Facts]) -> Counts:
    """Count the rows that are missing, those that are there too often, and those of readings that nobody sent."""
    missing, excess = expected - rows, rows - expected
    twice = sum(count for one, count in excess.items() if one in expected)
    return {"lost": missing.total(), "twice": twice, "never sent": excess.total() - twice}
