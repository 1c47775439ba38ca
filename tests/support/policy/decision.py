"""IAM's decision on one question by one policy, with what the printed policies hold: no wildcard action, no Deny."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.support.policy.calls import Asked

USER = "operator"


def allowing(policy: Mapping[str, Any], asked: Asked) -> set[str]:
    """The Sids of the statements that allow it; empty where nothing does."""
    return {
        statement["Sid"]
        for statement in policy["Statement"]
        if asked.action in statement["Action"]
        and any(_matches(each, asked.resource) for each in statement["Resource"])
        and all(_holds(*test, asked.context) for test in statement.get("Condition", {}).items())
    }


def _matches(pattern: str, resource: str) -> bool:
    """IAM's own wildcards, which cross every border, and nothing else that fnmatch would take for one."""
    pattern = pattern.replace("${aws:username}", USER)
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), resource) is not None


def _holds(operator: str, tests: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """A key that IAM does not know of fails the test."""
    if operator == "Null":
        return all((key not in context) is (expected == "true") for key, expected in tests.items())
    assert operator in ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "ArnEqualsIfExists")
    return all(
        any(
            _matches(each, context[key]) if operator.endswith("Like") else each == context[key]
            for each in ([expected] if isinstance(expected, str) else expected)
        )
        if key in context
        else operator.endswith("IfExists")
        for key, expected in tests.items()
    )
