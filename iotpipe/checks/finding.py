"""What a check found, how bad that is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "cannot tell"
RESULTS = (PROBLEM, WARNING, UNKNOWN, OK)
"""The worst first."""


@dataclass(frozen=True)
class Finding:
    """`check` is what was looked at, `result` one of RESULTS, `found` what was seen and why that matters.

    `remedy` is what to do; only where all is well there is none.
    """

    check: str
    result: str
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It works now, or in part, and will not always."""
    return Finding(check, WARNING, found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """`up` would fail, or do something that nobody wants."""
    return Finding(check, PROBLEM, found, remedy)


def unknown(check: str, found: str, remedy: str) -> Finding:
    """AWS does not say, or does not let these credentials ask."""
    return Finding(check, UNKNOWN, found, remedy)
