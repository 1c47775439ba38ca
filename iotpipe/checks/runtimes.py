"""Check until when Lambda supports the functions' Python runtime, and what it blocks after that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from iotpipe.checks.finding import Finding, ok, problem, warning

CHECK = "runtime"
_SOON = timedelta(days=365)


@dataclass(frozen=True)
class Support:
    """The dates from which a runtime gets no security patches, and its functions cannot be created or updated."""

    deprecated: date
    create_blocked: date
    update_blocked: date


SUPPORT = {
    "python3.11": Support(date(2027, 6, 30), date(2027, 7, 31), date(2027, 8, 31)),
    "python3.12": Support(date(2028, 10, 31), date(2028, 11, 30), date(2029, 1, 10)),
    "python3.13": Support(date(2029, 6, 30), date(2029, 7, 31), date(2029, 8, 31)),
    "python3.14": Support(date(2029, 6, 30), date(2029, 7, 31), date(2029, 8, 31)),
}
"""AWS's forecast, which may move: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, checked on
2026-11-22."""


def blocked(runtime: str, today: date) -> frozenset[str]:
    """The actions (create, update) that Lambda blocks for functions of this runtime."""
    support = SUPPORT[runtime]
    since = {"create": support.create_blocked, "update": support.update_blocked}
    return frozenset(action for action, day in since.items() if today >= day)


def check(runtime: str, today: date) -> list[Finding]:
    """Check the runtime's dates."""
    support = SUPPORT[runtime]
    if refused := blocked(runtime, today):
        return refusal(runtime, today, refused)
    if today >= support.deprecated:
        text = f"{runtime} has had no security patches since {support.deprecated}; {_blocks(support)}"
        return [warning(CHECK, text, _remedy(runtime))]
    if today >= support.deprecated - _SOON:
        left = (support.deprecated - today).days
        text = f"{runtime} is deprecated from {support.deprecated}, in {left} days; {_blocks(support)}"
        return [warning(CHECK, text, _remedy(runtime))]
    return [ok(CHECK, f"{runtime} is supported until {support.deprecated}")]


def refusal(runtime: str, today: date, wanted: Collection[str]) -> list[Finding]:
    """A problem if Lambda blocks any of the wanted actions (create, update)."""
    refused = sorted(blocked(runtime, today).intersection(wanted))
    if not refused:
        return []
    actions = " or ".join({"create": "creating", "update": "updating"}[action] for action in refused)
    text = f"Lambda no longer allows {actions} functions of {runtime}; {_blocks(SUPPORT[runtime])}"
    return [problem(CHECK, text, _remedy(runtime))]


def _blocks(support: Support) -> str:
    return f"Lambda creates none from {support.create_blocked} and updates none from {support.update_blocked}"


def _remedy(runtime: str) -> str:
    own = SUPPORT[runtime].deprecated
    longer = [f"{name} (until {each.deprecated})" for name, each in SUPPORT.items() if each.deprecated > own]
    return (
        f"Set functions.runtime to {' or '.join(longer)}" if longer else "Upgrade iotpipe: newer runtimes may be known"
    )
