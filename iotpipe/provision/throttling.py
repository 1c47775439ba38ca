"""A throttled call had no effect: it is made again by itself, and what was done before it is not done anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from iotpipe.provision.retry_rules import Patience, Rule, rule_for

Wait = Callable[[Rule, Patience, ClientError], None]
"""Waits until the call may be made again, or raises."""

_unit = threading.local()


@contextmanager
def waited_out(wait: Wait) -> Iterator[None]:
    """Let the calls that this thread makes meanwhile be made again after `wait` when AWS has throttled them."""
    before = getattr(_unit, "wait", None)
    _unit.wait = wait
    try:
        yield
    finally:
        _unit.wait = before


def repeat_calls(events: Any) -> None:
    """Have the clients that are made with these events (botocore's) from now on make their throttled calls again."""
    events.register("creating-client-class", _mix_in)


def _mix_in(base_classes: list[type], **ignored: Any) -> None:
    base_classes.insert(0, _Repeating)


class _Repeating:
    """The first base of the client classes. Here all calls come by, those of paginators too.

    botocore's own retries would not do: they sleep whatever happens, tell nobody why, and repeat as well what may have
    had an effect.
    """

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        patience = Patience()
        while True:
            try:
                return super()._make_api_call(operation_name, dict(api_params))  # type: ignore[misc] # BaseClient's
            except ClientError as error:
                rule, wait = rule_for(error), getattr(_unit, "wait", None)
                if wait is None or rule is None or not rule.throttled:
                    raise
                wait(rule, patience, error)
