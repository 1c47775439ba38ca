"""What a retry rule is made of: the errors that it covers, the delays and the time budget."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Delays in seconds, of which the last repeats, until `budget` seconds have passed since the first failure."""

    delays: tuple[float, ...]
    budget: float
    jitter: bool = False

    def delay(self, retries: int, spent: float) -> float | None:
        """Return the seconds until the next retry, after `retries` retries and `spent` seconds; None if the budget is
        spent."""
        if spent >= self.budget:
            return None
        delay = self.delays[min(retries, len(self.delays) - 1)]
        return delay * random.uniform(0.5, 1.0) if self.jitter else delay


@dataclass(frozen=True)
class Rule:
    """A retry rule: covers errors by operation, code and part of the message. `reason` tells the user why it waits."""

    reason: str
    schedule: Schedule
    codes: tuple[str, ...]
    operations: tuple[str, ...] = ()
    message: str = ""
    throttled: bool = False
    """AWS has not executed the call: the call alone can be retried."""
    in_new_api: bool = False
    """Only for parts of a REST API that the same command has created."""

    def covers(self, operation: str, code: str, message: str) -> bool:
        return (
            code in self.codes
            and (not self.operations or operation in self.operations)
            and self.message.lower() in message.lower()
        )


class RetryBudget:
    """Tracks, per rule, the retries of one operation and the time that they took, pauses included."""

    def __init__(self) -> None:
        self._retries: dict[Rule, int] = {}
        self._spent: dict[Rule, float] = {}
        self._failed_at = 0.0

    def delay(self, rule: Rule, now: float) -> float | None:
        """Note a failure that the rule covers. Return the seconds until the next retry; None if the budget is spent."""
        retries = self._retries.get(rule, 0)
        # The first failure costs nothing, however long its attempt took. Later ones count from the last failure.
        spent = self._spent[rule] + now - self._failed_at if retries else 0.0
        self._retries[rule], self._spent[rule], self._failed_at = retries + 1, spent, now
        return rule.schedule.delay(retries, spent)
