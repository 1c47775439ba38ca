"""Readings into the processed table: from the queue in batches, or at once by POST /process."""

from __future__ import annotations

import json
import os
import traceback
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

_LONGEST = 900  # seconds: what Lambda gives at most
_MOST_NAMED = 100
_MOST_BYTES = 1_000_000  # of message bodies that are worked on together


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Takes a batch from the queue or an API Gateway proxy event; raises NotUnderstood on anything else."""
    if isinstance(event, dict) and "Records" in event:
        if reason := _not_a_batch(event["Records"]):
            events.refuse("processor", event, context, reason)
        return _from_queue(event["Records"], context)
    if events.is_proxy_event(event):
        return routes.serve("processor", ROUTES, event, context)
    events.refuse("processor", event, context, "neither a queue's batch nor an API Gateway proxy event")


def _process(call: Call) -> web.Answer:
    found = readings.all_good(readings.from_request(call.request, call.settings, timed=True))
    now = times.iso(clock.now())
    reasons = _store(
        [processed_row.processed(queue_message.direct(one, now), now) for one in found], call.settings, call.budget
    )
    failed = sum(reason is not None for reason in reasons)
    call.line.counts.update(processed=len(found) - failed, failed=failed)
    outcomes = enumerate(zip(found, reasons, strict=True))
    results = [readings.result(index, one, "processed", reason) for index, (one, reason) in outcomes]
    body = {"processed": len(found) - failed, "errors": failed, "results": results}
    return web.unavailable(call.request, body) if failed else web.answer(call.request, 200, json.dumps(body))


ROUTES: routes.Routes = {"POST /process": _process}


def _not_a_batch(records: Any) -> str | None:
    """Why the records are no messages that can be handed back one by one, or None."""
    if not isinstance(records, list) or not records:
        return "a batch without records"
    for record in records:
        if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
            return "a record that is not from a queue"
        if not isinstance(record.get("messageId"), str) or not record["messageId"]:
            return "a record without a message id"
    return None


def _from_queue(records: list[dict[str, Any]], context: Any) -> dict[str, Any]:
    line = telemetry.Line("processor", context)
    line.fields.update(route="queue", correlation_ids=_correlation_ids(records))
    try:
        with tracing.span(line):
            budget = Budget(_LONGEST, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            undone = _work_off(records, configured, budget, line)
            alerts.consider(undone, len(records), configured, budget)
            return {"batchItemFailures": [{"itemIdentifier": name} for name in undone]}
    finally:
        line.write()


def _work_off(
    records: list[dict[str, Any]], configured: Settings, budget: Budget, line: telemetry.Line
) -> dict[str, str]:
    """Store what can be stored; what goes back to the queue, by message id, with the reason.

    Part by part: a message takes twenty times its length once it is parsed, and a batch may have 6 MB.
    """
    undone: dict[str, str] = {}
    for part in tables.chunks(records, configured.batch_size, _MOST_BYTES, _length):
        if budget.left() <= 0:
            undone |= {record["messageId"]: clock.OUT_OF_TIME for record in part}
            continue
        understood, poison = _understood(part)
        reasons = _store(list(understood.values()), configured, budget)
        failed = {name: reason for name, reason in zip(understood, reasons, strict=True) if reason is not None}
        undone |= poison | failed
        now = clock.now()
        line.lags += [now - int(row.item["timestamp"]["N"]) for name, row in understood.items() if name not in failed]
    line.counts.update(processed=len(line.lags), failed=len(undone))
    if undone:
        line.fields["reasons"] = dict(Counter(undone.values()).most_common(10))
    return undone


def _length(record: dict[str, Any]) -> int:
    body = record.get("body")
    return len(body) if isinstance(body, str) else 0


def _understood(records: list[dict[str, Any]]) -> tuple[dict[str, Row], dict[str, str]]:
    """The rows of the messages that can be processed and the reasons of the others, both by message id."""
    now = times.iso(clock.now())
    understood: dict[str, Row] = {}
    poison: dict[str, str] = {}
    for record in records:
        try:
            understood[record["messageId"]] = processed_row.processed(queue_message.read(record.get("body")), now)
        except queue_message.Poison as error:
            poison[record["messageId"]] = str(error)
        # A message that trips over a mistake of ours must not take its neighbours along into the DLQ.
        except Exception as error:  # noqa: BLE001
            place = traceback.extract_tb(error.__traceback__)[-1]
            poison[record["messageId"]] = f"{type(error).__name__} in {place.name}, line {place.lineno}"
    return understood, poison


def _correlation_ids(records: list[dict[str, Any]]) -> list[str]:
    attributes = [(record.get("messageAttributes") or {}).get("correlation_id") or {} for record in records]
    found = {one.get("stringValue") for one in attributes}
    return sorted(name[:128] for name in found if isinstance(name, str))[:_MOST_NAMED]


def _store(found: Sequence[Row], configured: Settings, budget: Budget) -> list[str | None]:
    """Per row None once it is in the table, or why it is not."""
    work = partial(tables.store, os.environ["PROCESSED_TABLE_NAME"], budget=budget)
    return tables.in_units(found, configured.batch_size, work)
