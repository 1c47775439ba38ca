"""POST /ingest: readings into the raw table and the queue; acknowledged only when they are in both."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from iotpipe.handlers import apikey, clock, messages, queue_message, readings, routes, tables, times, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.readings import Examined, Reading
from iotpipe.handlers.routes import Call

# Two calls of DynamoDB and five of SQS, all of them full: when time runs short, what is stored is queued as well.
_UNIT = 50

Outcome = tuple[str, str | None]
"""What became of a reading, and why where it failed."""


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answers an API Gateway proxy event. 200: every reading is stored and queued. 503: send it all again.

    With `partial=true` 207: the good ones are, and each has a result.
    """
    return routes.serve("ingestion", ROUTES, event, context)


def _ingest(call: Call) -> web.Answer:
    # Said in both places: a new worker that cannot reach SSM would let everybody in.
    if call.settings.require_api_key or os.environ.get("REQUIRE_API_KEY"):
        apikey.check(call.request, call.budget)
    in_part = _is_partial(call.request)
    examined = readings.from_request(call.request, call.settings, timed=False)
    found = examined.good if in_part else readings.all_good(examined)
    outcomes = _outcomes(found, _keep(call, found))
    return _in_part(call, examined, outcomes) if in_part else _as_a_whole(call, found, outcomes, examined.single)


ROUTES: routes.Routes = {"POST /ingest": _ingest}


def _is_partial(request: web.Request) -> bool:
    """Whether the good readings of a batch are to be taken though others are bad."""
    given = request.parameters.get("partial", ["false"])
    if len(given) > 1:
        raise web.invalid([web.detail("partial", "repeated", "given more than once")])
    if given[0] not in ("true", "false"):
        raise web.invalid([web.detail("partial", "choice", "true or false required")])
    return given[0] == "true"


def _keep(call: Call, found: Sequence[Reading]) -> dict[tuple[str, str], str | None]:
    """Store and queue the readings, each key once; by key None, or why the reading is not kept."""
    distinct = list({reading.key: reading for reading in found}.values())
    work = partial(_store_and_queue, call, times.iso(clock.now()))
    reasons = tables.in_units(distinct, min(call.settings.batch_size, _UNIT), work)
    return {reading.key: reason for reading, reason in zip(distinct, reasons, strict=True)}


def _store_and_queue(call: Call, received_at: str, unit: Sequence[Reading]) -> list[str | None]:
    """Per reading None once it is in the table and in the queue, or why it is not in both."""
    rows = [tables.Row(_item(reading, received_at), "timestamp", len(reading.text)) for reading in unit]
    reasons = tables.store(os.environ["RAW_TABLE_NAME"], rows, call.budget)
    stored = [index for index, reason in enumerate(reasons) if reason is None]
    bodies = [queue_message.write(unit[index], received_at) for index in stored]
    sent = messages.send(os.environ["QUEUE_URL"], bodies, call.request.correlation_id, call.budget)
    for index, reason in zip(stored, sent, strict=True):
        reasons[index] = reason
    return reasons


def _item(reading: Reading, received_at: str) -> Item:
    item: Item = {
        "device_id": {"S": reading.device_id},
        "timestamp": {"N": reading.raw_key},
        "sensor_data": reading.sensor_data,
        "received_at": {"S": received_at},
    }
    if reading.reading_id is not None:
        item["reading_id"] = {"S": reading.reading_id}
    return item


def _as_a_whole(call: Call, found: Sequence[Reading], outcomes: Sequence[Outcome], single: bool) -> web.Answer:
    pairs = enumerate(zip(found, outcomes, strict=True))
    results = [readings.result(index, one, *outcome) for index, (one, outcome) in pairs]
    counts = _counted(call, results)
    if counts["failed"]:
        return web.unavailable(call.request, {**counts, "results": results})
    if single:
        named = {"device_id": found[0].device_id, "timestamp": found[0].timestamp}
        return web.answer(call.request, 200, json.dumps({"message": "Data ingested successfully", **named}))
    return web.answer(call.request, 200, json.dumps({**counts, "results": results}))


def _in_part(call: Call, examined: Examined, outcomes: Sequence[Outcome]) -> web.Answer:
    """207 with a result for each reading of the body; 503 if one that is good could not be kept."""
    waiting, most = iter(outcomes), max(1, web.MOST_DETAILS // len(examined.readings))
    results: list[dict[str, Any]] = []
    for index, one in enumerate(examined.readings):
        if isinstance(one, Reading):
            results.append({**readings.result(index, one, *next(waiting)), "problems": []})
        else:
            problems = [web.detail(*problem) for problem in one[:most]]
            results.append({"index": index, "status": "rejected", "problems": problems})
    refused = [one["status"] for one in results].count("rejected")
    counts = _counted(call, results) | {"rejected": refused}
    call.line.counts["refused_readings"] = refused
    body = {**counts, "results": results}
    return web.unavailable(call.request, body) if counts["failed"] else web.answer(call.request, 207, json.dumps(body))


def _counted(call: Call, results: Sequence[dict[str, Any]]) -> dict[str, int]:
    statuses = [result["status"] for result in results]
    names = {"accepted": "accepted", "duplicates": "duplicate", "failed": "failed"}
    counts = {name: statuses.count(status) for name, status in names.items()}
    call.line.counts.update(counts)
    return counts


def _outcomes(found: Sequence[Reading], undone: dict[tuple[str, str], str | None]) -> list[Outcome]:
    """What became of each reading, and why it failed; one that the same request has brought is a duplicate.

    One that an earlier request brought is not: BatchWriteItem does not say whether it replaced a row, and to
    ask would cost a call per reading. It is accepted once more, into the same row.
    """
    seen: set[tuple[str, str]] = set()
    outcomes = []
    for reading in found:
        outcomes.append(("duplicate" if reading.key in seen else "accepted", undone[reading.key]))
        seen.add(reading.key)
    return outcomes
