"""What the functions have done in a range of time, as their log lines or CloudWatch's metrics tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iotpipe.observer.snapshot import Reason
from iotpipe.observer.tally import STEPS, Bucket, Tally

_PRESENT = 60_000
"""Milliseconds over which the present rates are means."""
_MOST_REASONS = 10


@dataclass(frozen=True)
class Grid:
    """The buckets of a range: `count` of `step` milliseconds from `start` on; the last one is not over yet."""

    start: int
    step: int
    count: int

    @classmethod
    def of(cls, range_seconds: int, now: int, step: int) -> Grid:
        """The buckets of a range that ends now (epoch milliseconds)."""
        count = range_seconds * 1000 // step
        return cls((now // step + 1 - count) * step, step, count)

    @property
    def starts(self) -> range:
        return range(self.start, self.end, self.step)

    @property
    def end(self) -> int:
        return self.start + self.step * self.count


@dataclass(frozen=True)
class Counts:
    """Numbers of a range; None is unknown, and nothing is told yet after `told_until`.

    `accepted` and `stored` are readings per second and `p50` and `p95` milliseconds from received to stored, per
    bucket of the grid. `totals` are those of the whole range by name: accepted, stored, refused (requests), refused
    over MQTT, given_back (messages) and median_wait. `rates` are means per second of the last minute that is told, by
    name: accepted, stored, given_back (by the processor), `given_back by` each handler, requests, `requests of` each
    handler, messages (of devices) and refused over MQTT. `flows` says whether readings were accepted just now.
    `answered` counts the requests of the range by handler.
    """

    grid: Grid
    told_until: int | None = None
    accepted: tuple[float | None, ...] = ()
    stored: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    totals: Mapping[str, float | None] = field(default_factory=dict)
    rates: Mapping[str, float | None] = field(default_factory=dict)
    flows: bool = False
    answered: Mapping[str, int | None] = field(default_factory=dict)
    newest_stored: int | None = None
    reasons: tuple[Reason, ...] = ()


def unknown(grid: Grid) -> Counts:
    """The counts before anything was told."""
    column = (None,) * grid.count
    return Counts(grid, None, column, column, column, column)


def of_lines(tally: Tally, told_until: int | None, range_seconds: int, now: int) -> Counts:
    """What the log lines tell. A bucket that is not over, or begins before they do, is unknown."""
    grid = Grid.of(range_seconds, now, STEPS[range_seconds])
    if told_until is None:
        return unknown(grid)
    whole = [
        tally.bucket(grid.step, start) if tally.since <= start and start + grid.step <= told_until else None
        for start in grid.starts
    ]
    seconds = grid.step / 1000
    total = tally.between(grid.step, grid.start, grid.end)
    totals = {
        "accepted": total.accepted,
        "stored": total.stored,
        "refused": total.refused,
        "refused over MQTT": total.refused_over_mqtt,
        "given_back": total.given_back.total(),
        "median_wait": total.percentile(50),
    }
    fine = min(STEPS.values())
    end = told_until // fine * fine
    present = tally.between(fine, end - _PRESENT, end)
    return Counts(
        grid,
        told_until,
        accepted=tuple(each.accepted / seconds if each else None for each in whole),
        stored=tuple(each.stored / seconds if each else None for each in whole),
        p50=tuple(each.percentile(50) if each else None for each in whole),
        p95=tuple(each.percentile(95) if each else None for each in whole),
        totals=totals if tally.since <= grid.start else {},
        rates={name: number * 1000 / _PRESENT for name, number in _numbers(present).items()},
        flows=bool(present.accepted or tally.between(fine, end, now).accepted),
        answered=dict(total.requests),
        newest_stored=tally.newest_stored,
        reasons=total.most_frequent(_MOST_REASONS),
    )


def _numbers(bucket: Bucket) -> dict[str, int]:
    """What becomes rates."""
    return {
        "accepted": bucket.accepted,
        "stored": bucket.stored,
        "requests": bucket.requests.total(),
        "messages": bucket.messages,
        "refused over MQTT": bucket.refused_over_mqtt,
        "given_back": bucket.given_back["processor"],
        **{f"requests of {handler}": number for handler, number in bucket.requests.items()},
        **{f"given_back by {handler}": number for handler, number in bucket.given_back.items()},
    }
