"""Writes readings to the processed table: in batches from the queue, or directly by POST /process."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from iotpipe.handlers import (
    alerts,
    clock,
    events,
    processed_row,
    queue_message,
    readings,
    routes,
    settings,
    tables,
    telemetry,
    times,
    tracing,
    web,
)
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.routes import Call
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.tables import Row

_MAX_SECONDS = 900  # Lambda's longest timeout
_MAX_CORRELATION_IDS = 100
_MAX_PART_BYTES = 1_000_000  # of message bodies that are processed together


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Process a batch from the queue or an API Gateway proxy event. Raises NotUnderstood for any other event."""
    if isinstance(event, dict) and "Records" in event:
        if reason := events.batch_problem(event["Records"]):
            events.refuse("processor", event, context, reason)
        return _process_batch(event["Records"], context)
    if events.is_proxy_event(event):
        return routes.serve("processor", ROUTES, event, context)
    events.refuse("processor", event, context, "neither a queue's batch nor an API Gateway proxy event")


def _process(call: Call) -> web.Answer:
    valid = readings.require_valid(readings.from_request(call.request, call.settings, needs_timestamp=True))
    now = times.iso(clock.now())
    rows = [processed_row.processed(queue_message.from_reading(reading, now), now) for reading in valid]
    reasons = _store(rows, call.settings, call.budget)
    failed = sum(reason is not None for reason in reasons)
    call.line.counts.update(processed=len(valid) - failed, failed=failed)
    outcomes = enumerate(zip(valid, reasons, strict=True))
    results = [readings.result(index, reading, "processed", reason) for index, (reading, reason) in outcomes]
    body = {"processed": len(valid) - failed, "errors": failed, "results": results}
    return web.unavailable(call.request, body) if failed else web.answer(call.request, 200, json.dumps(body))


ROUTES: routes.Routes = {"POST /process": _process}


def _process_batch(records: list[dict[str, Any]], context: Any) -> dict[str, Any]:
    line = telemetry.Line("processor", context)
    line.fields.update(route="queue", correlation_ids=_correlation_ids(records))
    try:
        with tracing.span(line):
            budget = Budget(_MAX_SECONDS, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            undone = _process_records(records, configured, budget, line)
            alerts.alert_if_needed(undone, len(records), configured, budget)
            return {"batchItemFailures": [{"itemIdentifier": name} for name in undone]}
    finally:
        line.write()


def _process_records(
    records: list[dict[str, Any]], configured: Settings, budget: Budget, line: telemetry.Line
) -> dict[str, str]:
    """Store the records; return the reasons of those that go back to the queue, by message id.

    Works in parts: a parsed message takes twenty times its length in memory, and a batch may have 6 MB.
    """
    undone: dict[str, str] = {}
    for part in tables.chunks(records, configured.batch_size, _MAX_PART_BYTES, _length):
        if budget.remaining() <= 0:
            undone |= {record["messageId"]: clock.OUT_OF_TIME for record in part}
            continue
        rows, poison = _parse_records(part)
        reasons = _store(list(rows.values()), configured, budget)
        failed = {name: reason for name, reason in zip(rows, reasons, strict=True) if reason is not None}
        undone |= poison | failed
        now = clock.now()
        stored = [row.item for name, row in rows.items() if name not in failed]
        line.lags += [now - int(item["timestamp"]["N"]) for item in stored]
        received = (times.from_rfc_3339(item["received_at"]["S"]) for item in stored)
        line.waits += [max(0, now - int(time)) for time in received if time is not None]
    line.counts.update(processed=len(line.lags), failed=len(undone))
    if undone:
        line.fields["reasons"] = dict(Counter(undone.values()).most_common(10))
    return undone


def _length(record: dict[str, Any]) -> int:
    body = record.get("body")
    return len(body) if isinstance(body, str) else 0


def _parse_records(records: list[dict[str, Any]]) -> tuple[dict[str, Row], dict[str, str]]:
    """Return the rows of the valid messages, and the reasons of the poison messages, both by message id."""
    now = times.iso(clock.now())
    rows: dict[str, Row] = {}
    poison: dict[str, str] = {}
    for record in records:
        try:
            rows[record["messageId"]] = processed_row.processed(queue_message.read(record.get("body")), now)
        except queue_message.Poison as error:
            poison[record["messageId"]] = str(error)
        # A bug that one message triggers must not send the rest of the batch to the dead-letter queue.
        except Exception as error:  # noqa: BLE001
            poison[record["messageId"]] = telemetry.place(error)
    return rows, poison


def _correlation_ids(records: list[dict[str, Any]]) -> list[str]:
    attributes = [(record.get("messageAttributes") or {}).get("correlation_id") or {} for record in records]
    ids = {attribute.get("stringValue") for attribute in attributes}
    return sorted(name[:128] for name in ids if isinstance(name, str))[:_MAX_CORRELATION_IDS]


def _store(rows: Sequence[Row], configured: Settings, budget: Budget) -> list[str | None]:
    """Store the rows; return for each None or the reason why it is not stored."""
    work = partial(tables.store, os.environ["PROCESSED_TABLE_NAME"], budget=budget)
    return tables.in_batches(rows, configured.batch_size, work)
