"""Stores readings in the raw table and queues them for the processor. Only both together acknowledge a reading."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from iotpipe.handlers import messages, queue_message, tables
from iotpipe.handlers.attributes import Item
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.readings import Reading
from iotpipe.handlers.settings import Settings

# Two full calls of DynamoDB and five of SQS. Batches this small get queued too, even if time runs out afterwards.
_BATCH_SIZE = 50

Key = tuple[str, str]
Outcome = tuple[str, str | None]
"""A reading's status, and the reason if it failed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A valid reading, when it was received (RFC 3339), and the id under which the logs have it."""

    reading: Reading
    received_at: str
    correlation_id: str


def store_and_queue(arrived: Iterable[Arrived], settings: Settings, budget: Budget) -> dict[Key, str | None]:
    """Store and queue the readings, each key once; return None or the failure's reason by key."""
    distinct = {each.reading.key: each for each in arrived}
    work = partial(_store_and_queue, budget)
    reasons = tables.in_batches(list(distinct.values()), min(settings.batch_size, _BATCH_SIZE), work)
    return dict(zip(distinct, reasons, strict=True))


def _store_and_queue(budget: Budget, batch: Sequence[Arrived]) -> list[str | None]:
    """Return for each reading None if it is in the table and in the queue, else the reason."""
    rows = [tables.Row(_item(each), "timestamp", len(each.reading.text)) for each in batch]
    reasons = tables.store(os.environ["RAW_TABLE_NAME"], rows, budget)
    stored = [index for index, reason in enumerate(reasons) if reason is None]
    sent = messages.send(os.environ["QUEUE_URL"], [_message(batch[index]) for index in stored], budget)
    for index, reason in zip(stored, sent, strict=True):
        reasons[index] = reason
    return reasons


def _message(arrived: Arrived) -> messages.Message:
    return messages.Message(queue_message.write(arrived.reading, arrived.received_at), arrived.correlation_id)


def _item(arrived: Arrived) -> Item:
    reading = arrived.reading
    item: Item = {
        "device_id": {"S": reading.device_id},
        "timestamp": {"N": reading.raw_key},
        "sensor_data": reading.sensor_data,
        "received_at": {"S": arrived.received_at},
    }
    if reading.reading_id is not None:
        item["reading_id"] = {"S": reading.reading_id}
    return item


def outcomes(readings: Iterable[Reading], reasons: Mapping[Key, str | None]) -> list[Outcome]:
    """Return the outcome of each reading; a repeated reading is a duplicate.

    A reading that was sent earlier is accepted again, into the same row: BatchWriteItem does not report whether it
    replaced a row, and finding out would take one more call per reading.
    """
    seen: set[Key] = set()
    found = []
    for reading in readings:
        found.append(("duplicate" if reading.key in seen else "accepted", reasons[reading.key]))
        seen.add(reading.key)
    return found


def count(statuses: Sequence[str]) -> dict[str, int]:
    """Return the numbers of readings by outcome, as the log line and the answer have them."""
    names = {"accepted": "accepted", "duplicates": "duplicate", "failed": "failed"}
    return {name: statuses.count(status) for name, status in names.items()}
