"""Reads pages of DynamoDB's rows, with retries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import DecimalException
from typing import Any, TypeVar

from iotpipe.handlers import aws, clock, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import Query

T = TypeVar("T")

Request = dict[str, Any]
Page = tuple[list[T], dict[str, Any] | None]
"""Rows, and DynamoDB's start key of the next page."""
_TABLES = {"processed": "PROCESSED_TABLE_NAME", "raw": "RAW_TABLE_NAME"}


class OutOfTime(web.Unavailable):
    """There was no time left to begin the call."""


_names: ContextVar[Mapping[str, str] | None] = ContextVar("names", default=None)


@contextmanager
def reading(dynamodb: Any, names: Mapping[str, str]) -> Iterator[None]:
    """Read outside of Lambda, with this client: `names` are the physical names of "processed" and "raw"."""
    before = _names.set(names)
    try:
        with aws.using(dynamodb=dynamodb):
            yield
    finally:
        _names.reset(before)


def table_name(table: str) -> str:
    """Return the physical name of the table "processed" or "raw"."""
    names = _names.get()
    return names[table] if names else os.environ[_TABLES[table]]


def requests(query: Query, start: Place) -> Iterator[tuple[str, Request]]:
    """Yield each device from the place on, and the DynamoDB request for its rows."""
    for device in query.devices[query.devices.index(start.device_id) :]:
        yield device, _request(query, device, start.key if device == start.device_id else "")


def _request(query: Query, device: str, after: str) -> Request:
    request: Request = {
        "TableName": table_name(query.table),
        "KeyConditionExpression": "device_id = :device AND #range BETWEEN :low AND :high",
        "ExpressionAttributeNames": {"#range": query.range_key},
        "ExpressionAttributeValues": {
            ":device": {"S": device},
            ":low": {query.key_type: query.low},
            ":high": {query.key_type: query.high},
        },
        "ScanIndexForward": query.order == "asc",
    }
    if after:
        start = {"device_id": {"S": device}, query.range_key: {query.key_type: after}}
        request["ExclusiveStartKey"] = start
    return request


def project(request: Request, columns: Sequence[str], metrics: Sequence[str]) -> None:
    """Let the request read only these columns, and of the column `sensor_data` only these metrics."""
    names: dict[str, str] = request["ExpressionAttributeNames"]
    # Placeholders, because some of the names are reserved words, and a metric may have any name.
    paths = [f"#c{index}" for index in range(len(columns))]
    names |= dict(zip(paths, columns, strict=True))
    if metrics:
        names["#data"] = "sensor_data"
        names |= {f"#m{index}": name for index, name in enumerate(metrics)}
        paths += [f"#data.#m{index}" for index in range(len(metrics))]
    request["ProjectionExpression"] = ", ".join(paths)


def pages(budget: clock.Budget, request: Request, parse: Callable[[Item], T]) -> Iterator[list[T]]:
    """Yield the rows of a Query page by page, each of at most 1 MB. Raises Unavailable, or OutOfTime before a page."""
    while True:
        rows, last = page(budget, request, parse)
        yield rows
        if last is None:
            return
        request["ExclusiveStartKey"] = last


def page(budget: clock.Budget, request: Request, parse: Callable[[Item], T]) -> Page[T]:
    """Return one page of a Query, or of a Scan if the request has no condition. Raises Unavailable, or OutOfTime."""
    operation = "query" if _is_query(request) else "scan"
    reason = ""
    for _ in aws.attempts(budget):
        try:
            return _read_page(request, parse)
        except aws.ERRORS as error:
            reason = aws.describe(error)
            if not aws.is_transient(error):
                break
    unavailable = web.Unavailable if reason else OutOfTime
    raise unavailable(f"cannot {operation} {request['TableName']}: {reason or clock.OUT_OF_TIME}")


def _read_page(request: Request, parse: Callable[[Item], T]) -> Page[T]:
    found: dict[str, Any]
    with aws.checked_response():
        if _is_query(request):
            found = aws.client("dynamodb").query(**request)
        else:
            found = aws.client("dynamodb").scan(**request)
    # Only this member distinguishes an empty page from an empty response.
    if "Items" not in found:
        raise aws.Unconfirmed("a response without the rows")
    try:
        rows = [parse(item) for item in found["Items"]]
    except (AttributeError, TypeError, KeyError, ValueError, DecimalException) as error:
        raise aws.Unconfirmed(f"a row that cannot be read: {type(error).__name__}") from error
    return rows, found.get("LastEvaluatedKey")


def _is_query(request: Request) -> bool:
    return "KeyConditionExpression" in request
