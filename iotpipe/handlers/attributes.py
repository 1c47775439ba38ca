"""Converts parsed JSON to DynamoDB attributes and canonical text, and stored attributes back to JSON text."""

from __future__ import annotations

import base64
import json
from decimal import Context, Decimal
from typing import Any

Attribute = dict[str, Any]
Item = dict[str, Attribute]

# DynamoDB keeps 38 digits; Python's default is 28.
_DIGITS = Context(prec=38)


def canonical_number(value: Decimal) -> str:
    """Return the same JSON number for equal values: 25.50, 2.55E1 and 25.5 all become "25.5"."""
    if not value:
        return "0"
    plain = value.normalize(_DIGITS)
    return format(plain, "f") if -10 < plain.adjusted() < 38 else str(plain)


def encode(value: Any) -> tuple[Attribute, str]:
    """Return a parsed JSON value as a DynamoDB attribute and as canonical, ASCII-only JSON text."""
    if isinstance(value, Decimal):
        number = canonical_number(value)
        return {"N": number}, number
    if isinstance(value, str):
        return {"S": value}, json.dumps(value)
    if value is None:
        return {"NULL": True}, "null"
    if isinstance(value, bool):
        return {"BOOL": value}, "true" if value else "false"
    if isinstance(value, list):
        return _encode_list(value)
    return _encode_object(value)


def _encode_list(values: list[Any]) -> tuple[Attribute, str]:
    encoded = [encode(value) for value in values]
    return {"L": [attribute for attribute, _ in encoded]}, f"[{','.join(text for _, text in encoded)}]"


def _encode_object(members: dict[str, Any]) -> tuple[Attribute, str]:
    attributes, texts = {}, []
    for name in sorted(members):
        attributes[name], text = encode(members[name])
        texts.append(f"{json.dumps(name)}:{text}")
    return {"M": attributes}, f"{{{','.join(texts)}}}"


def to_json(attribute: Attribute) -> str:
    """Return a stored attribute of any DynamoDB type as JSON text; numbers keep all their digits."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return canonical_number(Decimal(value))
    if kind == "M":
        return item_to_json(value)
    if kind == "L":
        return f"[{','.join(map(to_json, value))}]"
    if kind in ("SS", "NS", "BS"):
        return f"[{','.join(to_json({kind[0]: member}) for member in value)}]"
    if kind == "B":
        return json.dumps(base64.b64encode(value).decode())
    return json.dumps(None if kind == "NULL" else value)


def item_to_json(item: Item) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{to_json(item[name])}' for name in sorted(item))}}}"
