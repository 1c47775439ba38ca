"""Rows into DynamoDB: BatchWriteItem in chunks that it accepts, repeated until nothing is left unprocessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from iotpipe.handlers import aws, clock
from iotpipe.handlers.attributes import Item

T = TypeVar("T")

# DynamoDB takes 25 items and 16 MB at once. Of all JSON, `1,` grows most on the wire: to `{"N": "1"}, `.
_MOST_ITEMS, _MOST_BYTES = 25, 2_500_000


@dataclass(frozen=True, slots=True)
class Row:
    """An item, the name of its table's range key, and the length of the JSON text it was made from."""

    item: Item
    range_key: str
    size: int

    @property
    def key(self) -> tuple[str, ...]:
        return _key(self.item, self.range_key)


def _key(item: Item, range_key: str) -> tuple[str, ...]:
    return (item["device_id"]["S"], *item[range_key].values())


def chunks(values: Sequence[T], most: int, most_bytes: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut into runs of at most `most` values and `most_bytes` together."""
    chunk: list[T] = []
    total = 0
    for value in values:
        if chunk and (len(chunk) == most or total + size(value) > most_bytes):
            yield chunk
            chunk, total = [], 0
        chunk.append(value)
        total += size(value)
    if chunk:
        yield chunk


def in_units(values: Sequence[T], size: int, work: Callable[[Sequence[T]], list[str | None]]) -> list[str | None]:
    """Have values worked off by `size` at a time; per value what `work` says: None, or the reason it is not done."""
    return [reason for start in range(0, len(values), size) for reason in work(values[start : start + size])]


def store(table: str, rows: Sequence[Row], budget: clock.Budget) -> list[str | None]:
    """Put rows; of one key only the last, since DynamoDB refuses two. Per row None, or why it is not stored."""
    distinct = list({row.key: row for row in rows}.values())
    undone: dict[tuple[str, ...], str] = {}
    for chunk in chunks(distinct, _MOST_ITEMS, _MOST_BYTES, lambda row: row.size):
        left = aws.settle(len(chunk), partial(_write, table, chunk), budget)
        undone |= {chunk[index].key: reason for index, reason in left.items()}
    return [undone.get(row.key) for row in rows]


def _write(table: str, rows: Sequence[Row], indexes: list[int]) -> aws.Outcome:
    requests = [{"PutRequest": {"Item": rows[index].item}} for index in indexes]
    with aws.answering():
        answer = aws.client("dynamodb").batch_write_item(RequestItems={table: requests})
    left = answer.get("UnprocessedItems")
    # DynamoDB always sends this member, empty where all is stored. An answer without it is none of DynamoDB's.
    if left is None or left.keys() - {table}:
        return aws.Outcome(again=dict.fromkeys(indexes, "Unconfirmed"))
    keys = [_requested_key(request, rows[0].range_key) for request in left.get(table) or []]
    again = [index for index in indexes if rows[index].key in keys]
    # Should AWS write a key in another way than it was sent, nobody knows which one it means: then all go again.
    return aws.Outcome(again=dict.fromkeys(again if len(again) == len(keys) else indexes, "UnprocessedItems"))


def _requested_key(request: dict[str, Any], range_key: str) -> tuple[str, ...] | None:
    """The key of an unprocessed put, None where it has none."""
    try:
        return _key(request["PutRequest"]["Item"], range_key)
    except (KeyError, TypeError):
        return None
