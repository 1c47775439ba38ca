"""The canonical form of policy documents: two documents are equal in it if and only if they mean the same.

AWS returns documents in another form than it was sent: a list of one element as a text, an account as the ARN of its
root, lists in another order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DEFAULT_VERSION = "2008-10-17"
"""The version of the policy language where a document names none."""

_ROOT = re.compile(r"arn:[a-z-]+:iam::(\d{12}):root")


def canonical(document: Mapping[str, Any], like: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the canonical form of a policy of a role, queue, topic or function, parsed from its JSON.

    - Statements are keyed by their `Sid`, so that a plan can name the one that differs. Those without a `Sid` are
      `#1`, `#2`, … in the order of their content.
    - Actions, resources, principals and the values of conditions are sorted lists without duplicates.
    - Actions and condition keys are in lower case, since IAM ignores their case. Operators and values keep their case.
    - The root of an account is its number, and the principal `*` is `{"AWS": ["*"]}`.
    - A missing version is the oldest one, as in IAM. `Id` has no meaning and is left out.

    `like` is the canonical form of the document to compare with. `Sid` has no meaning in IAM: a statement that equals
    one of `like` gets its name from there.
    """
    others = {key: value for key, value in document.items() if key not in ("Id", "Statement")}
    statements = [(str(each.get("Sid", "")), _statement(each)) for each in _listed(document.get("Statement", []))]
    wanted = like["Statement"] if like else {}
    return {"Version": DEFAULT_VERSION} | others | {"Statement": _named(statements, wanted)}


def _named(statements: Sequence[tuple[str, dict[str, Any]]], wanted: Mapping[str, Any]) -> dict[str, Any]:
    unmatched = sorted(statements, key=lambda pair: json.dumps(pair[::-1], sort_keys=True))
    by_name: dict[str, Any] = {}
    for name, statement in wanted.items():
        if equal := [each for each in unmatched if each[1] == statement]:
            unmatched.remove(min(equal, key=lambda each: (each[0] != name, each[0] in wanted)))
            by_name[name] = statement
    for number, (sid, statement) in enumerate(unmatched, 1):
        name = sid or f"#{number}"
        by_name[f"{name} #{number}" if name in by_name else name] = statement
    return by_name


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    elements = {name: _CANONICAL.get(name, _unchanged)(value) for name, value in statement.items() if name != "Sid"}
    # An empty condition always holds, as if there were none.
    return {name: value for name, value in elements.items() if name != "Condition" or value}


def _unchanged(value: Any) -> Any:
    return value


def _actions(value: Any) -> list[str]:
    return sorted({str(each).lower() for each in _listed(value)})


def _resources(value: Any) -> list[str]:
    return sorted({str(each) for each in _listed(value)})


def _principals(value: Any) -> dict[str, list[str]]:
    kinds = value if isinstance(value, Mapping) else {"AWS": value}
    return {kind: sorted({_account(str(each)) for each in _listed(these)}) for kind, these in kinds.items()}


def _account(principal: str) -> str:
    root = _ROOT.fullmatch(principal)
    return root[1] if root else principal


def _conditions(value: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    def values_of(operator: str, tests: Mapping[str, Any]) -> dict[str, list[str]]:
        return {key.lower(): sorted({_text(each, operator) for each in _listed(these)}) for key, these in tests.items()}

    return {operator: values_of(operator, tests) for operator, tests in value.items() if tests}


def _text(value: Any, operator: str) -> str:
    """Return a value as IAM compares it: true equals "true", and 300 equals "300"."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.lower() if "IgnoreCase" in operator else text


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


_CANONICAL: dict[str, Callable[[Any], Any]] = {
    "Action": _actions,
    "NotAction": _actions,
    "Resource": _resources,
    "NotResource": _resources,
    "Principal": _principals,
    "NotPrincipal": _principals,
    "Condition": _conditions,
}
