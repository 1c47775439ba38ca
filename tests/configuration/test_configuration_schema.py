"""The JSON Schema that editors get: true to the model, and satisfied by every file that loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from iotpipe.configuration import Environment, json_schema, starter_files

SHIPPED = Path(__file__).parents[2] / "config"
LIKE_NAME = {"suffix", "api.stage"}


def leaves(schema: dict[str, Any], part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that is no section, with its part of the schema."""
    for key, below in part["properties"].items():
        section = schema["$defs"][below["$ref"].rpartition("/")[2]] if "$ref" in below else None
        if section:
            yield from leaves(schema, section, f"{path}{key}.")
        else:
            yield f"{path}{key}", below


def all_leaves() -> dict[str, dict[str, Any]]:
    schema = json_schema()
    return dict(leaves(schema, schema))


def in_environment(path: str) -> Any:
    value: Any = Environment(name="dev").model_dump(mode="json")
    for part in path.split("."):
        value = value[part]
    return value


def test_the_shipped_schema_is_the_one_of_the_model() -> None:
    shipped = (SHIPPED / "schema.json").read_text("utf-8")
    assert shipped == starter_files()["schema.json"], "config/schema.json is stale. Run: make schema"


def test_it_is_itself_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_key_has_a_meaning_and_every_default_is_the_real_one() -> None:
    for path, leaf in all_leaves().items():
        assert leaf["description"].endswith("."), path
        if path not in LIKE_NAME:
            assert leaf["default"] == in_environment(path), path


def test_it_offers_exactly_the_keys_of_the_model_and_not_the_name() -> None:
    assert set(json_schema()["properties"]) == set(Environment.model_fields) - {"name"}


def test_every_section_says_what_it_is_and_refuses_unknown_keys() -> None:
    schema = json_schema()
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
        assert section["description"]


def test_ranges_choices_and_forms_reach_the_editor() -> None:
    found = all_leaves()
    assert (found["queue.visibility_timeout"]["minimum"], found["queue.visibility_timeout"]["maximum"]) == (0, 43_200)
    assert found["functions.runtime"]["enum"][-1] == "python3.14"
    assert 31 not in found["functions.log_retention"]["enum"]
    assert found["account"]["anyOf"][0]["pattern"] == "^[0-9]{12}$"
    assert found["tags"]["maxProperties"] == 45


@pytest.mark.parametrize("name", ["local.yaml", "dev.yaml", "prod.yaml"])
def test_the_shipped_files_satisfy_it_and_name_it(name: str) -> None:
    text = (SHIPPED / name).read_text("utf-8")
    jsonschema.validate(yaml.safe_load(text), json_schema())
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert "schema.json" in starter_files()


@pytest.mark.parametrize(
    "wrong",
    [
        {"quueue": {}},
        {"queue": {"retention": 59}},
        {"queue": None},
        {"functions": {"log_retention": 31}},
        {"account": 123456789012},
        {"region": "frankfurt"},
        {"alerts": {"emails": ["nobody"]}},
        {"name": "dev"},
    ],
)
def test_an_editor_marks_what_loading_would_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json_schema())
