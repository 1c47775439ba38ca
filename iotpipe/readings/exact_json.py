"""JSON whose numbers stay as they are written: no float comes between a reading and what is stored of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

Number = Callable[[Decimal | int], str]

# As many digits as DynamoDB keeps; Python's own default would round after 28.
_DIGITS = Context(prec=38)


def loads(text: str) -> Any:
    """The document in `text`: whole numbers as int, all others as Decimal. Raises ValueError."""
    return json.loads(text, parse_float=Decimal)


def dumps(value: Any) -> str:
    """A value as JSON text, numbers with the digits they have."""
    return _text(value, str, list)


def canonical(value: Any) -> str:
    """One text for everything that is equal: 25.50 and 25.5 are, 1 and true are not; the order of keys is none."""
    return _text(value, _canonical_number, sorted)


def fahrenheit(celsius: Decimal | int) -> Decimal:
    """What the processed row must say of a temperature: to all the digits that DynamoDB keeps."""
    return _DIGITS.fma(Decimal(celsius), Decimal("1.8"), Decimal(32))


def is_number(value: Any) -> bool:
    """Whether a parsed value is a number; a boolean is none."""
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
