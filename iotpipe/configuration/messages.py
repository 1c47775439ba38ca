"""Turn pydantic's errors into iotpipe's messages: what is expected, what was found, what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from iotpipe.configuration.document import Document
from iotpipe.configuration.problems import Finding, Path, dotted, shown
from iotpipe.configuration.yaml_scalars import describe, kind_of, position, quoted_as, reading

Schema = dict[str, Any]


def place_of(error: ErrorDetails) -> Path:
    """The path of the error; pydantic appends `[key]` for an invalid tag key."""
    loc = error["loc"]
    return loc[:-1] if _about_key(error) else loc


def explained(error: ErrorDetails, document: Document, schema: Schema) -> Finding:
    """A pydantic error as a problem at the line of its key."""
    path = place_of(error)
    entry = document.find(path)
    assert entry, f"{path} was refused but is not in the file"
    message, remedy = _message_and_remedy(error, path, entry.value, schema)
    return Finding(*position(entry.key), dotted(path), message, remedy)


def _about_key(error: ErrorDetails) -> bool:
    return error["loc"][0] == "tags" and error["loc"][2:] == ("[key]",)


def _message_and_remedy(error: ErrorDetails, path: Path, node: yaml.Node, schema: Schema) -> tuple[str, str]:
    if error["type"] == "extra_forbidden":
        return "unknown key", _instead(path, schema)
    if error["type"] in ("form", "contradiction"):
        context = error["ctx"]
        shows_value = error["type"] == "form" and not _about_key(error)
        return context["expected"] + (f", found {describe(node)}" if shows_value else ""), context["remedy"]
    wanted = _below(schema, path)
    return f"must be {_expected(wanted)}, found {describe(node)}", _remedy(wanted, node)


def _below(schema: Schema, path: Path) -> Schema:
    """The part of the JSON Schema that describes the value at `path`."""
    part = schema
    for step in path:
        items = part["items"] if isinstance(step, int) else part.get("properties", {}).get(step)
        part = items or part["additionalProperties"]
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]] | part
    return _without_null(part)


def _without_null(part: Schema) -> Schema:
    choices = [each for each in part.get("anyOf", []) if each["type"] != "null"]
    return part | choices[0] | {"nullable": True} if choices else part


def _expected(part: Schema) -> str:
    if "enum" in part:
        return f"one of {', '.join(str(each) for each in part['enum'])}"
    words = {
        "boolean": "true or false",
        "integer": f"a whole number from {part.get('minimum')} to {part.get('maximum')}",
        "number": f"a number from {part.get('minimum')} to {part.get('maximum')}",
        "string": "text",
        "array": "a list",
        "object": "a section of keys",
    }
    return words[part["type"]] + (" or null" if "nullable" in part else "")


def _remedy(part: Schema, node: yaml.Node) -> str:
    wanted = part["type"]
    raw = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if wanted == "object":
        return "Indent its keys below it, or delete the line"
    if kind_of(node) == "null":
        return f"Write a value, or delete the line. {_meaning(part)}".removesuffix(". ")
    if wanted == "array" and raw:
        return f"Write a list: [{shown(raw)}]"
    if wanted == "string" and "enum" in part:
        return _choice(part, node, raw)
    if wanted == "string" and raw and kind_of(node) != "str":
        return f'Put it in quotes: "{shown(raw)}"'
    return _remedy_for_number(wanted, node) or _meaning(part)


def _choice(part: Schema, node: yaml.Node, raw: str) -> str:
    """The allowed value that the text probably means, ignoring case; YAML reads OFF as false."""
    spellings = {str(each).lower(): str(each) for each in part["enum"]}
    close = difflib.get_close_matches(raw.lower(), spellings, n=1)
    if raw.lower() in spellings and kind_of(node) != "str":
        return f'Put it in quotes: "{spellings[raw.lower()]}"'
    return f"Did you mean {spellings[close[0]]}?" if close else _meaning(part)


def _remedy_for_number(wanted: str, node: yaml.Node) -> str:
    kinds = {"integer": ("int",), "number": ("int", "float"), "boolean": ("bool",)}
    if quoted_as(node) in kinds.get(wanted, ()):
        return "Leave the quotes out"
    if isinstance(node, yaml.ScalarNode) and kind_of(node) == "int" and reading(node):
        return "Write it in plain decimal digits"
    return ""


def _meaning(part: Schema) -> str:
    meaning = str(part.get("description", "")).removesuffix(".")
    if "default" not in part:
        return meaning
    return f"{meaning} (default: {json.dumps(part['default'])})"


def _instead(path: Path, schema: Schema) -> str:
    """The remedy for an unknown key: its right place, a similar key, or all allowed keys."""
    *above, key = path
    if path == ("name",):
        return "Delete it: an environment is named after its file"
    wanted = _snake_case(str(key))
    homes = [home for home, keys in _sections(schema, ()) if wanted in keys]
    if homes and tuple(above) not in homes:
        places = (f"into {dotted(home)}" if home else "at the top" for home in homes)
        return f"Put {wanted} {' or '.join(places)}"
    valid = list(_below(schema, tuple(above))["properties"])
    close = difflib.get_close_matches(wanted, valid, n=1)
    return f"Did you mean {close[0]}?" if close else f"Valid here: {', '.join(valid)}"


def _sections(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    keys = _below(schema, path).get("properties", {})
    yield path, list(keys)
    for key in keys:
        yield from _sections(schema, (*path, key))


def _snake_case(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().replace("-", "_")
