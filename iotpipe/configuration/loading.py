"""Load `config/<name>.yaml` and report all its problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from iotpipe.configuration import problems, rules
from iotpipe.configuration.document import Document
from iotpipe.configuration.files import read
from iotpipe.configuration.messages import explained, place_of
from iotpipe.configuration.model import Environment
from iotpipe.configuration.problems import Finding, dotted
from iotpipe.configuration.schema import json_schema
from iotpipe.configuration.yaml_scalars import position
from iotpipe.errors import ConfigurationError, Problem


def load(name: str, directory: Path) -> Environment:
    """Load the environment of `<name>.yaml` in `directory`; `local` needs no file.

    Raises ConfigurationError with all problems, in the order of the file. What AWS would refuse minutes later
    is one of them.
    """
    document = Document(read(name, directory))
    environment, refused = _settle(name, document.values)
    wrong = document.findings + _refusals(refused, document)
    wrong += _contradictions(environment, refused, document)
    if wrong:
        file = str(directory / f"{name}.yaml")
        raise ConfigurationError([_problem(file, each) for each in sorted(wrong, key=_place)])
    return environment


def _settle(name: str, values: dict[str, Any]) -> tuple[Environment, list[ErrorDetails]]:
    """The environment without the invalid values, and their errors.

    What is refused is taken out and the rest tried again, since pydantic checks a whole (the tags together)
    only when each of its parts is valid.
    """
    refused: list[ErrorDetails] = []
    if "name" in values:
        refused.append({"type": "extra_forbidden", "loc": ("name",), "msg": "", "input": None})
    while True:
        try:
            return Environment.model_validate(values | {"name": name}), refused
        except ValidationError as error:
            errors = error.errors()
        refused += errors
        for each in errors:
            values = _without(values, place_of(each))


def _without(values: dict[str, Any], path: problems.Path) -> dict[str, Any]:
    """A copy without the value at `path`; a list with a bad entry is removed as a whole."""
    first, rest = str(path[0]), path[1:]
    inner = values.get(first)
    if rest and isinstance(inner, dict):
        return values | {first: _without(inner, rest)}
    return {key: value for key, value in values.items() if key != first}


def _refusals(refused: Sequence[ErrorDetails], document: Document) -> list[Finding]:
    schema = json_schema() if refused else {}
    return [explained(each, document, schema) for each in refused]


def _contradictions(
    environment: Environment,
    refused: Sequence[ErrorDetails],
    document: Document,
) -> Iterator[Finding]:
    """Conflicts between values that are valid one by one; invalid values are not compared."""
    doubtful = [place_of(each) for each in refused]
    for conflict in rules.conflicts(environment):
        if any(path[: len(other)] == other for path in conflict.paths for other in doubtful):
            continue
        path, entry = next((path, entry) for path in conflict.paths if (entry := document.find(path)))
        yield Finding(*position(entry.key), dotted(path), conflict.message, conflict.remedy)


def _place(finding: Finding) -> tuple[int, int]:
    return finding.line, finding.column


def _problem(file: str, finding: Finding) -> Problem:
    return Problem(file, finding.line, finding.key, finding.message, finding.remedy)
