"""A YAML node's value, position, and description for messages."""

from __future__ import annotations

import re
from typing import Any

import yaml

from iotpipe.configuration.problems import shown

_STANDARD = "tag:yaml.org,2002:"
_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_DIGITS = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def kind_of(node: yaml.Node) -> str:
    """The node's YAML type (`str`, `int`, `null`, `map`, ...), or an unknown tag unchanged."""
    return str(node.tag).removeprefix(_STANDARD)


def position(node: yaml.Node) -> tuple[int, int]:
    """Line and column of the node's start, counted from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def scalar(node: yaml.ScalarNode) -> Any:
    """The node's value, or the node itself if no setting can have such a value.

    That is a date, a foreign tag, .nan, and a number that YAML 1.1 reads in another base: 0360 is octal 240,
    and 6:00 is 360.
    """
    kind, text = kind_of(node), str(node.value)
    if kind in ("str", "merge", "value"):
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return _TRUTH.get(text.lower(), node)
    if kind == "int" and _WHOLE.fullmatch(text):
        return int(text)
    if kind == "float" and _DECIMAL.fullmatch(text):
        return float(text)
    return node


def encodable(text: str) -> bool:
    """Whether `text` can be encoded: PyYAML accepts a lone surrogate ("\\ud800")."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def quoted_as(node: yaml.Node) -> str:
    """`int`, `float` or `bool` if quotes are all that makes a text of it, otherwise nothing."""
    if not isinstance(node, yaml.ScalarNode) or node.style not in ("'", '"'):
        return ""
    text = str(node.value)
    if text.lower() in _TRUTH:
        return "bool"
    if _WHOLE.fullmatch(text):
        return "int"
    return "float" if re.fullmatch(r"[-+]?[0-9]+[.][0-9]+", text) else ""


def describe(node: yaml.Node) -> str:
    """Describe the node: `the text "60"`, `yes, which YAML reads as true`, `a list`, `nothing`."""
    kind = kind_of(node)
    if isinstance(node, yaml.ScalarNode) and kind in ("str", "merge", "value"):
        return f'the text "{shown(node.value)}"'
    if isinstance(node, yaml.ScalarNode) and kind in ("bool", "int", "float", "timestamp"):
        known_as = reading(node)
        return shown(node.value) + (f", which YAML reads as {known_as}" if known_as else "")
    whole = {
        (yaml.ScalarNode, "null"): "nothing",
        (yaml.MappingNode, "map"): "a section of keys",
        (yaml.SequenceNode, "seq"): "a list",
    }
    return whole.get((type(node), kind), f"the YAML tag {shown(kind)}, which means nothing here")


def reading(node: yaml.ScalarNode) -> str:
    """How YAML reads a scalar's text, if that is not obvious."""
    kind, text = kind_of(node), str(node.value)
    if kind == "timestamp":
        return "a date"
    if kind == "bool":
        return "" if text.lower() in ("true", "false") else str(_TRUTH.get(text.lower(), "nothing")).lower()
    if kind == "int" and not _DIGITS.fullmatch(text):
        return f"the number {_in_another_base(node)}"
    return ""


def _in_another_base(node: yaml.ScalarNode) -> str:
    try:
        return shown(str(yaml.SafeLoader("").construct_yaml_int(node)))
    except ValueError:
        return "of another base"
