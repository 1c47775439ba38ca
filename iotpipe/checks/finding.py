"""The finding of a check: what was found, its severity and its remedy."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "cannot tell"
RESULTS = (PROBLEM, WARNING, UNKNOWN, OK)
"""The most severe first."""


@dataclass(frozen=True)
class Finding:
    """`check` names the check, `result` is one of RESULTS, `found` says what was found and why it matters.

    `remedy` says what to do; it is empty only for OK.
    """

    check: str
    result: str
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It works now or in part, but may fail later."""
    return Finding(check, WARNING, found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """`up` would fail or do harm."""
    return Finding(check, PROBLEM, found, remedy)


def unknown(check: str, found: str, remedy: str) -> Finding:
    """AWS does not answer, or these credentials may not ask."""
    return Finding(check, UNKNOWN, found, remedy)
