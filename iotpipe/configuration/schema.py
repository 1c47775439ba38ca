"""The JSON Schema of an environment file, for editors and for error messages."""

from __future__ import annotations

from typing import Any

from iotpipe.configuration.model import Environment


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `config/<environment>.yaml`: defaults, ranges, choices and meanings."""
    schema = Environment.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "iotpipe environment",
    }
