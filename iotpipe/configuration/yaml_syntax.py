"""Parse bytes to YAML nodes, and turn encoding and syntax errors into messages with a remedy."""

from __future__ import annotations

import yaml

from iotpipe.configuration.problems import Finding, shown

_ADVICE = (
    # A part of PyYAML's message, iotpipe's message, the remedy. The first match counts.
    ("'\\t'", "a tab stands where YAML takes only spaces", "Indent with spaces"),
    ("another document", "a second document begins here", "Keep one document: delete the '---' line"),
    (
        "mapping values are not allowed",
        "a ':' stands where no key can be",
        "Line keys up, write a space after each key's ':', and put quotes around a value that holds ': '",
    ),
    (
        "could not find expected ':'",
        "a key without ': ' after it",
        "Write `key: value`, with a space after the colon",
    ),
    ("undefined alias", "an alias whose anchor is not above it", "Define it first, as in `key: &name value`"),
    ("cannot start any token", "a value cannot begin with this character", "Put quotes around the value"),
    ("unexpected end of stream", "a quote that opens here is never closed", "Close it"),
    (
        "but found '<scalar>'",
        "a text stands where its value has already ended",
        "Put quotes around the whole value",
    ),
    (
        "expected <block end>",
        "this does not line up with the lines above",
        "Indent the keys of one section by the same number of spaces",
    ),
    (
        "expected ',' or",
        "a bracket that opens here is not closed",
        "Close it, and put commas between the entries",
    ),
)


class Unparsable(Exception):
    """The file is not a YAML document: `finding` says where and why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def compose(data: bytes) -> yaml.Node | None:
    """The document's root node; None for an empty file. Raises Unparsable."""
    text = _decoded(data)
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise Unparsable(_explained(error)) from error
    except yaml.reader.ReaderError as error:
        raise Unparsable(_unprintable(text, error)) from error
    except (ValueError, OverflowError) as error:
        # PyYAML converts "\UFFFFFFFF" and over-long version numbers without checking their range.
        problem = "holds an escape or a number that cannot be represented"
        raise Unparsable(Finding(0, 0, "", problem, "Look for a \\U escape or a %YAML line")) from error
    return root


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise Unparsable(Finding(line, 1, "", message, "Save the file as UTF-8")) from error


def _explained(error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    yaml_message = ", ".join(each for each in (error.context, error.problem) if each)
    for part, message, remedy in _ADVICE:
        if part in yaml_message:
            opened = "opens here" in message and error.context_mark
            return _at(opened or mark, message, remedy)
    return _at(mark, f"this is not YAML: {shown(yaml_message, 200)}", "Correct the line or the one above it")


def _at(mark: yaml.Mark | None, message: str, remedy: str) -> Finding:
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Finding(line, column, "", message, remedy)


def _unprintable(text: str, error: yaml.reader.ReaderError) -> Finding:
    line = text.count("\n", 0, error.position) + 1
    character = shown(text[error.position])
    return Finding(line, 1, "", f"the control character {character} is not allowed in YAML", "Delete it")
