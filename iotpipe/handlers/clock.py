"""The only places where the handlers look at a clock, wait, or roll dice; tests put their own here."""

from __future__ import annotations

import random
import time
from typing import Any

# What one AWS call may take at worst: the connect and read timeouts of aws.py, and a little to answer with.
ONE_CALL = 8.0


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed() -> float:
    """Seconds on a clock that is never set back."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def chance() -> float:
    """A number in [0, 1), for jitter."""
    return random.random()


class Budget:
    """The seconds that one invocation may still spend: its own allowance, but no more than Lambda gives."""

    def __init__(self, seconds: float, context: Any) -> None:
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        given = min(seconds, remaining() / 1000) if remaining else seconds
        # Kept back for a call that hangs, but never so much that a short timeout leaves no work at all.
        self._end = elapsed() + given - min(ONE_CALL, given / 2)

    def left(self) -> float:
        return self._end - elapsed()
