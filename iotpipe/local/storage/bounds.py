"""The items that a Query or Scan can come upon: a few more than it answers, instead of all there are.

ministack evaluates, sorts and cuts what it is given here just as it does with everything. Where a request is not
understood, the answer is None: then it gets everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

Item = dict[str, Any]
Found = Mapping[str, Mapping[str, Item]]

_COMPARISON = re.compile(r"(#?\w+)\s*(<=|>=|=|<|>)\s*(:\w+)")
_BETWEEN = re.compile(r"(#?\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)", re.IGNORECASE)
# A key equal to a bound, or to the one to start after, may be found and left out.
_BESIDES = 4


def of_query(table: Any, data: Mapping[str, Any]) -> Found | None:
    """The items in the range of the sort key that a Query names, up to its Limit."""
    condition, sort_key = data.get("KeyConditionExpression"), table.get("sk_name")
    sort_type = _type(table, sort_key)
    if data.get("IndexName") or not isinstance(condition, str) or sort_type not in ("S", "N"):
        return None
    try:
        bounds = _bounds(condition, data)
        ((_, partition),) = bounds.pop(table["pk_name"])
        asked = bounds.pop(sort_key, [])
        limit = None if data.get("Limit") is None else int(data["Limit"]) + _BESIDES
        backward = data.get("ScanIndexForward") is False
        if start := data.get("ExclusiveStartKey"):
            asked.append(("<=" if backward else ">=", start[sort_key]))
        low = [value[sort_type] for operator, value in asked if operator in ("=", ">", ">=")]
        high = [value[sort_type] for operator, value in asked if operator in ("=", "<", "<=")]
        order = table["items"].order
        first, last = max(low, key=order.encode, default=None), min(high, key=order.encode, default=None)
        key = partition[_type(table, table["pk_name"])]
        if bounds:
            return None
        return {key: table["items"][key].within(first, last, limit, backward=backward)}
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


def of_scan(table: Any, data: Mapping[str, Any]) -> Found | None:
    """The first items behind the one to start after, up to the Limit of a Scan."""
    if data.get("Limit") is None or any(data.get(name) is not None for name in ("IndexName", "Segment")):
        return None
    try:
        start = data.get("ExclusiveStartKey") or {}
        begin = (_key(table, "pk_name", start), _key(table, "sk_name", start))
        found: dict[str, dict[str, Item]] = {}
        missing = int(data["Limit"]) + _BESIDES
        for key in table["items"]:
            if key >= begin[0] and missing > 0:
                found[key] = dict(table["items"][key].items())
                missing -= sum((key, subkey) > begin for subkey in found[key])
        return found
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # ministack says what is wrong with it


def _key(table: Any, role: str, start: Mapping[str, Any]) -> str:
    name = table.get(role)
    return str(start[name][_type(table, name)]) if start and name else ""


def _type(table: Any, attribute: str | None) -> str:
    types = {each["AttributeName"]: each["AttributeType"] for each in table.get("AttributeDefinitions", [])}
    return str(types.get(attribute, "S"))
