"""Rows into DynamoDB: BatchWriteItem in chunks it accepts, repeated until nothing is left unprocessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from iotpipe.handlers import aws, clock
from iotpipe.handlers.attributes import Attribute, Item

T = TypeVar("T")

# DynamoDB takes 25 items and 16 MB in a BatchWriteItem. On the wire `1,` of a list becomes `{"N": "1"}, `,
# six times as long: nothing grows more.
_MOST_ITEMS, _MOST_BYTES = 25, 2_500_000


@dataclass(frozen=True)
class Row:
    """An item, the name of its range key, and the length of the canonical text it was made from."""

    item: Item
    range_key: str
    size: int


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


def store(table: str, rows: Sequence[Row], budget: clock.Budget) -> list[str | None]:
    """Put rows, no two of one key (DynamoDB refuses those). None per row stored, else the reason why not."""
    reasons: list[str | None] = []
    for chunk in chunks(rows, _MOST_ITEMS, _MOST_BYTES, lambda row: row.size):
        undone = aws.settle(len(chunk), partial(_write, table, chunk), budget)
        reasons += [undone.get(index) for index in range(len(chunk))]
    return reasons


def _write(table: str, rows: Sequence[Row], indexes: list[int]) -> aws.Outcome:
    requests = [{"PutRequest": {"Item": rows[index].item}} for index in indexes]
    answer = aws.client("dynamodb").batch_write_item(RequestItems={table: requests})
    left = answer.get("UnprocessedItems", {}).get(table, [])
    if not left:
        return aws.Outcome()
    unprocessed = {_key(request["PutRequest"]["Item"], rows[0].range_key) for request in left}
    again = [index for index in indexes if _key(rows[index].item, rows[index].range_key) in unprocessed]
    return aws.Outcome(again=dict.fromkeys(again, "UnprocessedItems"))


def _key(item: Item, range_key: str) -> tuple[str, Any]:
    value: Attribute = item[range_key]
    return item["device_id"]["S"], Decimal(value["N"]) if "N" in value else value["S"]
