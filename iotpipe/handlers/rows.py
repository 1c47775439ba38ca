"""Rows of either table as JSON text, and the answers that list them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from iotpipe.handlers import attributes, table_reads, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import Query
from iotpipe.handlers.readings import MAIN_METRICS
from iotpipe.handlers.routes import Call

P = TypeVar("P")

# Lambda's limit for an answer is 6 MB, counted after the body has been encoded in JSON again.
MAX_BYTES = 5_000_000
_COLUMNS = {
    "processed": ("device_id", "event_date", "timestamp", "reading_id", "received_at", "processed_at", "status"),
    "raw": ("device_id", "timestamp", "reading_id", "received_at"),
}
_DERIVED = {"temperature": ("temperature_celsius", "temperature_fahrenheit")}


def fetch(call: Call, query: Query, start: Place) -> tuple[list[str], Place | None]:
    """Return the query's rows as JSON text, and the place of the last one if there are more."""
    return collect(call, _rows(call, query, start), query.limit)


def collect(call: Call, rows: Iterator[tuple[str, P]], limit: int) -> tuple[list[str], P | None]:
    """Return rows that fit into one answer, and the place of the last one if there are more.

    If DynamoDB fails after some rows, these are the answer; its page token continues with the rest.
    """
    items: list[str] = []
    size = 0
    last: P | None = None
    try:
        for text, place in rows:
            size += json_size(text) + 2
            if len(items) == limit or (items and size > MAX_BYTES):
                return items, last
            items.append(text)
            last = place
    except web.Unavailable as error:
        if not items:
            raise
        call.line.fields["reasons"] = [str(error)]
        return items, last
    return items, None


def json_size(text: str) -> int:
    """Return the length of a part of the body after Lambda has encoded the body in JSON again."""
    return len(json.dumps(text))


def answer(call: Call, items: list[str], token: str | None) -> web.Answer:
    """Answer with `count`, `items` and, if there are more, `next_token`."""
    call.line.fields["items"] = len(items)
    body = f'{{"count": {len(items)}, "items": [{", ".join(items)}]'
    if token is not None:
        body += f', "next_token": {json.dumps(token)}'
    return web.answer(call.request, 200, body + "}")


def _rows(call: Call, query: Query, start: Place) -> Iterator[tuple[str, Place]]:
    for device, request in table_reads.requests(query, start):
        # One more than the limit shows whether there are more rows, so that the last page is never empty.
        request["Limit"] = query.limit + 1
        if query.metrics:
            table_reads.project(request, *_projection(query))
        for page in table_reads.pages(call.budget, request, partial(_row, query=query, device=device)):
            yield from page


def _projection(query: Query) -> tuple[list[str], list[str]]:
    """Return the columns that a query of some metrics reads, and the metrics that it reads from `sensor_data`."""
    main = MAIN_METRICS if query.table == "processed" else ()
    columns = [*_COLUMNS[query.table]]
    for name in set(main).intersection(query.metrics):
        columns += [name, *_DERIVED.get(name, ())]
    return columns, [name for name in query.metrics if name not in main]


def _row(item: Item, query: Query, device: str) -> tuple[str, Place]:
    if query.metrics:
        # DynamoDB leaves out what has none of the metrics, and every row has this column.
        item.setdefault("sensor_data", {"M": {}})
    return attributes.item_to_json(item), Place(device, str(item[query.range_key][query.key_type]))
