"""POST /ingest: readings into the raw table and the queue; acknowledged only when they are in both."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from iotpipe.handlers import clock, envelope, messages, moments, routes, settings, tables
from iotpipe.handlers import readings as readings_
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.readings import Reading
from iotpipe.handlers.routes import Call
from iotpipe.handlers.web import Refused, Unavailable, answer, detail, unavailable


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers an API Gateway proxy event. 200: every reading is stored and queued. 503: send it all again."""
    return routes.serve("ingestion", "/ingest", _ingest, event, context)


def _ingest(call: Call) -> dict[str, Any]:
    _check_key(call)
    found, single = readings_.from_request(call.request, call.settings, timed=False)
    distinct = list({reading.key: reading for reading in found}.values())
    undone = dict(zip((r.key for r in distinct), _store_and_queue(call, distinct), strict=True))
    return _answer(call, found, undone, single)


def _check_key(call: Call) -> None:
    if not call.settings.require_api_key:
        return
    good = settings.key_is_good(call.request.headers.get("x-api-key", ""))
    if good is None:
        raise Unavailable("the API key cannot be read")
    if not good:
        raise Refused(401, "unauthorized", [detail("X-Api-Key", "key", "missing or wrong")])


def _store_and_queue(call: Call, found: Sequence[Reading]) -> list[str | None]:
    """None per reading that is in the table and in the queue, else the reason why not."""
    reasons: list[str | None] = []
    received_at = moments.iso(clock.now())
    while len(reasons) < len(found):
        unit = found[len(reasons) : len(reasons) + call.settings.batch_size]
        if reasons and call.budget.left() <= 0:
            return reasons + ["out of time"] * (len(found) - len(reasons))
        reasons += _one_unit(call, unit, received_at)
    return reasons


def _one_unit(call: Call, unit: Sequence[Reading], received_at: str) -> list[str | None]:
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
) -> dict[str, Any]:
    results = _results(found, undone)
    counts = {name: sum(r["status"] == status for r in results) for name, status in _COUNTED.items()}
    call.count(**counts)
    if single and not counts["failed"]:
        return answer(
            call.request, 200, json.dumps({"message": "Data ingested successfully"} | _named(found[0]))
        )
    body: dict[str, Any] = {**counts, "results": results}
    if counts["failed"]:
        return unavailable(call.request, body)
    return answer(call.request, 200, json.dumps(body))


_COUNTED = {"accepted": "accepted", "duplicates": "duplicate", "failed": "failed"}


def _results(found: Sequence[Reading], undone: dict[tuple[str, str], str | None]) -> list[dict[str, Any]]:
    seen: set[tuple[str, str]] = set()
    results = []
    for index, reading in enumerate(found):
        reason = undone[reading.key]
        status = "failed" if reason else "duplicate" if reading.key in seen else "accepted"
        seen.add(reading.key)
        results.append(
            {"index": index, "status": status, **_named(reading)} | ({"reason": reason} if reason else {})
        )
    return results


def _named(reading: Reading) -> dict[str, Any]:
    return {"device_id": reading.device_id, "timestamp": reading.timestamp}
