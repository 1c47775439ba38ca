"""Narrows a Query or Scan to the items that it can return, plus a few, so that ministack need not read the whole table.

ministack filters, sorts and pages these candidates as it would all items. For a request that is not understood here
the result is None: ministack then reads all items.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any

Item = dict[str, Any]
Candidates = Mapping[str, Mapping[str, Item]]
"""Items by partition key and sort key."""

_COMPARISON = re.compile(r"(#?\w+)\s*(<=|>=|=|<|>)\s*(:\w+)")
_BETWEEN = re.compile(r"(#?\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)", re.IGNORECASE)
# Items with a key equal to a bound or to ExclusiveStartKey may be among the candidates, but not in the answer.
_EXTRA_ITEMS = 4
_FIRST_READ = 1000
"""Items in the first read of a range without a Limit."""


def of_query(table: Any, data: Mapping[str, Any]) -> Candidates | None:
    """Return the items in a Query's range of the sort key, up to its Limit or one page."""
    condition, sort_key = data.get("KeyConditionExpression"), table.get("sk_name")
    sort_type = _type(table, sort_key)
    if data.get("IndexName") or not isinstance(condition, str) or sort_type not in ("S", "N"):
        return None
    try:
        bounds = _bounds(condition, data)
        ((_, value),) = bounds.pop(table["pk_name"])
        comparisons = bounds.pop(sort_key, [])
        limit = None if data.get("Limit") is None else int(data["Limit"]) + _EXTRA_ITEMS
        backward = data.get("ScanIndexForward") is False
        if start := data.get("ExclusiveStartKey"):
            comparisons.append(("<=" if backward else ">=", start[sort_key]))
        low = [value[sort_type] for operator, value in comparisons if operator in ("=", ">", ">=")]
        high = [value[sort_type] for operator, value in comparisons if operator in ("=", "<", "<=")]
        order = table["items"].order
        first, last = max(low, key=order.encode, default=None), min(high, key=order.encode, default=None)
        key = value[_type(table, table["pk_name"])]
        if bounds:
            return None
        partition = table["items"][key]
        return {key: _page(lambda limit: partition.between(first, last, limit, backward=backward), limit)}
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None  # ministack answers with the error


def _bounds(condition: str, data: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Return a key condition's comparisons, by attribute. Raises ValueError or KeyError if it has anything else."""
    names, values = data.get("ExpressionAttributeNames") or {}, data.get("ExpressionAttributeValues") or {}
    comparisons: dict[str, list[tuple[str, Any]]] = {}
    between = [((name, ">=", low), (name, "<=", high)) for name, low, high in _BETWEEN.findall(condition)]
    rest = _BETWEEN.sub("", condition)
    for name, operator, value in (*chain(*between), *_COMPARISON.findall(rest)):
        attribute = names[name] if name.startswith("#") else name
        comparisons.setdefault(attribute, []).append((operator, values[value]))
    if re.sub(r"\bAND\b|[()\s]", "", _COMPARISON.sub("", rest), flags=re.IGNORECASE):
        raise ValueError(condition)
    return comparisons


def _page(read: Callable[[int], dict[str, Item]], limit: int | None) -> dict[str, Item]:
    """Read up to `limit` items; without a limit, read growing numbers of items until they fill a page."""
    if limit is not None:
        return read(limit)
    limit = _FIRST_READ
    while len(items := read(limit)) >= limit and not _fill_page(items.values()):
        limit *= 4
    return items


def _fill_page(items: Iterable[Item]) -> bool:
    """Whether ministack ends a page before the last of these items."""
    from ministack.services import dynamodb

    size = sum(dynamodb._item_size_bytes(item) for item in islice(items, _EXTRA_ITEMS, None))
    return bool(size > dynamodb._DDB_PAGE_SIZE_BYTES)


def of_scan(table: Any, data: Mapping[str, Any]) -> Candidates | None:
    """Return the first items after a Scan's ExclusiveStartKey, up to its Limit or one page.

    For an index or a segment, return all items: reading them in blocks is several times as fast as one by one.
    """
    from ministack.services import dynamodb

    whole = any(data.get(name) is not None for name in ("IndexName", "Segment"))
    try:
        start = data.get("ExclusiveStartKey") or {}
        begin = (_key(table, "pk_name", start), _key(table, "sk_name", start))
        limit = math.inf if data.get("Limit") is None else int(data["Limit"]) + _EXTRA_ITEMS
        candidates: dict[str, dict[str, Item]] = {}
        number = size = 0
        for key, partition in table["items"].in_scan_order("" if whole else begin[0]):
            candidates[key] = {}
            for subkey, item in partition:
                if not whole and (number >= limit or size > dynamodb._DDB_PAGE_SIZE_BYTES):
                    return candidates
                candidates[key][subkey] = item
                if (key, subkey) > begin:
                    number += 1
                    size += dynamodb._item_size_bytes(item) if number > _EXTRA_ITEMS else 0
        return candidates
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # ministack answers with the error


def _key(table: Any, role: str, start: Mapping[str, Any]) -> str:
    name = table.get(role)
    return str(start[name][_type(table, name)]) if start and name else ""


def _type(table: Any, attribute: str | None) -> str:
    types = {each["AttributeName"]: each["AttributeType"] for each in table.get("AttributeDefinitions", [])}
    return str(types.get(attribute, "S"))
