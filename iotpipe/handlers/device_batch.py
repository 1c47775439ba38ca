"""Takes what devices published: batches of the device queue, which the topic rule fills.

A message leaves the queue only when each of its readings is in the raw table and in the reading queue, or is refused
and stands in the dead-letter queue with the reason. Everything else returns to the device queue.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from iotpipe.handlers import (
    clock,
    device_message,
    messages,
    notices,
    raw_store,
    readings,
    refused_message,
    settings,
    tables,
    telemetry,
    times,
    tracing,
    web,
)
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.device_message import DeviceMessage
from iotpipe.handlers.raw_store import Arrived
from iotpipe.handlers.readings import Arrival, Reading
from iotpipe.handlers.refused_message import Refusal
from iotpipe.handlers.settings import Settings

_MAX_SECONDS = 900  # Lambda's longest timeout
# Of JSON text that is parsed and stored together. Parsed, the shortest values take two hundred times their length, and
# compressed payloads of one batch can have twenty million characters.
_MAX_PART_CHARACTERS = 250_000
_MAX_LISTED = 100
# The rest of a certificate's id says no more about which one it is.
_CERTIFICATE_DIGITS = 12


@dataclass(slots=True)
class _Delivery:
    """One record of the batch, and what becomes of it. `undone` is why it returns to the queue."""

    name: str
    body: str
    message: DeviceMessage | None = None
    self_test: str | None = None
    device_id: str = ""
    text: str = ""
    valid: list[Reading] = field(default_factory=list)
    refusal: Refusal = field(default_factory=Refusal)
    undone: str | None = None

    @property
    def correlation_id(self) -> str:
        """AWS IoT's trace id of the message, or the id that SQS gave it."""
        return web.safe_id(self.message and self.message.trace) or self.name

    @property
    def is_refused(self) -> bool:
        """Whether something of it was refused, now that the rest is done."""
        return bool(self.refusal.problems) and not self.undone


def not_enabled() -> str | None:
    """Return why this function takes no batches, or None if it does."""
    return None if "THING_PREFIX" in os.environ else "devices are not enabled"


def process(records: Sequence[dict[str, Any]], context: Any) -> dict[str, Any]:
    """Store and queue the readings of the records; return the ids of those that go back to the device queue."""
    line = telemetry.Line("ingestion", context)
    line.fields.update(route="mqtt", messages=len(records))
    line.counts.update(dict.fromkeys(("accepted", "duplicates", "failed", "rejected", "refused_readings"), 0))
    try:
        with tracing.span(line):
            budget = Budget(_MAX_SECONDS, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            done = _process_records(records, configured, budget, line)
            _describe(line, done)
            notices.publish(_refused_devices(done), budget)
            return {"batchItemFailures": [{"itemIdentifier": each.name} for each in done if each.undone]}
    finally:
        line.write()


def _process_records(
    records: Sequence[dict[str, Any]], configured: Settings, budget: Budget, line: telemetry.Line
) -> list[_Delivery]:
    """Work in parts, since all payloads of a batch may not fit into memory when they are parsed."""
    done: list[_Delivery] = []
    opened = (_open(record) for record in records)
    for part in tables.chunks(opened, len(records), _MAX_PART_CHARACTERS, lambda delivery: len(delivery.text)):
        _judge(part, configured, budget)
        line.counts["failed"] += sum(each.undone is not None for each in part)
        _store(part, configured, budget, line)
        _send_dead_letters(part, budget, line)
        now = clock.now()
        line.waits += [max(0, now - each.message.received) for each in part if each.message and not each.undone]
        for each in part:
            each.text, each.valid = "", []
        done += part
    return done


def _open(record: dict[str, Any]) -> _Delivery:
    """Return the record with the text that was published, or with the reason to refuse it as a whole."""
    body = record.get("body")
    if not isinstance(body, str):
        return _Delivery(record["messageId"], "", undone="no text")
    delivery = _Delivery(record["messageId"], body)
    _attempt(delivery, _read)
    return delivery


def _attempt(delivery: _Delivery, step: Callable[[_Delivery], None]) -> None:
    """Take a step with one message; note what it refuses."""
    try:
        step(delivery)
    except device_message.NotFromRule as error:
        delivery.refusal.add([web.detail("message", "rule", f"not a message of the topic rule: {error}")])
    except web.Refused as refused:
        delivery.refusal.add(refused.details)
    # A bug that one message triggers must not send the rest of the batch to the dead-letter queue.
    except Exception as error:  # noqa: BLE001
        delivery.undone = telemetry.place(error)


def _read(delivery: _Delivery) -> None:
    delivery.message = device_message.read(delivery.body)
    delivery.self_test = device_message.self_test(delivery.message, os.environ["THING_PREFIX"])
    if delivery.self_test:
        return
    delivery.device_id = device_message.device_id(delivery.message, os.environ["THING_PREFIX"])
    delivery.text = device_message.text(delivery.message)


def _judge(part: Sequence[_Delivery], configured: Settings, budget: Budget) -> None:
    """Find the valid readings of each message, and the problems of the others."""
    for each in part:
        if budget.remaining() <= 0:
            each.undone = clock.OUT_OF_TIME
        elif each.message and each.device_id and not each.undone and not each.refusal.problems:
            _attempt(each, partial(_judge_one, each.message, configured))


def _judge_one(message: DeviceMessage, configured: Settings, delivery: _Delivery) -> None:
    """Judge times by when AWS IoT received the message, so that a later delivery has the same result and rows."""
    arrival = Arrival(message.received, message.trace or delivery.name, device_id=delivery.device_id)
    body = readings.from_text(delivery.text, configured, message.received, arrival)
    for index, reading in enumerate(body.readings):
        if isinstance(reading, Reading):
            delivery.valid.append(reading)
        else:
            delivery.refusal.positions.append(index)
            delivery.refusal.add(web.detail(*problem, None if body.single else index) for problem in reading)


def _store(part: Sequence[_Delivery], configured: Settings, budget: Budget, line: telemetry.Line) -> None:
    """Store and queue the valid readings of all messages; a message with one that failed returns to the queue."""
    reasons = raw_store.store_and_queue(_arrived(part), configured, budget)
    outcomes = raw_store.outcomes((reading for each in part for reading in each.valid), reasons)
    statuses = [status if reason is None else "failed" for status, reason in outcomes]
    for name, number in raw_store.count(statuses).items():
        line.counts[name] += number
    for each in part:
        failures = (reason for reading in each.valid if (reason := reasons[reading.key]))
        each.undone = each.undone or next(failures, None)


def _arrived(part: Sequence[_Delivery]) -> Iterator[Arrived]:
    for each in part:
        if each.message:
            received_at = times.iso(each.message.received)
            yield from (Arrived(reading, received_at, each.correlation_id) for reading in each.valid)


def _send_dead_letters(part: Sequence[_Delivery], budget: Budget, line: telemetry.Line) -> None:
    """Send what was refused to the dead-letter queue; of a message that returns anyway it is refused again later."""
    refused = [each for each in part if each.is_refused]
    bodies = (refused_message.write(each.refusal, each.message, each.body) for each in refused)
    letters = [messages.Message(body, each.correlation_id) for each, body in zip(refused, bodies, strict=True)]
    reasons = messages.send(os.environ["DEAD_LETTER_QUEUE_URL"], letters, budget)
    for each, reason in zip(refused, reasons, strict=True):
        if reason is None:
            line.counts["refused_readings"] += len(each.refusal.positions)
            line.counts["rejected"] += not each.refusal.positions
        else:
            line.counts["failed"] += 1
            each.undone = f"not in the dead-letter queue: {reason}"


def _refused_devices(done: Iterable[_Delivery]) -> Iterator[tuple[DeviceMessage, Refusal]]:
    """The refusals of which a device of this environment can be told."""
    for each in done:
        if each.is_refused and each.message and each.device_id:
            yield each.message, each.refusal


def _describe(line: telemetry.Line, done: Sequence[_Delivery]) -> None:
    """Add to the log line which messages there were, and why some go back or were refused.

    By its certificate the log shows with which one a device connects, while it has two.
    """
    certificates = {each.message.certificate_id for each in done if each.message} - {None}
    line.fields["correlation_ids"] = sorted({each.correlation_id for each in done})[:_MAX_LISTED]
    line.fields["certificates"] = sorted(str(each)[:_CERTIFICATE_DIGITS] for each in certificates)[:_MAX_LISTED]
    if tests := [each.self_test for each in done if each.self_test and not each.undone]:
        line.fields["self_tests"] = tests
    undone = Counter(each.undone for each in done if each.undone)
    line.fields["handed_back"] = sum(undone.values())
    if undone:
        line.fields["reasons"] = dict(undone.most_common(10))
    if refused := Counter(problem["code"] for each in done if each.is_refused for problem in each.refusal.problems):
        line.fields["refusals"] = dict(refused.most_common(10))
