"""GET /query: returns a device's rows from either table, by day or time range, in either order, in pages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import DecimalException
from typing import Any

from iotpipe.handlers import attributes, aws, query_parameters, routes, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.query_parameters import Query
from iotpipe.handlers.routes import Call

# Lambda's limit for an answer is 6 MB, counted after the body has been encoded in JSON again.
MAX_BYTES = 5_000_000
Row = tuple[str, str]
"""A row as JSON text, and its range key."""
Page = tuple[list[Row], dict[str, Any] | None]
"""Rows, and DynamoDB's start key of the next page."""
_TABLES = {"processed": "PROCESSED_TABLE_NAME", "raw": "RAW_TABLE_NAME"}


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answer an API Gateway proxy event: 200 with `count`, `items` and, if there are more, `next_token`."""
    return routes.serve("query", ROUTES, event, context)


def _query(call: Call) -> web.Answer:
    query = query_parameters.read(call.request)
    items, last = _fetch(call, query)
    call.line.fields["items"] = len(items)
    body = f'{{"count": {len(items)}, "items": [{", ".join(items)}]'
    if last is not None:
        body += f', "next_token": {json.dumps(query_parameters.token(query, last))}'
    return web.answer(call.request, 200, body + "}")


ROUTES: routes.Routes = {"GET /query": _query}


def _fetch(call: Call, query: Query) -> tuple[list[str], str | None]:
    """Return rows as JSON text, and the range key of the last one if there are more.

    If DynamoDB fails after some rows, these are the answer; its page token continues with the rest.
    """
    items: list[str] = []
    size, last = 0, None
    try:
        for text, key in _rows(call, query):
            size += len(json.dumps(text)) + 2
            if len(items) == query.limit or (items and size > MAX_BYTES):
                return items, last
            items.append(text)
            last = key
    except web.Unavailable as error:
        if not items:
            raise
        call.line.fields["reasons"] = [str(error)]
        return items, last
    return items, None


def _rows(call: Call, query: Query) -> Iterator[Row]:
    """Yield the query's rows; reads DynamoDB pages of at most 1 MB."""
    request = _request(query)
    while True:
        rows, last = _page(call, request, query)
        yield from rows
        if last is None:
            return
        request["ExclusiveStartKey"] = last


def _request(query: Query) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TableName": os.environ[_TABLES[query.table]],
        "KeyConditionExpression": "device_id = :device AND #range BETWEEN :low AND :high",
        "ExpressionAttributeNames": {"#range": query.range_key},
        "ExpressionAttributeValues": {
            ":device": {"S": query.device_id},
            ":low": {query.key_type: query.low},
            ":high": {query.key_type: query.high},
        },
        "ScanIndexForward": query.order == "asc",
        # One more than the limit shows whether there are more rows, so that the last page is never empty.
        "Limit": query.limit + 1,
    }
    if query.after is not None:
        start = {"device_id": {"S": query.device_id}, query.range_key: {query.key_type: query.after}}
        request["ExclusiveStartKey"] = start
    return request


def _page(call: Call, request: dict[str, Any], query: Query) -> Page:
    reason = "out of time"
    for _ in aws.attempts(call.budget):
        try:
            return _read_page(request, query)
        except aws.ERRORS as error:
            reason = aws.describe(error)
            if not aws.is_transient(error):
                break
    raise web.Unavailable(f"cannot query {request['TableName']}: {reason}")


def _read_page(request: dict[str, Any], query: Query) -> Page:
    with aws.checked_response():
        page: dict[str, Any] = aws.client("dynamodb").query(**request)
    # Only this member distinguishes an empty page from an empty response.
    if "Items" not in page:
        raise aws.Unconfirmed("a response without the rows")
    try:
        rows = [_row(item, query) for item in page["Items"]]
    except (AttributeError, TypeError, KeyError, ValueError, DecimalException) as error:
        raise aws.Unconfirmed(f"a row that cannot be read: {type(error).__name__}") from error
    return rows, page.get("LastEvaluatedKey")


def _row(item: Item, query: Query) -> Row:
    return attributes.item_to_json(item), str(item[query.range_key][query.key_type])
