"""Plots of numbers over time, in braille or ASCII: lowest to highest of each column of dots, with both axes.

100,000 points cost as much as 100, except for looking at each once. Numbers stay decimals, because floats have
neither 38 digits nor the exponents of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal, localcontext
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

from iotpipe.readings.chart import Chart, Number, Point, Series
from iotpipe.render.console import Part
from iotpipe.render.query import cell
from iotpipe.render.time_axis import ticks as time_ticks
from iotpipe.times import iso

_EXACT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5))
_LINES, _LINES_OF_SEVERAL = 10, 6
_FEWEST_COLUMNS = 10
# A longer interval than so many usual ones is a gap.
_GAP = 3
_LONGEST_LABEL = 12


class Signs(NamedTuple):
    """What a plot is drawn with: the bit of each dot of a cell, line by line, and the cell of each sum of bits."""

    dots: Sequence[Sequence[int]]
    cells: str
    side: str
    tick: str
    corner: str
    line: str
    mark: str


BRAILLE = Signs(
    ((1, 8), (2, 16), (4, 32), (64, 128)), " " + "".join(map(chr, range(0x2801, 0x2900))), "│", "┤", "└", "─", "┬"
)
ASCII = Signs(((1,), (2,)), " '.:", "|", "+", "+", "-", "+")

Line = tuple[Part, ...]


class _Frame(NamedTuple):
    """The rectangle of a plot: its period, its scale, and its size in characters."""

    start: int
    end: int
    low: Decimal
    high: Decimal
    columns: int
    lines: int
    signs: Signs

    def x(self, time: int) -> int:
        """The column of dots of a time, from the left."""
        width = self.columns * len(self.signs.dots[0])
        return max(0, min(width - 1, (time - self.start) * width // (self.end - self.start)))

    def y(self, value: Number) -> int:
        """The line of dots of a value, from the top."""
        height = self.lines * len(self.signs.dots)
        return round((self.high - value) / (self.high - self.low) * (height - 1))


def as_lines(chart: Chart, width: int, signs: Signs) -> list[Line]:
    """A line about the period, and a plot per metric and device; those of one metric have the same scales."""
    with localcontext(_EXACT):
        return [*_lines(chart, width, signs)]


def _lines(chart: Chart, width: int, signs: Signs) -> Iterator[Line]:
    times = [point.time for series in chart.series for point in series.points]
    start = min(times) if chart.start is None else chart.start
    end = max(times) if chart.end is None else chart.end
    what = f"bucket{'s' * (chart.count != 1)} of {chart.every}" if chart.every else f"row{'s' * (chart.count != 1)}"
    yield (f"{iso(start)[:19]}Z to {iso(end)[:19]}Z", (f"   {chart.count:,} {what}", "dim"))
    if start == end:
        start, end = start - 30_000, end + 30_000
    several = len({series.device for series in chart.series}) > 1
    for series in chart.series:
        alike = [each for each in chart.series if each.metric == series.metric]
        lines = _LINES if len(alike) == 1 else _LINES_OF_SEVERAL
        yield ()
        yield _heading(series, several)
        yield from _figure(series.points, _Frame(start, end, *_scale(alike), width, lines, signs))


def _heading(series: Series, several: bool) -> Line:
    low, high = min(point.low for point in series.points), max(point.high for point in series.points)
    name = f"{series.device}  {series.metric}" if several else series.metric
    return (name, "bold"), (f"   {cell(low)} to {cell(high)}   last {cell(series.last)}", "dim")


def _scale(alike: Sequence[Series]) -> tuple[Decimal, Decimal]:
    """The ends of the value axis; a constant is in its middle."""
    low = min(Decimal(point.low) for series in alike for point in series.points)
    high = max(Decimal(point.high) for series in alike for point in series.points)
    if high - low:
        return low, high
    margin = abs(low) / 10 or Decimal(1)
    return low - margin, high + margin


def _figure(points: Sequence[Point], frame: _Frame) -> Iterator[Line]:
    """The plot with its axes, in all columns of the frame."""
    signs = frame.signs
    labels = {frame.y(value) // len(signs.dots): label for value, label in _ticks(frame.low, frame.high)}
    if any(len(label) > max(_FEWEST_COLUMNS, frame.columns // 3) for label in labels.values()):
        labels = dict.fromkeys(labels, "")
    margin = max(map(len, labels.values()))
    frame = frame._replace(columns=max(_FEWEST_COLUMNS, frame.columns - margin - 2))
    for number, text in enumerate(_canvas(points, frame)):
        side = signs.tick if number in labels else signs.side
        yield (f"{labels.get(number, ''):>{margin}} {side}", "dim"), (text.rstrip(), "cyan")
    marks, texts = [signs.line] * frame.columns, [" "] * frame.columns
    for at, label in time_ticks(frame.start, frame.end, frame.columns):
        begin = at - len(label) // 2
        marks[at] = signs.mark
        texts[begin : begin + len(label)] = label
    yield ((f"{'':>{margin}} {signs.corner}{''.join(marks)}", "dim"),)
    yield ((f"{'':>{margin}}  {''.join(texts)}".rstrip(), "dim"),)


def _canvas(points: Sequence[Point], frame: _Frame) -> list[str]:
    """Lowest to highest of each column of dots, joined to the column before unless a gap is between."""
    dots = frame.signs.dots
    cells = [[0] * frame.columns for _ in range(frame.lines)]

    def draw(x: int, top: int, bottom: int) -> None:
        for y in range(top, bottom + 1):
            cells[y // len(dots)][x // len(dots[0])] |= dots[y % len(dots)][x % len(dots[0])]

    longest = _GAP * _usual_interval(points)
    before: tuple[int, int, int] | None = None
    for x, group in groupby(points, lambda point: frame.x(point.time)):
        held = [*group]
        top, bottom = frame.y(max(each.high for each in held)), frame.y(min(each.low for each in held))
        if before and held[0].time - before[2] <= longest:
            y, first = before[1], frame.y(held[0].value)
            for between in range(before[0] + 1, x):
                to = before[1] + round((first - before[1]) * (between - before[0]) / (x - before[0]))
                draw(between, min(to, y + 1), max(to, y - 1))
                y = to
            top, bottom = min(top, y + 1), max(bottom, y - 1)
        draw(x, top, bottom)
        before = x, frame.y(held[-1].value), held[-1].time
    return ["".join(frame.signs.cells[each] for each in line) for line in cells]


def _usual_interval(points: Sequence[Point]) -> float:
    intervals = [later.time - earlier.time for earlier, later in pairwise(points) if later.time > earlier.time]
    return median(intervals) if intervals else 0


def _ticks(low: Decimal, high: Decimal) -> Iterator[tuple[Decimal, str]]:
    """Two to five round numbers of the scale, each with its text."""
    most = (high - low) / 2
    unit = Decimal(1).scaleb(most.adjusted())
    step = max(unit * each for each in _STEPS if unit * each <= most)
    value = (low / step).to_integral_value(ROUND_CEILING) * step + 0
    while value <= high:
        yield value, _label(value, step)
        value += step


def _label(value: Decimal, step: Decimal) -> str:
    decimals = max(0, -int(step.normalize().as_tuple().exponent))
    plain = f"{value:.{decimals}f}"
    return plain if len(plain) <= _LONGEST_LABEL else f"{value.normalize():e}"
