"""POST /ingest: readings into the raw table and the queue; acknowledged only when they are in both."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from iotpipe.handlers import apikey, clock, envelope, messages, moments, readings, routes, tables, web
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.readings import Reading
from iotpipe.handlers.routes import Call

# Two calls of DynamoDB and five of SQS, all of them full: when time runs short, what is stored is queued as well.
_UNIT = 50


def lambda_handler(event: Any, context: Any) -> web.Answer:
    """Answers an API Gateway proxy event. 200: every reading is stored and queued. 503: send it all again."""
    return routes.serve("ingestion", "/ingest", _ingest, event, context)


def _ingest(call: Call) -> web.Answer:
    # Said in both places: a new worker that cannot reach SSM would let everybody in.
    if call.settings.require_api_key or os.environ.get("REQUIRE_API_KEY"):
        apikey.check(call.request, call.budget)
    examined = readings.from_request(call.request, call.settings, timed=False)
    found = readings.all_good(examined)
    distinct = list({reading.key: reading for reading in found}.values())
    work = partial(_store_and_queue, call, moments.iso(clock.now()))
    reasons = tables.in_units(distinct, min(call.settings.batch_size, _UNIT), work)
    undone = {reading.key: reason for reading, reason in zip(distinct, reasons, strict=True)}
    return _answer(call, found, undone, examined.single)


def _store_and_queue(call: Call, received_at: str, unit: Sequence[Reading]) -> list[str | None]:
    """Per reading None once it is in the table and in the queue, or why it is not in both."""
    rows = [tables.Row(_item(reading, received_at), "timestamp", len(reading.text)) for reading in unit]
    reasons = tables.store(os.environ["RAW_TABLE_NAME"], rows, call.budget)
    stored = [index for index, reason in enumerate(reasons) if reason is None]
    bodies = [envelope.write(unit[index], received_at) for index in stored]
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


def _answer(
    call: Call, found: Sequence[Reading], undone: dict[tuple[str, str], str | None], single: bool
) -> web.Answer:
    results = _results(found, undone)
    statuses = [result["status"] for result in results]
    counts = {
        "accepted": statuses.count("accepted"),
        "duplicates": statuses.count("duplicate"),
        "failed": statuses.count("failed"),
    }
    call.line.counts.update(counts)
    if counts["failed"]:
        return web.unavailable(call.request, {**counts, "results": results})
    if single:
        named = {"device_id": found[0].device_id, "timestamp": found[0].timestamp}
        return web.answer(call.request, 200, json.dumps({"message": "Data ingested successfully", **named}))
    return web.answer(call.request, 200, json.dumps({**counts, "results": results}))


def _results(found: Sequence[Reading], undone: dict[tuple[str, str], str | None]) -> list[dict[str, Any]]:
    """What became of each reading; one that the same request has already brought is a duplicate.

    One that an earlier request brought is not: BatchWriteItem does not say whether it replaced a row, and to
    ask would cost a call per reading. It is accepted once more, into the same row.
    """
    seen: set[tuple[str, str]] = set()
    results = []
    for index, reading in enumerate(found):
        status = "duplicate" if reading.key in seen else "accepted"
        results.append(readings.result(index, reading, status, undone[reading.key]))
        seen.add(reading.key)
    return results
