"""Puts faults into the AWS calls of the handlers, and lets workers die."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.models import botocore_stubber

from iotpipe.handlers import aws
from tests.support.handlers_world import Clock, Context
from tests.support.no_loss.responses import Exchange, faults_of

SERVICES = ("dynamodb", "sqs", "sns", "ssm")
FAILING, FAILING_IN_OUTAGE = 0.15, 0.95  # shares of the calls
# Shares of the faults that may follow a performed call which are after one. If an outage performed more, one of the
# attempts would succeed, and a reading that is acknowledged wrongly would not be lost.
PERFORMED, PERFORMED_IN_OUTAGE = 0.5, 0.05
DYING = 0.01  # share of the calls
CALL_SECONDS, READ_TIMEOUT = 0.02, 5.0


class Killed(BaseException):
    """The worker dies, and why; handlers must not catch this."""


class Faults:
    """Responds at `before-send`, where botocore sends a request. `outages` is the share of invocations in an outage."""

    def __init__(self, clock: Clock, dice: random.Random, outages: float) -> None:
        self.calls: Counter[str] = Counter()
        self.failed: Counter[tuple[str, str]] = Counter()
        self.outages = 0
        self._clock, self._dice, self._outages = clock, dice, outages
        self._share, self._performed = FAILING, PERFORMED
        self._context = Context(clock)

    def begin(self, context: Context) -> None:
        """Begin an invocation."""
        self._context = context
        outage = self._dice.random() < self._outages
        self.outages += outage
        self._share = FAILING_IN_OUTAGE if outage else FAILING
        self._performed = PERFORMED_IN_OUTAGE if outage else PERFORMED

    def not_met(self) -> list[str]:
        """Return the faults that no call of an operation has met, although the handlers call it."""
        possible = [(operation, fault.__name__) for operation in self.calls for fault in faults_of(operation)]
        return [f"{operation} {fault}" for operation, fault in possible if not self.failed[operation, fault]]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Respond instead of moto, which would perform every request: botocore asks all hooks, not only the first."""
        emitters = [aws.client(service).meta.events for service in SERVICES]
        for events in emitters:
            events.unregister("before-send", botocore_stubber)
            events.register("before-send", self._before_send)
        try:
            yield
        finally:
            for events in emitters:
                events.unregister("before-send", self._before_send)
                events.register("before-send", botocore_stubber)

    def _before_send(self, event_name: str, request: Any, **_: Any) -> Any:
        call = Exchange(event_name, request, self._dice, self._performed, lambda: self._pass(READ_TIMEOUT))
        self.calls[call.operation] += 1
        self._pass(CALL_SECONDS)
        if self._dice.random() < DYING:
            raise Killed("after a call" if call.perform_perhaps() else "before a call")
        if self._dice.random() >= self._share:
            return call.perform()
        fault = self._dice.choice(faults_of(call.operation))
        self.failed[call.operation, fault.__name__] += 1
        return fault(call)

    def _pass(self, seconds: float) -> None:
        """Let time pass. Lambda ends an invocation that exceeds its timeout."""
        self._clock.pass_(seconds)
        if not self._context.get_remaining_time_in_millis():
            raise Killed("timeout")
