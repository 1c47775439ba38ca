"""Finds the way of each arrow between the boxes of the data flow: around boxes, with few turns and crossings.

The ways run on a lattice. Boxes stand where both numbers are odd: the box of column 0 and row 1 at (1, 3). Even numbers
are the lanes between the boxes and around all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import pairwise

Point = tuple[int, int]
Way = tuple[Point, ...]

_DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_STEP, _TURN, _CROSSING, _SHARED = 2, 3, 5, 40


def ways(arrows: Sequence[tuple[Point, Point]], boxes: Sequence[Point]) -> list[Way]:
    """The points of each arrow's way, from the column and row of one box to those of another."""
    lattice = _Lattice(boxes)
    found: dict[int, Way] = {}
    # The short ones first: what joins neighbours is straight then.
    for number in sorted(range(len(arrows)), key=lambda number: _distance(*arrows[number])):
        found[number] = lattice.connect(*arrows[number])
    return [found[number] for number in range(len(arrows))]


def corners(way: Way) -> Way:
    """Where the way begins, turns and ends."""
    inner = [here for before, here, after in zip(way, way[1:], way[2:], strict=False) if _turns(before, here, after)]
    return (way[0], *inner, way[-1])


def _turns(before: Point, here: Point, after: Point) -> bool:
    return before[0] != after[0] and before[1] != after[1]


def _distance(start: Point, end: Point) -> int:
    return abs(start[0] - end[0]) + abs(start[1] - end[1])


class _Lattice:
    def __init__(self, boxes: Sequence[Point]) -> None:
        self.blocked = {(2 * column + 1, 2 * row + 1) for column, row in boxes}
        self.right = max(x for x, _ in self.blocked) + 1
        self.low = max(y for _, y in self.blocked) + 1
        self.segments = set[frozenset[Point]]()
        self.passed = set[Point]()

    def connect(self, start: Point, end: Point) -> Way:
        way = self._cheapest((2 * start[0] + 1, 2 * start[1] + 1), (2 * end[0] + 1, 2 * end[1] + 1))
        self.segments.update(map(frozenset, pairwise(way)))
        self.passed.update(way[1:-1])
        return way

    def _cheapest(self, start: Point, end: Point) -> Way:
        waiting: list[tuple[int, Way]] = [(0, (start,))]
        done = set[tuple[Point, ...]]()
        while waiting:
            cost, way = heapq.heappop(waiting)
            if way[-1] == end:
                return way
            if way[-2:] in done:
                continue
            done.add(way[-2:])
            for after in self._neighbours(way[-1], end):
                if after not in way:
                    heapq.heappush(waiting, (cost + self._price(way, after), (*way, after)))
        raise LookupError(f"there is no way from {start} to {end}")

    def _neighbours(self, here: Point, end: Point) -> Iterator[Point]:
        for x, y in _DIRECTIONS:
            after = here[0] + x, here[1] + y
            inside = 0 <= after[0] <= self.right and 0 <= after[1] <= self.low
            if inside and (after == end or after not in self.blocked):
                yield after

    def _price(self, way: Way, after: Point) -> int:
        price = _STEP
        if frozenset((way[-1], after)) in self.segments:
            price += _SHARED
        turned = len(way) > 1 and _turns(way[-2], way[-1], after)
        if turned:
            price += _TURN
        if way[-1] in self.passed:
            # To turn where another way passes would look like a branch of it.
            price += _SHARED if turned else _CROSSING
        return price
