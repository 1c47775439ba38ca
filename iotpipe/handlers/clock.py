"""The handlers' only access to time and random numbers, which tests replace."""

from __future__ import annotations

import random
import time
from typing import Any

OUT_OF_TIME = "out of time"

# Seconds that one AWS call may take (the connect and read timeouts of aws.py), plus some to answer.
ONE_CALL = 8.0


def now() -> int:
    """Return epoch milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed() -> float:
    """Return the seconds of a monotonic clock."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def jitter() -> float:
    """Return a random number in [0, 1)."""
    return random.random()


class Budget:
    """The time in which an invocation may start AWS calls: `seconds`, or Lambda's remaining time if that is less."""

    def __init__(self, seconds: float, context: Any) -> None:
        self._start = elapsed()
        self._seconds = seconds
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        milliseconds = remaining() if callable(remaining) else None
        if isinstance(milliseconds, int | float):
            self._seconds = min(seconds, milliseconds / 1000)

    def shorten(self, seconds: float) -> None:
        """Limit the time to `seconds` since the start."""
        self._seconds = min(self._seconds, seconds)

    def remaining(self) -> float:
        """Return the seconds in which a call may still start."""
        # Reserve time for a call that hangs, but at most half, so that a short timeout still allows some calls.
        reserved = min(ONE_CALL, self._seconds / 2)
        return self._start + self._seconds - reserved - elapsed()
