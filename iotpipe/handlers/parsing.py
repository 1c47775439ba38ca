"""Parses JSON with exact decimals, and marks the values that DynamoDB or SQS could not store as they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any

MAX_DEPTH = 16
# A number of one character takes a hundred bytes of memory. A larger document could exhaust a small function's memory
# and end the worker without an answer.
MAX_CHARACTERS = 2_000_000
MAX_VALUES = 75_000
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_MAX_PATH_LENGTH = 200

# DynamoDB keeps 38 digits between 1E-130 and 9.9…E+125; with this Emin the last digit may stand at 1E-130.
_NUMBERS = Context(prec=38, Emin=-93, Emax=125, traps=[Inexact, Overflow, InvalidOperation])

Problem = tuple[str, str, str]  # field, code, message


class NotJson(ValueError):
    """The text is refused as a whole; `code` is the reason's stable name. The message never quotes the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Flaw:
    """A placeholder in a document for a value that cannot be stored."""

    code: str
    message: str


class DuplicateNames(dict[str, Any]):
    """An object with duplicate names, listed in `repeated`. It has the last value of each."""

    repeated: list[str]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. One that is not flawless has to be searched with `flaws`."""

    value: Any
    is_flawless: bool


def parse(text: str, max_values: int = MAX_VALUES) -> Document:
    """Parse JSON, with numbers as Decimal.

    Values that cannot be stored become flaws, so that all of them can be reported and not only the first. Raises
    NotJson for text that is not JSON or too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotJson("size", f"longer than {MAX_CHARACTERS} characters")
    flawed_values: list[object] = []
    try:
        value = _decoder(flawed_values).decode(text)
        depth = _depth(value, max_values)
        flawed = bool(flawed_values) or depth > MAX_DEPTH or _document_has_lone_surrogates(text, value)
    except RecursionError:
        raise NotJson("nesting", _TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise NotJson("json", f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    return Document(value, not flawed)


def flaws(value: Any, path: str = "", depth: int = 0) -> Iterator[Problem]:
    """Yield the flaws of a value, each with its path within the value.

    The depth is counted from the value, so a reading alone and one in a batch have the same limit.
    """
    if isinstance(value, Flaw):
        yield path, value.code, value.message
    elif isinstance(value, str):
        if has_lone_surrogate(value):
            yield path, "surrogate", "a lone surrogate"
    elif isinstance(value, dict | list) and depth == MAX_DEPTH:
        yield path, "nesting", _TOO_DEEP
    elif isinstance(value, dict):
        yield from _flaws_of_object(value, path, depth)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from flaws(inner, f"{path}[{index}]"[:_MAX_PATH_LENGTH], depth + 1)


def _flaws_of_object(members: dict[str, Any], path: str, depth: int) -> Iterator[Problem]:
    for name in members.repeated if isinstance(members, DuplicateNames) else ():
        yield _join_path(path, name), "duplicate_key", "named more than once"
    for name, inner in members.items():
        if has_lone_surrogate(name):
            yield _join_path(path, name), "surrogate", "a lone surrogate in a name"
        yield from flaws(inner, _join_path(path, name), depth + 1)


def quoted(name: str) -> str:
    """Return a client's name for an answer: shortened, and escaped to ASCII."""
    return name.encode("ascii", "backslashreplace").decode()[:64]


def _join_path(path: str, name: str) -> str:
    return f"{path}.{quoted(name)}"[:_MAX_PATH_LENGTH] if path else quoted(name)


def _decoder(flawed_values: list[object]) -> json.JSONDecoder:
    """Return a decoder that replaces unstorable values with flaws, and appends to `flawed_values` for each."""

    def flaw(message: str) -> Flaw:
        flawed_values.append(message)
        return Flaw("number", message)

    def number(text: str) -> Decimal | Flaw:
        try:
            return _NUMBERS.create_decimal(text)
        except DecimalException:
            return flaw("a number may have 38 digits, from 1E-130 to 9.9E+125")

    def constant(text: str) -> Flaw:
        return flaw(f"{text} is not a number")

    def parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        flawed_values.append(None)
        duplicates = DuplicateNames(members)
        duplicates.repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        return duplicates

    return json.JSONDecoder(
        parse_float=number, parse_int=number, parse_constant=constant, object_pairs_hook=parse_object
    )


def _depth(document: Any, max_values: int) -> int:
    """Return the number of levels below the document. Raises NotJson if it has too many values."""
    layer, depth, values = [document], 0, 1
    while layer := [inner for node in layer for inner in _members(node)]:
        depth += 1
        values += len(layer)
        if values > max_values:
            raise NotJson("size", f"more than {max_values} values")
    return depth


def _members(node: Any) -> Any:
    """Return the members of an array or object; a marker for an empty one, which counts as a level too."""
    if isinstance(node, dict):
        return node.values() or (None,)
    if isinstance(node, list):
        return node or (None,)
    return ()


def _document_has_lone_surrogates(text: str, value: Any) -> bool:
    if "\\u" not in text and text.isascii():
        return False
    return has_lone_surrogate(json.dumps(value, ensure_ascii=False, default=str))


def has_lone_surrogate(text: str) -> bool:
    """Whether a text contains a lone surrogate."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
