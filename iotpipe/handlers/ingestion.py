"""POST /ingest: writes readings to the raw table and the queue, and acknowledges them only when both are done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from iotpipe.handlers import apikey, clock, messages, queue_message, readings, routes, tables, times, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.readings import ParsedBody, Reading
from iotpipe.handlers.routes import Call

# Two full calls of DynamoDB and five of SQS. Batches this small get queued too, even if time runs out afterwards.
_BATCH_SIZE = 50

Outcome = tuple[str, str | None]
"""A reading's status, and the reason if it failed."""


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answer an API Gateway proxy event. 200: every reading is stored and queued. 503: send all of them again.

    With `partial=true` 207: every valid reading is stored and queued, and each reading has a result.
    """
    return routes.serve("ingestion", ROUTES, event, context)


def _ingest(call: Call) -> web.Answer:
    # The environment variable repeats the setting: a new worker that cannot read SSM must not accept every request.
    if call.settings.require_api_key or os.environ.get("REQUIRE_API_KEY"):
        apikey.check(call.request, call.budget)
    partially = _is_partial(call.request)
    body = readings.from_request(call.request, call.settings, needs_timestamp=False)
    valid = body.valid if partially else readings.require_valid(body)
    outcomes = _outcomes(valid, _store_distinct(call, valid))
    return _answer_partial(call, body, outcomes) if partially else _answer_all(call, valid, outcomes, body.single)


ROUTES: routes.Routes = {"POST /ingest": _ingest}


def _is_partial(request: web.Request) -> bool:
    """Whether to accept the valid readings of a batch even if others are invalid."""
    values = request.parameters.get("partial", ["false"])
    if len(values) > 1:
        raise web.invalid([web.detail("partial", "repeated", "given more than once")])
    if values[0] not in ("true", "false"):
        raise web.invalid([web.detail("partial", "choice", "true or false required")])
    return values[0] == "true"


def _store_distinct(call: Call, valid: Sequence[Reading]) -> dict[tuple[str, str], str | None]:
    """Store and queue the readings, each key once; return None or the failure's reason by key."""
    distinct = list({reading.key: reading for reading in valid}.values())
    work = partial(_store_and_queue, call, times.iso(clock.now()))
    reasons = tables.in_batches(distinct, min(call.settings.batch_size, _BATCH_SIZE), work)
    return {reading.key: reason for reading, reason in zip(distinct, reasons, strict=True)}


def _store_and_queue(call: Call, received_at: str, batch: Sequence[Reading]) -> list[str | None]:
    """Return for each reading None if it is in the table and in the queue, else the reason."""
    rows = [tables.Row(_item(reading, received_at), "timestamp", len(reading.text)) for reading in batch]
    reasons = tables.store(os.environ["RAW_TABLE_NAME"], rows, call.budget)
    stored = [index for index, reason in enumerate(reasons) if reason is None]
    bodies = [queue_message.write(batch[index], received_at) for index in stored]
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


def _answer_all(call: Call, valid: Sequence[Reading], outcomes: Sequence[Outcome], single: bool) -> web.Answer:
    pairs = enumerate(zip(valid, outcomes, strict=True))
    results = [readings.result(index, one, *outcome) for index, (one, outcome) in pairs]
    counts = _count(call, results)
    if counts["failed"]:
        return web.unavailable(call.request, {**counts, "results": results})
    if single:
        identity = {"device_id": valid[0].device_id, "timestamp": valid[0].timestamp}
        return web.answer(call.request, 200, json.dumps({"message": "Data ingested successfully", **identity}))
    return web.answer(call.request, 200, json.dumps({**counts, "results": results}))


def _answer_partial(call: Call, body: ParsedBody, outcomes: Sequence[Outcome]) -> web.Answer:
    """Answer 207 with a result for each reading of the body, or 503 if a valid one could not be stored and queued."""
    remaining, max_problems = iter(outcomes), max(1, web.MAX_DETAILS // len(body.readings))
    results: list[dict[str, Any]] = []
    for index, reading in enumerate(body.readings):
        if isinstance(reading, Reading):
            results.append({**readings.result(index, reading, *next(remaining)), "problems": []})
        else:
            problems = [web.detail(*problem) for problem in reading[:max_problems]]
            results.append({"index": index, "status": "rejected", "problems": problems})
    rejected = [result["status"] for result in results].count("rejected")
    counts = _count(call, results) | {"rejected": rejected}
    call.line.counts["refused_readings"] = rejected
    answer = {**counts, "results": results}
    if counts["failed"]:
        return web.unavailable(call.request, answer)
    return web.answer(call.request, 207, json.dumps(answer))


def _count(call: Call, results: Sequence[dict[str, Any]]) -> dict[str, int]:
    statuses = [result["status"] for result in results]
    names = {"accepted": "accepted", "duplicates": "duplicate", "failed": "failed"}
    counts = {name: statuses.count(status) for name, status in names.items()}
    call.line.counts.update(counts)
    return counts


def _outcomes(valid: Sequence[Reading], reasons: dict[tuple[str, str], str | None]) -> list[Outcome]:
    """Return the outcome of each reading; a repeated reading within the request is a duplicate.

    A reading that an earlier request sent is accepted again, into the same row: BatchWriteItem does not report whether
    it replaced a row, and finding out would take one more call per reading.
    """
    seen: set[tuple[str, str]] = set()
    outcomes = []
    for reading in valid:
        outcomes.append(("duplicate" if reading.key in seen else "accepted", reasons[reading.key]))
        seen.add(reading.key)
    return outcomes
