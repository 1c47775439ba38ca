"""GET /query: a device's rows from either table, by day or range, in either order, page by page."""

from __future__ import annotations

import json
import os
from typing import Any

from iotpipe.handlers import attributes, aws, questions, routes
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.questions import Question
from iotpipe.handlers.routes import Call
from iotpipe.handlers.web import Unavailable, answer

# Lambda returns at most 6 MB, counted after it has put the body into JSON once more.
MOST_BYTES = 5_000_000
_TABLES = {"processed": "PROCESSED_TABLE_NAME", "raw": "RAW_TABLE_NAME"}


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers an API Gateway proxy event: 200 with `count`, `items` and, if there is more, `next_token`."""
    return routes.serve("query", "/query", _query, event, context)


def _query(call: Call) -> dict[str, Any]:
    question = questions.read(call.request)
    items, last = _fetch(call, question)
    call.count(items=len(items))
    body = f'{{"count":{len(items)},"items":[{",".join(items)}]'
    if last is not None:
        body += f',"next_token":{json.dumps(questions.token(question, last))}'
    return answer(call.request, 200, body + "}")


def _fetch(call: Call, question: Question) -> tuple[list[str], str | None]:
    """Rows as JSON, and the range key of the last one if there may be more."""
    items: list[str] = []
    size, last = 0, question.after
    while True:
        page = _page(call, question, question.limit - len(items), last)
        for item in page["Items"]:
            text = attributes.item_to_json(item)
            size += len(json.dumps(text)) + 1
            if items and size > MOST_BYTES:
                return items, last
            items.append(text)
            last = _range_key(item, question)
        if "LastEvaluatedKey" not in page:
            return items, None
        last = _range_key(page["LastEvaluatedKey"], question)
        if len(items) >= question.limit or call.budget.left() <= 0:
            return items, last


def _range_key(item: Item, question: Question) -> str:
    return str(item[question.range_key][question.kind])


def _page(call: Call, question: Question, limit: int, last: str | None) -> dict[str, Any]:
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
        "Limit": limit,
    }
    if last is not None:
        request["ExclusiveStartKey"] = {
            "device_id": {"S": question.device_id},
            question.range_key: {question.kind: last},
        }
    return _ask(call, request)


def _ask(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    error: Exception | None = None
    for _ in aws.attempts(call.budget):
        try:
            page: dict[str, Any] = aws.client("dynamodb").query(**request)
            return page
        except aws.FAILED as failure:
            error = failure
            if not aws.passing(failure):
                break
    raise Unavailable(f"cannot query: {error}")
