"""Invokes the handlers as Lambda does: some workers are new, some have little time left, some die."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.handlers_world import World
from tests.support.no_loss.faults import Faults, Killed

NEW_WORKER, LITTLE_TIME = 0.02, 0.10  # shares of the invocations
SECONDS, FEW_SECONDS = 60, 3
_MAX_PAUSE = 2  # seconds between two invocations

Handler = Callable[[Any, Any], dict[str, Any]]


class Invocations:
    """`new_worker` empties the caches of the handlers. A run that needs more than `limit` invocations never ends.

    An exception of a handler ends the run: no fault of AWS may cause one.
    """

    def __init__(
        self, world: World, new_worker: Callable[[], None], faults: Faults, dice: random.Random, limit: int
    ) -> None:
        self._world, self._new_worker, self._faults, self._dice = world, new_worker, faults, dice
        self._limit = limit
        self.count = self.new_workers = self.hurried = 0
        self.killed: Counter[str] = Counter()

    def invoke(self, handler: Handler, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return the handler's answer, or None if the worker died."""
        self.count += 1
        assert self.count <= self._limit, "readings or messages are retried without end"
        self._world.clock.pass_(self._dice.random() * _MAX_PAUSE)
        if self._dice.random() < NEW_WORKER:
            self.new_workers += 1
            self._new_worker()
        hurried = self._dice.random() < LITTLE_TIME
        self.hurried += hurried
        context = self._world.context(FEW_SECONDS if hurried else SECONDS)
        self._faults.begin(context)
        try:
            return handler(event, context)
        except Killed as killed:
            self.killed[str(killed)] += 1
            self._new_worker()
            return None
