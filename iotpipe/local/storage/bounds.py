"""The items that a Query or Scan can come upon: a few more than it answers, instead of all there are.

ministack evaluates, sorts and cuts what it is given here just as it does with everything. Where a request is not
understood, the answer is None: then it gets everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any

Item = dict[str, Any]
Found = Mapping[str, Mapping[str, Item]]

_COMPARISON = re.compile(r"(#?\w+)\s*(<=|>=|=|<|>)\s*(:\w+)")
_BETWEEN = re.compile(r"(#?\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)", re.IGNORECASE)
# A key equal to a bound, or to the one to start after, may be found and left out.
_BESIDES = 4
_FIRST = 1000
"""Items that are read at first of a range without a Limit."""


def of_query(table: Any, data: Mapping[str, Any]) -> Found | None:
    """The items in the range of the sort key that a Query names, up to its Limit or the size of a page."""
    condition, sort_key = data.get("KeyConditionExpression"), table.get("sk_name")
    sort_type = _type(table, sort_key)
    if data.get("IndexName") or not isinstance(condition, str) or sort_type not in ("S", "N"):
        return None
    try:
        bounds = _bounds(condition, data)
        ((_, value),) = bounds.pop(table["pk_name"])
        asked = bounds.pop(sort_key, [])
        limit = None if data.get("Limit") is None else int(data["Limit"]) + _BESIDES
        backward = data.get("ScanIndexForward") is False
        if start := data.get("ExclusiveStartKey"):
            asked.append(("<=" if backward else ">=", start[sort_key]))
        low = [value[sort_type] for operator, value in asked if operator in ("=", ">", ">=")]
        high = [value[sort_type] for operator, value in asked if operator in ("=", "<", "<=")]
        order = table["items"].order
        first, last = max(low, key=order.encode, default=None), min(high, key=order.encode, default=None)
        key = value[_type(table, table["pk_name"])]
        if bounds:
            return None
        partition = table["items"][key]
        return {key: _page(lambda most: partition.within(first, last, most, backward=backward), limit)}
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None  # ministack says what is wrong with it


def _bounds(condition: str, data: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """The comparisons of a key condition by attribute. Raises ValueError where there is more in it, or KeyError."""
    names, values = data.get("ExpressionAttributeNames") or {}, data.get("ExpressionAttributeValues") or {}
    found: dict[str, list[tuple[str, Any]]] = {}
    between = [((name, ">=", low), (name, "<=", high)) for name, low, high in _BETWEEN.findall(condition)]
    rest = _BETWEEN.sub("", condition)
    for name, operator, value in (*chain(*between), *_COMPARISON.findall(rest)):
        attribute = names[name] if name.startswith("#") else name
        found.setdefault(attribute, []).append((operator, values[value]))
    if re.sub(r"\bAND\b|[()\s]", "", _COMPARISON.sub("", rest), flags=re.IGNORECASE):
        raise ValueError(condition)
    return found


def _page(read: Callable[[int], dict[str, Item]], limit: int | None) -> dict[str, Item]:
    """As many items as fill a page, where there is no limit: read in growing numbers."""
    if limit is not None:
        return read(limit)
    most = _FIRST
    while len(found := read(most)) >= most and not _is_page(found.values()):
        most *= 4
    return found


def _is_page(items: Iterable[Item]) -> bool:
    """Whether ministack ends a page before the last of these."""
    from ministack.services import dynamodb

    size = sum(dynamodb._item_size_bytes(item) for item in islice(items, _BESIDES, None))
    return bool(size > dynamodb._DDB_PAGE_SIZE_BYTES)


def of_scan(table: Any, data: Mapping[str, Any]) -> Found | None:
    """The first items behind the one to start after, up to the Limit of a Scan or the size of a page.

    All there are for an index or a segment: read at once, which one by one takes several times as long.
    """
    from ministack.services import dynamodb

    whole = any(data.get(name) is not None for name in ("IndexName", "Segment"))
    try:
        start = data.get("ExclusiveStartKey") or {}
        begin = (_key(table, "pk_name", start), _key(table, "sk_name", start))
        limit = math.inf if data.get("Limit") is None else int(data["Limit"]) + _BESIDES
        found: dict[str, dict[str, Item]] = {}
        number = size = 0
        for key, partition in table["items"].scanned("" if whole else begin[0]):
            found[key] = {}
            for subkey, item in partition:
                if not whole and (number >= limit or size > dynamodb._DDB_PAGE_SIZE_BYTES):
                    return found
                found[key][subkey] = item
                if (key, subkey) > begin:
                    number += 1
                    size += dynamodb._item_size_bytes(item) if number > _BESIDES else 0
        return found
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # ministack says what is wrong with it


def _key(table: Any, role: str, start: Mapping[str, Any]) -> str:
    name = table.get(role)
    return str(start[name][_type(table, name)]) if start and name else ""


def _type(table: Any, attribute: str | None) -> str:
    types = {each["AttributeName"]: each["AttributeType"] for each in table.get("AttributeDefinitions", [])}
    return str(types.get(attribute, "S"))
