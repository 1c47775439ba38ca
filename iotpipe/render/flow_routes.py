"""Finds the way of each arrow between the boxes of the data flow: around boxes, with few turns and crossings.

The ways run on a lattice. Boxes stand where both numbers are odd: the box of column 0 and row 1 at (1, 3). Even numbers
are the lanes between the boxes and around all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

Point = tuple[int, int]
Way = tuple[Point, ...]

_DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_STEP, _TURN, _CROSSING, _SHARED = 2, 3, 5, 40
_JOINED = 1
"""The price of a step on a way that leads to the same box: arrows that join shall do so early."""
_PORT = 6
"""The price of beginning or ending at the same edge of a box as another way. They are drawn beside each other there."""


def ways(arrows: Sequence[tuple[Point, Point]], boxes: Sequence[Point], joining: Collection[int] = ()) -> list[Way]:
    """The points of each arrow's way, from the column and row of one box to those of another.

    The arrows with the numbers in `joining` may run into one another if they lead to the same box.
    """
    lattice = _Lattice(boxes)
    found: dict[int, Way] = {}
    # The short ones first: what joins neighbours is straight then.
    for number in sorted(range(len(arrows)), key=lambda number: _distance(*arrows[number])):
        found[number] = lattice.connect(*arrows[number], number in joining)
    return [found[number] for number in range(len(arrows))]


def shifts(found: Sequence[Way], joining: Collection[int] = ()) -> list[tuple[float, float]]:
    """How far beside the middle of its box's edge each way begins and ends, where several ways do at one edge.

    The unit is the distance between two of them. Who turns left or up stands to the left or above.
    """
    edges: dict[tuple[Point, Point], dict[int, int]] = {}
    for number, way in enumerate(found):
        for end, seen in ((0, way), (1, way[::-1])):
            # What has joined ends as one.
            who = -1 if end and number in joining else number
            edges.setdefault((seen[0], seen[1]), {}).setdefault(who, _bend(seen))
    places: dict[tuple[Point, Point, int], float] = {}
    for (box, beside), bends in edges.items():
        for rank, who in enumerate(sorted(bends, key=lambda who: (bends[who], who))):
            places[box, beside, who] = rank - (len(bends) - 1) / 2
    shifted = []
    for number, way in enumerate(found):
        first = places[way[0], way[1], number]
        last = places[way[-1], way[-2], -1 if number in joining else number]
        if len(corners(way)) == 2:
            first = last = first or last
        shifted.append((first, last))
    return shifted


def _bend(way: Way) -> int:
    """Where a way goes at its first turn: -1 left or up, 1 right or down, 0 if it is straight."""
    turns = corners(way)
    if len(turns) == 2:
        return 0
    (x1, y1), (x2, y2) = turns[1:3]
    return 1 if x2 + y2 > x1 + y1 else -1


def own_part(number: int, found: Sequence[Way]) -> Way:
    """The way of this number up to where it joins another one."""
    way = found[number]
    others = {frozenset(each) for other, each_way in enumerate(found) if other != number for each in pairwise(each_way)}
    for length, step in enumerate(pairwise(way), 1):
        if length > 1 and frozenset(step) in others:
            return way[:length]
    return way


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
        self.segments: dict[frozenset[Point], set[Point | None]] = {}
        self.passed: dict[Point, set[Point | None]] = {}
        """Where ways run, with the boxes to which these lead and may be joined; None for those that may not."""

    def connect(self, start: Point, end: Point, joins: bool) -> Way:
        first, last = ((2 * x + 1, 2 * y + 1) for x, y in (start, end))
        goal = last if joins else None
        way = self._cheapest(first, last, goal)
        for step in pairwise(way):
            self.segments.setdefault(frozenset(step), set()).add(goal)
        for point in way[1:-1]:
            self.passed.setdefault(point, set()).add(goal)
        return way

    def _cheapest(self, start: Point, end: Point, goal: Point | None) -> Way:
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
                    heapq.heappush(waiting, (cost + self._price(way, after, end, goal), (*way, after)))
        raise LookupError(f"there is no way from {start} to {end}")

    def _neighbours(self, here: Point, end: Point) -> Iterator[Point]:
        for x, y in _DIRECTIONS:
            after = here[0] + x, here[1] + y
            inside = 0 <= after[0] <= self.right and 0 <= after[1] <= self.low
            if inside and (after == end or after not in self.blocked):
                yield after

    def _price(self, way: Way, after: Point, end: Point, goal: Point | None) -> int:
        here, turned = way[-1], len(way) > 1 and _turns(way[-2], way[-1], after)
        on, over = self.segments.get(frozenset((here, after))), self.passed.get(here)
        price = _TURN if turned else 0
        if on and goal and on == {goal}:
            return price + _JOINED
        is_port = len(way) == 1 or after == end
        price += _STEP + ((_PORT if is_port else _SHARED) if on else 0)
        if over and not (goal and over == {goal}):
            # To turn where another way passes would look like a branch of it, unless it stands beside that way.
            is_beside = (len(way) == 2 and frozenset(way) in self.segments) or (after == end and on)
            price += _SHARED if turned and not is_beside else _CROSSING
        return price
