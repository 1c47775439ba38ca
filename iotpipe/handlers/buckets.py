"""GET /query with `every`: buckets of time with their aggregates, instead of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import chain

from iotpipe.handlers import page_token, reading_keys, rows, table_reads, times, web
from iotpipe.handlers.aggregates import NAMES, Aggregate
from iotpipe.handlers.attributes import Attribute, Item
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import MAX_BUCKETS, Grid, Query
from iotpipe.handlers.readings import MAIN_METRICS
from iotpipe.handlers.routes import Call

MAX_ROWS = 100_000
"""Of one answer."""
# Of one period. Only the names that come first can be part of an answer; more would fill the memory.
_MAX_NAMES = 2 * MAX_BUCKETS

Row = tuple[str, list[tuple[str, Decimal]]]
"""A row's range key, and its numbers by metric."""


def answer(call: Call, query: Query, grid: Grid, start: Place) -> web.Answer:
    """Answer 200 with `every`, `count`, `series` and, if there may be more, `next_token`.

    Raises Refused if a bucket has more rows than one answer may read, and Unavailable if no bucket can be read.
    """
    page = _Page(query, grid, start)
    try:
        is_whole = page.fill(_rows(call, query, start))
    except web.Unavailable as error:
        if not page.has_advanced:
            if page.read and isinstance(error, table_reads.OutOfTime):
                raise _too_many_rows(page.read) from None
            raise
        call.line.fields["reasons"] = [str(error)]
        is_whole = False
    call.line.fields["items"] = page.count
    body = f'{{"every": {json.dumps(grid.text)}, "count": {page.count}, "series": [{page.series_text()}]'
    if not is_whole:
        body += f', "next_token": {json.dumps(page_token.write(query, page.place))}'
    return web.answer(call.request, 200, body + "}")


def _too_many_rows(read: int) -> web.Refused:
    message = f"one bucket has more rows than the {read} that one answer could read; ask for a shorter every"
    return web.invalid([web.detail("every", "too_many_rows", message)])


@dataclass(frozen=True, slots=True)
class _Period:
    """The time of one bucket of each metric.

    `low` and `high` bound the range keys of its rows, for any hash. A page that starts at `before` starts with this
    period, one that starts at `after` with the next one in the query's order.
    """

    start: int
    low: str
    high: str
    before: Place
    after: Place


@dataclass(frozen=True, slots=True)
class _Series:
    """The buckets of one metric of one device, as JSON: a list for each member."""

    head: str
    columns: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ("start", *NAMES)})

    def append(self, texts: Iterable[str]) -> None:
        for column, text in zip(self.columns.values(), texts, strict=True):
            column.append(text)

    def text(self) -> str:
        lists = [f'"{name}": [{", ".join(texts)}]' for name, texts in self.columns.items()]
        return f"{{{self.head}, {', '.join(lists)}}}"


class _Page:
    """One answer in the making: complete buckets, and the place where the next page starts."""

    def __init__(self, query: Query, grid: Grid, start: Place) -> None:
        self._query, self._grid, self._start = query, grid, start
        self._series: dict[tuple[int, str], _Series] = {}
        self._size = 0
        self._aggregates: dict[str, Aggregate] = {}
        self._answered = ""  # the last metric of the current period that an earlier page has answered
        self.place = start
        self.count = 0
        self.read = 0

    @property
    def has_advanced(self) -> bool:
        """Whether the next page would start elsewhere than this one."""
        return self.place != self._start

    def fill(self, devices: Iterable[tuple[str, Iterator[list[Row]]]]) -> bool:
        """Take in rows until the page is full; return whether these were all."""
        for device, pages in devices:
            if device != self._start.device_id:
                self.place = Place(device, self._query.low if self._is_ascending else self._query.high)
            period: _Period | None = None
            for key, numbers in chain.from_iterable(pages):
                if period is None or not period.low <= key <= period.high:
                    if not self._close(period) or self.count == self._query.limit or self.read == MAX_ROWS:
                        return False
                    period = self._open(device, key)
                elif self.read == MAX_ROWS:
                    if self.has_advanced:
                        return False
                    raise _too_many_rows(self.read)
                self.read += 1
                if period:
                    self._add(numbers)
            if not self._close(period):
                return False
        return True

    def series_text(self) -> str:
        return ", ".join(self._series[key].text() for key in sorted(self._series))

    @property
    def _is_ascending(self) -> bool:
        return self._query.order == "asc"

    def _open(self, device: str, key: str) -> _Period | None:
        """Return the period of a row; None for a row that has no time, because no reading has made it."""
        time = reading_keys.time_of(key)
        if time is None:
            self.place = Place(device, key)
            return None
        start = self._grid.start_of(time)
        low = times.iso(start)
        # "$" is the character after the "#" that precedes the hash.
        high = f"{times.iso(min(start + self._grid.width - 1, times.LAST))}$"
        ends = [Place(device, min(max(end, self._query.low), self._query.high)) for end in (low, high)]
        before, after = ends if self._is_ascending else reversed(ends)
        self._answered = self._start.metric if before == replace(self._start, metric="") else ""
        return _Period(start, low, high, before, after)

    def _add(self, numbers: list[tuple[str, Decimal]]) -> None:
        for metric, value in numbers:
            aggregate = self._aggregates.get(metric)
            if aggregate is not None:
                aggregate.add(value)
                if self._is_ascending:
                    aggregate.last = value
            elif metric > self._answered:
                self._aggregates[metric] = Aggregate.of(value)
                if len(self._aggregates) > _MAX_NAMES:
                    first = sorted(self._aggregates)[: MAX_BUCKETS + 1]
                    self._aggregates = {name: self._aggregates[name] for name in first}

    def _close(self, period: _Period | None) -> bool:
        """Take the buckets of a complete period into the answer; return whether there was room for all."""
        if period is None:
            return True
        aggregates, self._aggregates = self._aggregates, {}
        last = self._answered
        for metric in sorted(aggregates):
            if not self._take(period, metric, aggregates[metric]):
                self.place = replace(period.before, metric=last)
                return False
            last = metric
        self.place = period.after
        return True

    def _take(self, period: _Period, metric: str, aggregate: Aggregate) -> bool:
        if self.count == self._query.limit:
            return False
        device = period.before.device_id
        key = self._query.devices.index(device), metric
        series = self._series.get(key) or _Series(f'"device_id": {json.dumps(device)}, "metric": {json.dumps(metric)}')
        texts = [str(period.start), *aggregate.texts()]
        size = sum(len(text) + 2 for text in texts) + (0 if key in self._series else rows.json_size(series.text()))
        if self.count and self._size + size > rows.MAX_BYTES:
            return False
        series.append(texts)
        self._series[key] = series
        self._size += size
        self.count += 1
        return True


def _rows(call: Call, query: Query, start: Place) -> Iterator[tuple[str, Iterator[list[Row]]]]:
    main = [name for name in MAIN_METRICS if not query.metrics or name in query.metrics]
    others = [name for name in query.metrics if name not in MAIN_METRICS]
    for device, request in table_reads.requests(query, start):
        columns = [query.range_key, *main, *([] if query.metrics else ["sensor_data"])]
        table_reads.project(request, columns, others)
        yield device, table_reads.pages(call.budget, request, partial(_row, main=main))


def _row(item: Item, main: Iterable[str]) -> Row:
    found: list[tuple[str, Attribute]] = [(name, item[name]) for name in main if name in item]
    if "sensor_data" in item:
        others = item["sensor_data"].get("M", {})
        found += [(name, value) for name, value in others.items() if name not in MAIN_METRICS]
    return item["event_date"]["S"], [(name, _number(value["N"])) for name, value in found if "N" in value]


def _number(text: str) -> Decimal:
    number = Decimal(text)
    # DynamoDB has no such numbers, but Decimal does, and JSON cannot have them.
    if not number.is_finite():
        raise ValueError(text)
    return number
