"""Writes readings to the raw table and the queue, and acknowledges them only when both are done.

They come by POST /ingest, or over MQTT in batches of the device queue.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from iotpipe.handlers import apikey, clock, device_batch, events, raw_store, readings, routes, times, web
from iotpipe.handlers.raw_store import Arrived, Outcome
from iotpipe.handlers.readings import ParsedBody, Reading
from iotpipe.handlers.routes import Call


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer an API Gateway proxy event, or take a batch of what devices published. Raises NotUnderstood otherwise.

    An answer of 200 means that every reading is stored and queued, 503 that all of them have to be sent again. With
    `partial=true` 207: every valid reading is stored and queued, and each reading has a result.
    """
    if isinstance(event, dict) and "Records" in event:
        if reason := events.batch_problem(event["Records"]) or device_batch.not_enabled():
            events.refuse("ingestion", event, context, reason)
        return device_batch.process(event["Records"], context)
    return routes.serve("ingestion", ROUTES, event, context)


def _ingest(call: Call) -> web.Answer:
    # The environment variable repeats the setting: a new worker that cannot read SSM must not accept every request.
    if call.settings.require_api_key or os.environ.get("REQUIRE_API_KEY"):
        apikey.check(call.request, call.budget)
    partially = _is_partial(call.request)
    body = readings.from_request(call.request, call.settings, needs_timestamp=False)
    valid = body.valid if partially else readings.require_valid(body)
    received_at, correlation_id = times.iso(clock.now()), call.request.correlation_id
    arrived = [Arrived(reading, received_at, correlation_id) for reading in valid]
    outcomes = raw_store.outcomes(valid, raw_store.store_and_queue(arrived, call.settings, call.budget))
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
    counts = raw_store.count([result["status"] for result in results])
    call.line.counts.update(counts)
    return counts
