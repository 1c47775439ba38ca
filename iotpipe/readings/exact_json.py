"""JSON with exact numbers: Decimal instead of float, so that a stored value equals the value that was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

Number = Callable[[Decimal | int], str]

# DynamoDB stores 38 digits; Python's default context would round after 28.
_DIGITS = Context(prec=38)


def loads(text: str) -> Any:
    """The document in `text`: whole numbers as int, all others as Decimal. Raises ValueError."""
    return json.loads(text, parse_float=Decimal)


def dumps(value: Any) -> str:
    """A value as JSON text; numbers keep all their digits."""
    return _text(value, str, list)


def canonical(value: Any) -> str:
    """The same text for equal values: 25.50 equals 25.5, 1 does not equal true, and key order does not matter."""
    return _text(value, _canonical_number, sorted)


def fahrenheit(celsius: Decimal | int) -> Decimal:
    """The Fahrenheit value that the processed row must have, with all the digits that DynamoDB stores."""
    return _DIGITS.fma(Decimal(celsius), Decimal("1.8"), Decimal(32))


def is_number(value: Any) -> bool:
    """Whether a parsed value is a number; a boolean is not."""
    return isinstance(value, Decimal | int) and not isinstance(value, bool)


def _canonical_number(value: Decimal | int) -> str:
    return str(_DIGITS.normalize(Decimal(value))) if value else "0"


def _text(value: Any, number: Number, order: Callable[[Any], Any]) -> str:
    if is_number(value):
        return number(value)
    if isinstance(value, dict):
        members = (f"{json.dumps(name)}: {_text(value[name], number, order)}" for name in order(value))
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_text(member, number, order) for member in value)}]"
    return json.dumps(value, ensure_ascii=False)
