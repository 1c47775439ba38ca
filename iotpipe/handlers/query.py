"""GET /query: a device's rows from either table, by day or range, in either order, page by page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import DecimalException
from typing import Any

from iotpipe.handlers import attributes, aws, query_parameters, routes, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.query_parameters import Question
from iotpipe.handlers.routes import Call

# Lambda returns at most 6 MB, counted after it has wrapped the body in JSON once more.
MOST_BYTES = 5_000_000
Row = tuple[str, str]
"""A row as JSON text, and its range key."""
Page = tuple[list[Row], dict[str, Any] | None]
"""Rows, and the key after which the next page begins."""
_TABLES = {"processed": "PROCESSED_TABLE_NAME", "raw": "RAW_TABLE_NAME"}


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answers an API Gateway proxy event: 200 with `count`, `items` and, if there is more, `next_token`."""
    return routes.serve("query", ROUTES, event, context)


def _query(call: Call) -> web.Answer:
    question = query_parameters.read(call.request)
    items, last = _fetch(call, question)
    call.line.fields["items"] = len(items)
    body = f'{{"count": {len(items)}, "items": [{", ".join(items)}]'
    if last is not None:
        body += f', "next_token": {json.dumps(query_parameters.token(question, last))}'
    return web.answer(call.request, 200, body + "}")


ROUTES: routes.Routes = {"GET /query": _query}


def _fetch(call: Call, question: Question) -> tuple[list[str], str | None]:
    """Rows as JSON text; and where to go on, the range key of the last one, if there are more.

    What was found before DynamoDB could not go on is an answer as well: the token asks for the rest.
    """
    items: list[str] = []
    size, last = 0, None
    try:
        for text, key in _rows(call, question):
            size += len(json.dumps(text)) + 2
            if len(items) == question.limit or (items and size > MOST_BYTES):
                return items, last
            items.append(text)
            last = key
    except web.Unavailable as error:
        if not items:
            raise
        call.line.fields["reasons"] = [str(error)]
        return items, last
    return items, None


def _rows(call: Call, question: Question) -> Iterator[Row]:
    """The question's rows, a DynamoDB page of at most 1 MB at a time."""
    request = _request(question)
    while True:
        rows, last = _page(call, request, question)
        yield from rows
        if last is None:
            return
        request["ExclusiveStartKey"] = last


def _request(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TableName": os.environ[_TABLES[question.table]],
        "KeyConditionExpression": "device_id = :device AND #range BETWEEN :low AND :high",
        "ExpressionAttributeNames": {"#range": question.range_key},
        "ExpressionAttributeValues": {
            ":device": {"S": question.device_id},
            ":low": {question.kind: question.low},
            ":high": {question.kind: question.high},
        },
        "ScanIndexForward": question.order == "asc",
        # One more than wanted tells whether there are more, so that no last page comes back empty.
        "Limit": question.limit + 1,
    }
    if question.after is not None:
        start = {"device_id": {"S": question.device_id}, question.range_key: {question.kind: question.after}}
        request["ExclusiveStartKey"] = start
    return request


def _page(call: Call, request: dict[str, Any], question: Question) -> Page:
    reason = "out of time"
    for _ in aws.attempts(call.budget):
        try:
            return _read_page(request, question)
        except aws.FAILED as error:
            reason = aws.describe(error)
            if not aws.passing(error):
                break
    raise web.Unavailable(f"cannot query {request['TableName']}: {reason}")


def _read_page(request: dict[str, Any], question: Question) -> Page:
    with aws.answering():
        page: dict[str, Any] = aws.client("dynamodb").query(**request)
    # An empty page and an answer of nobody's look alike but for this member.
    if "Items" not in page:
        raise aws.Unconfirmed("an answer without the rows")
    try:
        rows = [_row(item, question) for item in page["Items"]]
    except (AttributeError, TypeError, KeyError, ValueError, DecimalException) as error:
        raise aws.Unconfirmed(f"a row that cannot be read: {type(error).__name__}") from error
    return rows, page.get("LastEvaluatedKey")


def _row(item: Item, question: Question) -> Row:
    return attributes.item_to_json(item), str(item[question.range_key][question.kind])
