"""JSON as the handlers take it: exact decimals, and the place of everything that would not survive the journey."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any

DEEPEST = 16
# A number of one character becomes a hundred bytes of memory, and of those a small function has only so many: what
# is not refused here would end the worker instead of being answered.
LONGEST = 2_000_000
MOST_VALUES = 75_000
_TOO_DEEP = f"nested deeper than {DEEPEST} levels"
_LONGEST_PATH = 200

# DynamoDB keeps 38 digits between 1E-130 and 9.9…E+125; with this Emin the last digit may stand at 1E-130.
_NUMBERS = Context(prec=38, Emin=-93, Emax=125, traps=[Inexact, Overflow, InvalidOperation])

Problem = tuple[str, str, str]  # field, code, message


class NotJson(ValueError):
    """Refused as a whole; `code` is the stable name of the reason. The message never quotes the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Flaw:
    """What stands in a document where a value was that cannot be kept."""

    code: str
    message: str


class Repeating(dict[str, Any]):
    """An object that names some of its keys more than once: these, in `repeated`. It holds their last values."""

    repeated: list[str]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. Only of one that is not `sound` need anybody look for flaws."""

    value: Any
    sound: bool


def parse(text: str, most_values: int = MOST_VALUES) -> Document:
    """The JSON document in `text`, numbers as Decimal.

    Values that cannot be kept are in it as flaws, so that all of them can be named and not only the first. Raises
    NotJson for what is no JSON or too large to be worked on.
    """
    if len(text) > LONGEST:
        raise NotJson("size", f"longer than {LONGEST} characters")
    met: list[object] = []
    try:
        value = _decoder(met).decode(text)
        depth = _depth(value, most_values)
        flawed = bool(met) or depth > DEEPEST or _has_lone_surrogates(text, value)
    except RecursionError:
        raise NotJson("nesting", _TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise NotJson("json", f"not JSON: {error.msg} at character {error.pos}") from None
    return Document(value, not flawed)


def flaws(value: Any, where: str = "", depth: int = 0) -> Iterator[Problem]:
    """Each flaw in a value, with the path that leads to it and is empty for the value itself.

    The levels are counted from the value, so that it makes no difference in what it was sent.
    """
    if isinstance(value, Flaw):
        yield where, value.code, value.message
    elif isinstance(value, str):
        if _is_lone(value):
            yield where, "surrogate", "half a surrogate pair"
    elif isinstance(value, dict | list) and depth == DEEPEST:
        yield where, "nesting", _TOO_DEEP
    elif isinstance(value, dict):
        yield from _flaws_of_object(value, where, depth)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from flaws(inner, f"{where}[{index}]"[:_LONGEST_PATH], depth + 1)


def _flaws_of_object(members: dict[str, Any], where: str, depth: int) -> Iterator[Problem]:
    for name in members.repeated if isinstance(members, Repeating) else ():
        yield _below(where, name), "duplicate_key", "named more than once"
    for name, inner in members.items():
        if _is_lone(name):
            yield _below(where, name), "surrogate", "half a surrogate pair in a name"
        yield from flaws(inner, _below(where, name), depth + 1)


def quoted(name: str) -> str:
    """A name of the client's own choosing as it may stand in an answer: short, and ASCII whatever it is made of."""
    return name.encode("ascii", "backslashreplace").decode()[:64]


def _below(where: str, name: str) -> str:
    return f"{where}.{quoted(name)}"[:_LONGEST_PATH] if where else quoted(name)


def _decoder(met: list[object]) -> json.JSONDecoder:
    """A decoder that puts flaws in the places of what cannot be kept, and adds something to `met` for each."""

    def flaw(message: str) -> Flaw:
        met.append(message)
        return Flaw("number", message)

    def number(text: str) -> Decimal | Flaw:
        try:
            return _NUMBERS.create_decimal(text)
        except DecimalException:
            return flaw("a number may have 38 digits, from 1E-130 to 9.9E+125")

    def constant(text: str) -> Flaw:
        return flaw(f"{text} is not a number")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        met.append(None)
        repeating = Repeating(found)
        repeating.repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        return repeating

    return json.JSONDecoder(parse_float=number, parse_int=number, parse_constant=constant, object_pairs_hook=members)


def _depth(document: Any, most_values: int) -> int:
    """How many levels there are below the document. Raises NotJson if it has too many values."""
    layer, depth, values = [document], 0, 1
    while layer := [inner for node in layer for inner in _members(node)]:
        depth += 1
        values += len(layer)
        if values > most_values:
            raise NotJson("size", f"more than {most_values} values")
    return depth


def _members(node: Any) -> Any:
    """What an array or object holds; a marker for an empty one, which is a level as well."""
    if isinstance(node, dict):
        return node.values() or (None,)
    if isinstance(node, list):
        return node or (None,)
    return ()


def _has_lone_surrogates(text: str, value: Any) -> bool:
    if "\\u" not in text and text.isascii():
        return False
    return _is_lone(json.dumps(value, ensure_ascii=False, default=str))


def _is_lone(text: str) -> bool:
    """Whether half a surrogate pair is in a text."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
