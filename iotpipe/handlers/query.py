"""GET /query returns rows of devices, or buckets of them, by day or time range; GET /devices lists the devices."""

from __future__ import annotations

from typing import Any

from iotpipe.handlers import buckets, devices, page_token, query_parameters, routes, rows, web
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import Query
from iotpipe.handlers.routes import Call


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answer an API Gateway proxy event."""
    return routes.serve("query", ROUTES, event, context)


def _query(call: Call) -> web.Answer:
    """Answer 200 with rows, or with buckets of them."""
    query = query_parameters.read(call.request)
    start = _start(call, query)
    if query.grid is not None:
        return buckets.answer(call, query, query.grid, start)
    items, last = rows.fetch(call, query, start)
    return rows.answer(call, items, None if last is None else page_token.write(query, last))


def _start(call: Call, query: Query) -> Place:
    """Return where the page starts: the empty key stands for the beginning of the device's rows."""
    given = call.request.parameters.get("next_token")
    return page_token.read(query, given[0]) if given else Place(query.devices[0], "")


ROUTES: routes.Routes = {"GET /query": _query, "GET /devices": devices.answer}
