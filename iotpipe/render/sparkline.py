"""Numbers as a line of blocks, one per span of time: what is high is high, and where nothing is, is a gap."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from statistics import median

BLOCKS = "▁▂▃▄▅▆▇█"
GAP = "·"

Point = tuple[int, Decimal | int]
"""Epoch milliseconds and the value then."""


def sparkline(points: Sequence[Point], start: int, end: int, columns: int) -> str:
    """A block per column for the mean of its values between `start` and `end`, a dot where there are none."""
    held: list[list[float]] = [[] for _ in range(columns)]
    for moment, value in points:
        share = (moment - start) / (end - start) if end > start else 0.0
        held[min(columns - 1, round(share * (columns - 1)))].append(float(value))
    means = [sum(values) / len(values) if values else None for values in held]
    present = [mean for mean in means if mean is not None]
    low, high = min(present), max(present)
    return "".join(GAP if mean is None else _block(mean, low, high) for mean in means)


def columns_for(moments: Sequence[int], most: int) -> int:
    """How many columns show each reading by itself where they come regularly, and `most` where that is too many."""
    ordered = sorted(set(moments))
    if len(ordered) < 2:
        return 1
    step = median(after - before for before, after in pairwise(ordered))
    return min(most, round((ordered[-1] - ordered[0]) / step) + 1)


def _block(mean: float, low: float, high: float) -> str:
    if high == low:
        return BLOCKS[3]
    return BLOCKS[min(len(BLOCKS) - 1, int((mean - low) / (high - low) * len(BLOCKS)))]
