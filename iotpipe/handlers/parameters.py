"""SSM parameters, kept for five minutes, and for longer while SSM cannot be reached."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from iotpipe.handlers import aws, clock

logger = logging.getLogger(__name__)

_LIFE, _RETRY_AFTER = 300_000, 30_000
_MOST_ATTEMPTS = 3
# Seconds after which SSM is not asked once more: where it hangs, the readings must not pay with all of their time.
_LONGEST_ASKING = clock.ONE_CALL


@dataclass(frozen=True)
class Parameter:
    """A parameter's text, if ever read, and when; not asked for again before `due_at`. Epoch milliseconds."""

    text: str | None = None
    read_at: int = 0
    asked_at: int = 0
    due_at: int = 0


_cache: dict[str, Parameter] = {}


def read(name: str, budget: clock.Budget) -> Parameter:
    """The parameter as last read, decrypted. Never fails: unreachable, it is as old as it is, or without text."""
    known = _cache.get(name, Parameter())
    if clock.now() >= known.due_at:
        known = _cache[name] = _refreshed(name, known, budget)
    return known


def read_again(name: str, budget: clock.Budget) -> Parameter:
    """The same for somebody whom its text does not suit: no older than half a minute, if SSM can be reached."""
    known = read(name, budget)
    if clock.now() - known.asked_at >= _RETRY_AFTER:
        known = _cache[name] = _refreshed(name, known, budget)
    return known


def _refreshed(name: str, known: Parameter, budget: clock.Budget) -> Parameter:
    reason, began = clock.OUT_OF_TIME, clock.elapsed()
    for _ in aws.attempts(budget, _MOST_ATTEMPTS if known.text is None else 1):
        if clock.elapsed() - began >= _LONGEST_ASKING:
            break
        try:
            text = _value(name)
        except aws.FAILED as error:
            reason = aws.describe(error)
            if not aws.passing(error):
                break
        else:
            now = clock.now()
            # A tenth earlier or later, so that workers started together do not all ask in one second.
            due_at = now + int(_LIFE * (0.9 + 0.2 * clock.chance()))
            return Parameter(text, now, now, due_at)
    logger.warning("cannot read the parameter %s: %s", name, reason)
    now = clock.now()
    return replace(known, asked_at=now, due_at=now + _RETRY_AFTER)


def _value(name: str) -> str:
    with aws.answering():
        answer = aws.client("ssm").get_parameter(Name=name, WithDecryption=True)
    text = (answer.get("Parameter") or {}).get("Value")
    if not isinstance(text, str):
        raise aws.Unconfirmed("an answer without the parameter's value")
    return text
