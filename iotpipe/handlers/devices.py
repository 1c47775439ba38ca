"""GET /devices: every device that has sent readings, with its latest row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from iotpipe.handlers import attributes, identifiers, page_token, rows, table_reads, times, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.parsing import quoted
from iotpipe.handlers.routes import Call
from iotpipe.handlers.web import Request, detail, invalid

PARAMETERS = ("limit", "next_token")
MAX_LIMIT, DEFAULT_LIMIT = 200, 100
# Greater than the range key of any row of a device.
_BEYOND = "~"


def answer(call: Call) -> web.Answer:
    """Answer 200 with `count`, `items` and, if there are more, `next_token`. Raises Refused and Unavailable."""
    limit, after = _read(call.request)
    items, last = rows.collect(call, _devices(call, after), limit)
    return rows.answer(call, items, None if last is None else _token(last))


def ids(call: Call, after: str) -> Iterator[str]:
    """Yield the ids of the devices in DynamoDB's order. Each costs the reading of one row, however many it has.

    A Scan returns the rows of a device together, so one that starts after all of them finds the next device.
    """
    request: dict[str, Any] = {
        "TableName": table_reads.table_name("processed"),
        "ProjectionExpression": "device_id, event_date",
        "Limit": 1,
    }
    found, start = after, _last_key(after) if after else None
    while True:
        if start is not None:
            request["ExclusiveStartKey"] = start
        page, start = table_reads.page(call.budget, request, _key)
        for device, key in page:
            if device == found:
                # A row that no reading has made, with a key beyond those of readings.
                start = start and {"device_id": {"S": device}, "event_date": {"S": key}}
                continue
            found, start = device, _last_key(device)
            # The row with the time of the last alert has no device's id.
            if identifiers.problem(device) is None:
                yield device
        if start is None:
            return


def _read(request: Request) -> tuple[int, str]:
    """Return the limit, and the device after which the page starts."""
    problems = [
        detail(quoted(name), "unknown", "not a parameter") for name in request.parameters.keys() - {*PARAMETERS}
    ]
    given = {name: values[0] for name, values in request.parameters.items()}
    problems += [
        detail(quoted(name), "repeated", "given more than once")
        for name, values in request.parameters.items()
        if len(values) > 1
    ]
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
        problems.append(detail("limit", "range", f"a whole number from 1 to {MAX_LIMIT} required"))
    if problems:
        raise invalid(problems)
    return int(limit), _device_of(given["next_token"]) if "next_token" in given else ""


def _token(device: str) -> str:
    return page_token.encode([device, page_token.digest_of(["devices", device])])


def _device_of(token: str) -> str:
    try:
        device, digest = page_token.decode(token)
        genuine = page_token.is_same(digest, page_token.digest_of(["devices", device]))
    except (ValueError, TypeError, RecursionError):
        genuine = False
    if not genuine or identifiers.problem(device):
        raise page_token.refused("list")
    return str(device)


def _devices(call: Call, after: str) -> Iterator[tuple[str, str]]:
    """Yield each device with its latest row as JSON text, and its id."""
    for device in ids(call, after):
        latest = _latest(call, device)
        if latest is not None:
            yield f'{{"device_id": {json.dumps(device)}, "latest": {latest}}}', device


def _last_key(device: str) -> dict[str, Any]:
    return {"device_id": {"S": device}, "event_date": {"S": _BEYOND}}


def _key(item: Item) -> tuple[str, str]:
    return item["device_id"]["S"], item["event_date"]["S"]


def _latest(call: Call, device: str) -> str | None:
    """Return the row that comes last in the answer of GET /query, or None if there is none."""
    request: dict[str, Any] = {
        "TableName": table_reads.table_name("processed"),
        "KeyConditionExpression": "device_id = :device AND event_date BETWEEN :low AND :high",
        "ExpressionAttributeValues": {
            ":device": {"S": device},
            ":low": {"S": times.iso(0)},
            ":high": {"S": f"{times.iso(times.LAST)}$"},
        },
        "ScanIndexForward": False,
        "Limit": 1,
    }
    found, _ = table_reads.page(call.budget, request, attributes.item_to_json)
    return found[0] if found else None
