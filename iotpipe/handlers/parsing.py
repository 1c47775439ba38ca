"""JSON as the handlers take it: exact decimals, and a refusal of all that would not survive the journey."""

from __future__ import annotations

import json
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any

DEEPEST = 16
# A number of one character becomes a hundred bytes of memory, and of those a small function has only so many: what
# is not refused here would end the worker instead of being answered.
LONGEST = 2_000_000
MOST_VALUES = 75_000
_TOO_DEEP = f"nested deeper than {DEEPEST} levels"

# DynamoDB keeps 38 digits between 1E-130 and 9.9…E+125; with this Emin the last digit may stand at 1E-130.
_NUMBERS = Context(prec=38, Emin=-93, Emax=125, traps=[Inexact, Overflow, InvalidOperation])


class NotJson(ValueError):
    """Refused while parsing; `code` is the stable name of the reason. The message never quotes the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse(text: str, most_values: int = MOST_VALUES) -> Any:
    """The JSON document in `text`, numbers as Decimal.

    Raises NotJson for what is no JSON, NaN and Infinity, numbers that DynamoDB cannot keep exactly, repeated
    keys, lone surrogates, nesting beyond 16 levels, and what is too large to be worked on.
    """
    if len(text) > LONGEST:
        raise NotJson("size", f"longer than {LONGEST} characters")
    try:
        document = _decoder.decode(text)
        _refuse_depth_and_mass(document, most_values)
        if "\\u" in text or not text.isascii():
            _refuse_lone_surrogates(document)
    except RecursionError:
        raise NotJson("nesting", _TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise NotJson("json", f"not JSON: {error.msg} at character {error.pos}") from None
    return document


def _number(text: str) -> Decimal:
    try:
        return _NUMBERS.create_decimal(text)
    except DecimalException:
        raise NotJson("number", "a number may have 38 digits, from 1E-130 to 9.9E+125") from None


def _constant(text: str) -> Any:
    raise NotJson("number", f"{text} is not a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("duplicate_key", "an object names the same key twice")
    return members


_decoder = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_object)


def _refuse_depth_and_mass(document: Any, most_values: int) -> None:
    layer, depth, values = [document], 0, 1
    while layer := [inner for node in layer for inner in _members(node)]:
        depth += 1
        values += len(layer)
        if depth > DEEPEST:
            raise NotJson("nesting", _TOO_DEEP)
        if values > most_values:
            raise NotJson("size", f"more than {most_values} values")


def _members(node: Any) -> Any:
    """What an array or object holds; a marker for an empty one, which is a level as well."""
    if isinstance(node, dict):
        return node.values() or (None,)
    if isinstance(node, list):
        return node or (None,)
    return ()


def _refuse_lone_surrogates(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise NotJson("surrogate", "a string contains half a surrogate pair") from None
