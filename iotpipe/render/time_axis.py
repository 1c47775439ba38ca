"""Round moments of a period with their texts, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_STEPS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(_SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 5, 10)),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12_000)
_MONTH = 30 * _DAY
_YEAR = 12
# Between two texts.
_SPACE = 3


def ticks(start: int, end: int, columns: int) -> list[tuple[int, str]]:
    """Columns and texts that fit beside each other, each in the middle of its column."""
    found = []
    free = 0
    for moment, text in _moments(start, end, columns):
        at = (moment - start) * columns // (end - start)
        begin = at - len(text) // 2
        if begin >= free and begin + len(text) <= columns:
            found.append((at, text))
            free = begin + len(text) + 1
    return found


def _moments(start: int, end: int, columns: int) -> Iterator[tuple[int, str]]:
    for step in _STEPS:
        width = len(_text(start, step))
        if (end - start) * (width + _SPACE) <= step * columns:
            first = -(-start // step) * step
            yield from ((moment, _text(moment, step)) for moment in range(first, end + 1, step))
            return
    width = len("Jan 2000") + _SPACE
    fitting = [each for each in _MONTHS if (end - start) * width <= each * _MONTH * columns]
    yield from _months(start, end, fitting[0] if fitting else _MONTHS[-1])


def _months(start: int, end: int, step: int) -> Iterator[tuple[int, str]]:
    """The beginnings of months, so many apart, or of years."""
    year, month = divmod(_date(start).year * 12 // step * step, 12)
    while year < 10_000:
        moment = datetime(max(1, year), month + 1, 1, tzinfo=UTC)
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        if milliseconds > end:
            return
        if milliseconds >= start:
            yield milliseconds, str(year) if step >= _YEAR else f"{moment:%b %Y}"
        year, month = divmod(year * 12 + month + step, 12)


def _text(moment: int, step: int) -> str:
    time = _date(moment)
    if step >= _DAY or (moment % _DAY == 0 and step >= _MINUTE):
        return f"{time:%d %b}"
    if step >= _MINUTE:
        return f"{time:%H:%M}"
    return f"{time:%H:%M:%S}" if step >= _SECOND else f"{time:%H:%M:%S}.{moment % 1000:03}"


def _date(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
