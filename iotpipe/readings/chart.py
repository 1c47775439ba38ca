"""Fetch what a plot shows: the rows of a period, or buckets of it where it has more rows than the screen has dots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from iotpipe.readings import exact_json, stored_rows
from iotpipe.readings.api_client import Api, Parameters
from iotpipe.readings.api_pages import TooManyRows
from iotpipe.readings.buckets import Bucket
from iotpipe.readings.query import fetch_rows
from iotpipe.readings.stored_rows import Row
from iotpipe.times import iso

Number = Decimal | int

_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LENGTHS = (
    *("1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m", "15m", "30m"),
    *("1h", "2h", "3h", "6h", "12h", "1d", "2d", "5d", "10d", "30d", "60d", "183d", "366d"),
)


class Point(NamedTuple):
    """The values at a time in epoch milliseconds: lowest, highest, and the one that a line goes through."""

    time: int
    low: Number
    high: Number
    value: Number


@dataclass(frozen=True)
class Series:
    """The points of one metric of one device, in order of time; `last` is the newest value."""

    device: str
    metric: str
    points: Sequence[Point]
    last: Number


@dataclass(frozen=True)
class Chart:
    """All series, metric by metric; `start` and `end` of the period in epoch milliseconds, where it is known.

    `count` is the number of rows, or of buckets that are `every` long. `more`: the limit has left some out.
    """

    series: Sequence[Series]
    count: int
    every: str
    start: int | None
    end: int | None
    more: bool = False


def of_buckets(api: Api, parameters: Parameters, limit: int | None, start: int | None, end: int | None) -> Chart:
    """The chart of a query with `every`."""
    found, more = fetch_rows(api, parameters, limit)
    return _chart(_bucket_points(found, parameters, start, end), found, parameters, start, end, more)


def of_rows(api: Api, parameters: Parameters, limit: int | None, start: int | None, end: int | None) -> Chart:
    """The chart of a query of rows, at most `limit` of each device."""
    found, more = fetch_rows(api, parameters, limit)
    return _chart(_row_points(found), found, parameters, start, end, more)


def of_period(api: Api, parameters: Parameters, start: int | None, end: int | None, now: int, dots: int) -> Chart:
    """The chart of a whole period: of its rows if no device has more than `dots`, otherwise of buckets.

    Without `start` the period begins with the first row.
    """
    ascending = {**parameters, "order": "asc"}
    found, more = fetch_rows(api, ascending, dots)
    if not more:
        return _chart(_row_points(found), found, ascending, start, end, more)
    first = min(map(stored_rows.timestamp, found)) if start is None else start
    last = end
    if last is None:
        newest, _ = fetch_rows(api, {**parameters, "order": "desc"}, 1)
        last = max(map(stored_rows.timestamp, newest), default=now)
    period = {} if "event_date" in parameters else {"from": iso(first)}
    *lengths, shortest = _lengths((last - first) // dots)
    for length in lengths:
        try:
            return of_buckets(api, {**ascending, **period, "every": length}, None, first, last)
        except TooManyRows:
            continue
    return of_buckets(api, {**ascending, **period, "every": shortest}, None, first, last)


def _lengths(milliseconds: int) -> list[str]:
    """The lengths of buckets that are not longer than this, the longest first; at least a second."""
    return [each for each in reversed(_LENGTHS) if _milliseconds(each) <= milliseconds] or [_LENGTHS[0]]


def _milliseconds(length: str) -> int:
    return int(length[:-1]) * _UNITS[length[-1]]


Points = dict[tuple[str, str], list[tuple[Point, Number]]]
"""By device and metric: points, each with the last value that it is made of."""


def _row_points(rows: Iterable[Row]) -> Points:
    points: Points = {}
    for row in rows:
        time = stored_rows.timestamp(row)
        for name, value in stored_rows.metrics(row).items():
            if exact_json.is_number(value):
                points.setdefault((row["device_id"], name), []).append((Point(time, value, value, value), value))
    return points


def _bucket_points(buckets: Iterable[Bucket], parameters: Parameters, start: int | None, end: int | None) -> Points:
    """A point in the middle of each bucket, or of its part that is in the period, at its mean."""
    length = _milliseconds(str(parameters["every"]))
    points: Points = {}
    for bucket in buckets:
        first, last = bucket["start"], bucket["start"] + length
        if start is not None:
            first = max(first, start)
        if end is not None and first <= end:
            last = min(last, end)
        point = Point((first + last) // 2, bucket["min"], bucket["max"], bucket["mean"])
        points.setdefault((bucket["device_id"], bucket["metric"]), []).append((point, bucket["last"]))
    return points


def _chart(
    points: Points,
    found: Sequence[Mapping[str, object]],
    parameters: Parameters,
    start: int | None,
    end: int | None,
    more: bool,
) -> Chart:
    series = []
    for (device, metric), held in points.items():
        held.sort(key=lambda each: each[0].time)
        series.append(Series(device, metric, [point for point, _ in held], held[-1][1]))
    metrics = [name for name in stored_rows.MAIN_METRICS if any(each.metric == name for each in series)]
    metrics += sorted({each.metric for each in series}.difference(metrics))
    # The sort keeps the order of the devices.
    series.sort(key=lambda each: metrics.index(each.metric))
    if end is not None and not {"to", "event_date"} & parameters.keys():
        # A device whose clock is fast has readings after now.
        end = max([end, *(each.points[-1].time for each in series)])
    return Chart(series, len(found), str(parameters.get("every", "")), start, end, more)
