"""Readings into the processed table: from the queue in batches, or at once by POST /process."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from typing import Any

from iotpipe.handlers import (
    alerts,
    attributes,
    clock,
    envelope,
    moments,
    routes,
    settings,
    tables,
    telemetry,
    tracing,
)
from iotpipe.handlers import readings as readings_
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.envelope import Message, Poison
from iotpipe.handlers.routes import Call
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import answer, unavailable

logger = logging.getLogger(__name__)


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Takes a batch from the queue or an API Gateway proxy event; raises on anything else.

    To return from any other would acknowledge it, and Lambda would delete its messages.
    """
    if isinstance(event, dict) and "Records" in event:
        return _from_queue(_records(event["Records"]), context)
    if isinstance(event, dict) and "httpMethod" in event:
        return routes.serve("processor", "/process", _process, event, context)
    raise ValueError("neither a queue's batch nor an API Gateway proxy event")


def _process(call: Call) -> dict[str, Any]:
    found, _ = readings_.from_request(call.request, call.settings, timed=True)
    received_at = moments.iso(clock.now())
    reasons = _store([envelope.of(reading, received_at) for reading in found], call.settings, call.budget)
    results = [
        {"index": index, "device_id": reading.device_id, "timestamp": reading.timestamp}
        | ({"status": "failed", "reason": reason} if reason else {"status": "processed"})
        for index, (reading, reason) in enumerate(zip(found, reasons, strict=True))
    ]
    errors = sum(reason is not None for reason in reasons)
    call.count(processed=len(found) - errors, failed=errors)
    body = {"processed": len(found) - errors, "errors": errors, "results": results}
    return unavailable(call.request, body) if errors else answer(call.request, 200, json.dumps(body))


def _records(records: Any) -> list[dict[str, Any]]:
    """The batch, if it is one of SQS messages that can be handed back one by one; else raises ValueError."""
    if not isinstance(records, list) or not records:
        raise ValueError("a batch without records")
    for record in records:
        if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
            raise ValueError("a record that is not from a queue")
        if not isinstance(record.get("messageId"), str) or not record["messageId"]:
            raise ValueError("a record without a message id")
    return records


def _from_queue(records: list[dict[str, Any]], context: Any) -> dict[str, Any]:
    line = telemetry.Line("processor", context)
    try:
        with tracing.span("processor", line):
            return _work_off(records, line, context)
    finally:
        line.write()


def _work_off(records: list[dict[str, Any]], line: telemetry.Line, context: Any) -> dict[str, Any]:
    configured = settings.load()
    budget = clock.Budget(configured.processing_timeout, context)
    read, failed = _read(records)
    reasons = _store(list(read.values()), configured, budget)
    unstored = {name: reason for name, reason in zip(read, reasons, strict=True) if reason is not None}
    failed |= unstored
    done = [message for name, message in read.items() if name not in failed]
    now = clock.now()
    line.fields.update(route="queue", correlation_ids=_correlation_ids(records))
    line.metrics.update(
        processed=len(done), failed=len(failed), lag=[now - message.timestamp for message in done]
    )
    broken = {name: reason for name, reason in failed.items() if reason != OUT_OF_TIME}
    alerts.consider(broken, len(records), configured)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


OUT_OF_TIME = "out of time"


def _read(records: list[dict[str, Any]]) -> tuple[dict[str, Message], dict[str, str]]:
    read: dict[str, Message] = {}
    failed: dict[str, str] = {}
    for record in records:
        try:
            read[record["messageId"]] = envelope.read(record.get("body"))
        except Poison as error:
            failed[record["messageId"]] = f"cannot be processed: {error}"
    return read, failed


def _correlation_ids(records: list[dict[str, Any]]) -> list[str]:
    found = [
        ((r.get("messageAttributes") or {}).get("correlation_id") or {}).get("stringValue") for r in records
    ]
    return sorted({name[:128] for name in found if isinstance(name, str)})


def _store(messages: Sequence[Message], configured: Settings, budget: clock.Budget) -> list[str | None]:
    """None per message whose row is in the table, else the reason why not."""
    processed_at = moments.iso(clock.now())
    distinct = list({(m.device_id, m.event_date): m for m in messages}.values())
    reasons: list[str | None] = []
    while len(reasons) < len(distinct):
        unit = distinct[len(reasons) : len(reasons) + configured.batch_size]
        if reasons and budget.left() <= 0:
            reasons += [OUT_OF_TIME] * (len(distinct) - len(reasons))
            break
        rows = [_row(message, processed_at) for message in unit]
        reasons += tables.store(os.environ["PROCESSED_TABLE_NAME"], rows, budget)
    by_key = {(m.device_id, m.event_date): reason for m, reason in zip(distinct, reasons, strict=True)}
    return [by_key[message.device_id, message.event_date] for message in messages]


def _row(message: Message, processed_at: str) -> tables.Row:
    others = {name: value for name, value in message.metrics.items() if name not in readings_.MAIN_METRICS}
    sensor_data, text = attributes.encode(others)
    item: Item = {
        "device_id": {"S": message.device_id},
        "event_date": {"S": message.event_date},
        "timestamp": {"N": str(message.timestamp)},
        "received_at": {"S": message.received_at},
        "processed_at": {"S": processed_at},
        "status": {"S": "processed"},
        "sensor_data": sensor_data,
    }
    if message.reading_id is not None:
        item["reading_id"] = {"S": message.reading_id}
    for name in readings_.MAIN_METRICS:
        if name in message.metrics:
            item[name] = attributes.encode(message.metrics[name])[0]
    if "temperature" in message.metrics:
        celsius = message.metrics["temperature"]
        item["temperature_celsius"] = item["temperature"]
        item["temperature_fahrenheit"] = attributes.encode(readings_.fahrenheit(celsius))[0]
    return tables.Row(item, "event_date", len(text))
