"""Writes rows to DynamoDB: BatchWriteItem in chunks that it accepts, with retries of unprocessed items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from iotpipe.handlers import aws, clock
from iotpipe.handlers.attributes import Item

T = TypeVar("T")

# DynamoDB's limits are 25 items and 16 MB per request. The JSON that grows most in a request is `1,`: `{"N": "1"}, `.
_MAX_ITEMS, _MAX_BYTES = 25, 2_500_000


@dataclass(frozen=True, slots=True)
class Row:
    """An item, the name of its table's range key, and the length of the JSON text that it comes from."""

    item: Item
    range_key: str
    size: int

    @property
    def key(self) -> tuple[str, ...]:
        return _key(self.item, self.range_key)


def _key(item: Item, range_key: str) -> tuple[str, ...]:
    return (item["device_id"]["S"], *item[range_key].values())


def chunks(values: Iterable[T], limit: int, max_bytes: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Split the values into chunks of at most `limit` values and `max_bytes`; takes one value ahead of a chunk."""
    chunk: list[T] = []
    total = 0
    for value in values:
        if chunk and (len(chunk) == limit or total + size(value) > max_bytes):
            yield chunk
            chunk, total = [], 0
        chunk.append(value)
        total += size(value)
    if chunk:
        yield chunk


def in_batches(values: Sequence[T], size: int, work: Callable[[Sequence[T]], list[str | None]]) -> list[str | None]:
    """Call `work` with batches of `size` values; return its result for each value: None, or why it is not done."""
    return [reason for start in range(0, len(values), size) for reason in work(values[start : start + size])]


def store(table: str, rows: Sequence[Row], budget: clock.Budget) -> list[str | None]:
    """Put the rows; return for each None or the reason why it is not stored.

    Of rows with the same key only the last is sent, because DynamoDB refuses duplicates in a batch.
    """
    distinct = list({row.key: row for row in rows}.values())
    undone: dict[tuple[str, ...], str] = {}
    for chunk in chunks(distinct, _MAX_ITEMS, _MAX_BYTES, lambda row: row.size):
        left = aws.retry_undone(len(chunk), partial(_write, table, chunk), budget)
        undone |= {chunk[index].key: reason for index, reason in left.items()}
    return [undone.get(row.key) for row in rows]


def _write(table: str, rows: Sequence[Row], indexes: list[int]) -> aws.Outcome:
    requests = [{"PutRequest": {"Item": rows[index].item}} for index in indexes]
    with aws.checked_response():
        answer = aws.client("dynamodb").batch_write_item(RequestItems={table: requests})
    left = answer.get("UnprocessedItems")
    # DynamoDB always sends this member, empty if all items are stored. A response without it is not from DynamoDB.
    if left is None or left.keys() - {table}:
        return aws.Outcome(retry=dict.fromkeys(indexes, "Unconfirmed"))
    keys = [_requested_key(request, rows[0].range_key) for request in left.get(table) or []]
    retry = [index for index in indexes if rows[index].key in keys]
    # If DynamoDB returns a key in another notation than it was sent, its row is unknown: then retry all rows.
    return aws.Outcome(retry=dict.fromkeys(retry if len(retry) == len(keys) else indexes, "UnprocessedItems"))


def _requested_key(request: dict[str, Any], range_key: str) -> tuple[str, ...] | None:
    """Return the key of an unprocessed put, or None if it has none."""
    try:
        return _key(request["PutRequest"]["Item"], range_key)
    except (KeyError, TypeError):
        return None
