"""Reads SSM parameters with a cache of five minutes, or longer while SSM cannot be reached."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from iotpipe.handlers import aws, clock

logger = logging.getLogger(__name__)

_CACHE_MILLISECONDS, _RETRY_MILLISECONDS = 300_000, 30_000
_MAX_ATTEMPTS = 3
# Seconds after which SSM is not retried: if it hangs, time has to remain for the readings.
_MAX_RETRY_SECONDS = clock.ONE_CALL


@dataclass(frozen=True)
class Parameter:
    """A parameter's text, None if it was never read. Times are epoch milliseconds; the next read is at `due_at`."""

    text: str | None = None
    read_at: int = 0
    asked_at: int = 0
    due_at: int = 0


_cache: dict[str, Parameter] = {}


def read(name: str, budget: clock.Budget) -> Parameter:
    """Return the cached parameter, decrypted. Never fails: while SSM cannot be read it may be old or have no text."""
    known = _cache.get(name, Parameter())
    if clock.now() >= known.due_at:
        known = _cache[name] = _refresh(name, known, budget)
    return known


def read_fresh(name: str, budget: clock.Budget) -> Parameter:
    """Return the parameter, at most half a minute old if SSM can be reached."""
    known = read(name, budget)
    if clock.now() - known.asked_at >= _RETRY_MILLISECONDS:
        known = _cache[name] = _refresh(name, known, budget)
    return known


def _refresh(name: str, known: Parameter, budget: clock.Budget) -> Parameter:
    reason, began = clock.OUT_OF_TIME, clock.elapsed()
    for _ in aws.attempts(budget, _MAX_ATTEMPTS if known.text is None else 1):
        if clock.elapsed() - began >= _MAX_RETRY_SECONDS:
            break
        try:
            text = _value(name)
        except aws.ERRORS as error:
            reason = aws.describe(error)
            if not aws.is_transient(error):
                break
        else:
            now = clock.now()
            # With jitter of a tenth, so that workers which started together do not all read in the same second.
            due_at = now + int(_CACHE_MILLISECONDS * (0.9 + 0.2 * clock.jitter()))
            return Parameter(text, now, now, due_at)
    logger.warning("cannot read the parameter %s: %s", name, reason)
    now = clock.now()
    return replace(known, asked_at=now, due_at=now + _RETRY_MILLISECONDS)


def _value(name: str) -> str:
    with aws.checked_response():
        answer = aws.client("ssm").get_parameter(Name=name, WithDecryption=True)
    text = (answer.get("Parameter") or {}).get("Value")
    if not isinstance(text, str):
        raise aws.Unconfirmed("a response without the parameter's value")
    return text
