"""Whatever a file holds, it loads or is refused with findings a person can read; it never crashes."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iotpipe.configuration import Environment, json_schema, load, starter_files
from iotpipe.errors import ConfigurationError

pytestmark = pytest.mark.matrix

FOREIGN_WORDS = ("pydantic", "Input should", "Traceback", "yaml.", "<unicode string>", "object at 0x")

anything_quick = settings(max_examples=10 * settings.default.max_examples)


def outcome(data: bytes) -> Environment | ConfigurationError:
    """The environment, or the error after a look at how it reads."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "dev.yaml").write_bytes(data)
        try:
            return load("dev", Path(directory))
        except ConfigurationError as error:
            check_readable(error, data)
            return error


def check_readable(error: ConfigurationError, data: bytes) -> None:
    assert error.problems
    lines = [each.line for each in error.problems]
    assert lines == sorted(lines)
    assert lines[0] >= 0
    assert lines[-1] <= len(data.decode("utf-8", "replace").splitlines()) + 1
    for each in error.problems:
        text = str(each).encode("utf-8").decode("utf-8")
        assert text.isprintable(), text
        assert len(text) < 1000
        assert not [word for word in FOREIGN_WORDS if word in text], text


@cache
def the_schema() -> dict[str, Any]:
    """The JSON Schema, which takes longer to make than an example to be judged."""
    return json_schema()


@cache
def known_keys() -> list[str]:
    schema = the_schema()
    sections = [schema, *schema["$defs"].values()]
    return sorted({key for section in sections for key in section["properties"]})


keys = st.one_of(st.sampled_from(known_keys()), st.text(max_size=8), st.integers(), st.booleans(), st.none())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.dates(),
    st.binary(max_size=4),
    st.sampled_from(["60", "eu-west-1", "123456789012", "a@b.cd", "aws", "prod", "arm64"]),
)
structures = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=5),
    max_leaves=25,
)


@anything_quick
@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    outcome(data)


@anything_quick
@given(st.text(st.sampled_from(list("ab:-?[]{},&*!|>'\"%@`#~<=.0123 \t\n\r\x85\u2028\\xUu_")), max_size=60))
def test_any_text_of_yaml_signs_loads_or_is_refused(text: str) -> None:
    outcome(text.encode("utf-8"))


@given(st.dictionaries(keys, structures, max_size=6))
def test_any_structure_loads_or_is_refused(document: dict[Any, Any]) -> None:
    outcome(yaml.dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(st.data())
def test_any_damage_to_a_starter_file_leaves_it_loadable_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([text for name, text in starter_files().items() if name.endswith(".yaml")]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    middle = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["\t", "- ", ": ", "&a ", "*a", "<<: ", "---\n"]))
    )
    outcome((text[:start] + middle + text[end:]).encode("utf-8"))


def values_of(part: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the JSON Schema takes for one key."""
    if "$ref" in part:
        return documents(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in part:
        return st.one_of([values_of(each, schema) for each in part["anyOf"]])
    if "enum" in part:
        return st.sampled_from(part["enum"])
    if "pattern" in part:
        return st.from_regex(part["pattern"].replace("$", r"\Z") if part["pattern"].endswith("$") else part["pattern"])
    if part.get("title") == "Emails":
        return st.lists(st.sampled_from(["a@b.cd", "ops@example.com", "x@y.zz"]), unique=True)
    if "items" in part:
        return st.lists(values_of(part["items"], schema), unique=True, max_size=3)
    return {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(part.get("minimum"), part.get("maximum")),
        "number": st.floats(part.get("minimum"), part.get("maximum")),
        "object": st.dictionaries(st.text("abcABC", min_size=1, max_size=3), st.text("abc :=", max_size=5), max_size=4),
    }[part["type"]]


def documents(section: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {key: values_of(part, schema) for key, part in section["properties"].items()}
    return st.fixed_dictionaries({}, optional=optional)


@given(st.deferred(lambda: documents(the_schema(), the_schema())))
def test_of_what_the_schema_takes_only_contradictions_are_refused(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(the_schema()).validate(document)
    found = outcome(yaml.safe_dump(document, allow_unicode=True).encode("utf-8"))
    if isinstance(found, Environment):
        loaded = json.loads(found.model_dump_json())
        assert included(document, loaded), (document, loaded)
    else:
        for each in found.problems:
            known = (
                "Lambda refuses",
                "a visibility timeout of",
                "the queue may have",
                "the dead-letter queue",
                "a batch has ",
                "holds ",
                "the AWS on this machine ",
                "the KMS key ",
                "the web ACL ",
            )
            assert each.message.startswith(known) or "batches of MQTT messages" in each.message, each


def included(part: dict[str, Any], whole: dict[str, Any]) -> bool:
    return all(
        included(value, whole[key]) if isinstance(value, dict) else whole[key] == value for key, value in part.items()
    )


def replaced(document: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """The document with one value, at any depth, exchanged for another."""
    key = data.draw(st.sampled_from(sorted(document)))
    deeper = isinstance(document[key], dict) and document[key] and data.draw(st.booleans())
    return document | {key: replaced(document[key], data) if deeper else data.draw(scalars | st.integers(0, 1000))}


@given(st.deferred(lambda: documents(json_schema(), json_schema())).filter(bool), st.data())
def test_an_editor_marks_nothing_in_a_file_that_loads(document: dict[str, Any], data: st.DataObject) -> None:
    changed = replaced(document, data)
    if isinstance(outcome(yaml.dump(changed).encode("utf-8")), Environment):
        jsonschema.validate(changed, json_schema())
