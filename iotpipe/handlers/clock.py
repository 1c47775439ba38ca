"""The only places where the handlers look at a clock, wait, or roll dice; tests put their own here."""

from __future__ import annotations

import random
import time
from typing import Any

OUT_OF_TIME = "out of time"

# What one AWS call may take at worst (the connect and read timeouts of aws.py), and a little to answer with.
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
    """The seconds in which an invocation may still begin a call: `seconds`, but no more than Lambda gives."""

    def __init__(self, seconds: float, context: Any) -> None:
        self._start = elapsed()
        self._given = seconds
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        milliseconds = remaining() if callable(remaining) else None
        if isinstance(milliseconds, int | float):
            self._given = min(seconds, milliseconds / 1000)

    def shorten(self, seconds: float) -> None:
        """Allow no more than `seconds` since the start."""
        self._given = min(self._given, seconds)

    def left(self) -> float:
        # Kept back for a call that hangs, but never so much that a short timeout leaves no work at all.
        kept_back = min(ONE_CALL, self._given / 2)
        return self._start + self._given - kept_back - elapsed()
