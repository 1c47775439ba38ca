"""Retries single throttled calls. AWS has not executed them, so the rest of the operation need not be repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from iotpipe.provision.retry_rules import rule_for
from iotpipe.provision.retry_schedule import RetryBudget, Rule

Wait = Callable[[Rule, RetryBudget, ClientError], None]
"""Waits until the call may be retried, or raises."""

_current = threading.local()


@contextmanager
def wait_when_throttled(wait: Wait) -> Iterator[None]:
    """Retry throttled calls of this thread after `wait`, for as long as the context is open."""
    before = getattr(_current, "wait", None)
    _current.wait = wait
    try:
        yield
    finally:
        _current.wait = before


def retry_throttled_calls(events: Any) -> None:
    """Make clients that are created with this botocore event emitter from now on retry their throttled calls."""
    events.register("creating-client-class", _add_base)


def _add_base(base_classes: list[type], **ignored: Any) -> None:
    base_classes.insert(0, _RetryingClient)


class _RetryingClient:
    """The first base of every client class. All calls pass through it, also those of paginators.

    botocore's own retries do not fit: their sleep cannot be interrupted, they do not report the reason, and they also
    repeat calls that may have had an effect.
    """

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        budget = RetryBudget()
        while True:
            try:
                return super()._make_api_call(operation_name, dict(api_params))  # type: ignore[misc] # BaseClient's
            except ClientError as error:
                rule, wait = rule_for(error), getattr(_current, "wait", None)
                if wait is None or rule is None or not rule.throttled:
                    raise
                wait(rule, budget, error)
