"""One run: readings go through both handlers while AWS fails, and then every row is compared with what was sent."""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import NamedTuple

from tests.support.handlers_world import World
from tests.support.no_loss.clients import KEY, TimedClient, UntimedClient
from tests.support.no_loss.faults import Faults
from tests.support.no_loss.figures import Figures, compare
from tests.support.no_loss.invocations import Invocations
from tests.support.no_loss.queue import Queue
from tests.support.no_loss.samples import processed_facts, raw_facts, timed_readings, untimed_readings

# Requests and batches of the queue are handled in parts, and alerts are frequent.
_SETTINGS = {"require_api_key": True, "batch_size": 30, "alert_threshold": 2, "alert_cooldown": 30}
_MAX_BACKLOG = 400  # messages in the queue


class Size(NamedTuple):
    """How many readings with and without a time there are, and the share of invocations in an outage."""

    seed: int
    timed: int
    untimed: int
    outages: float


class Run:
    """The handlers, their senders and their queue, all with the same dice."""

    def __init__(self, world: World, new_worker: Callable[[], None], size: Size) -> None:
        dice = random.Random(size.seed)
        world.clock.jitter = dice.random
        world.configure(**_SETTINGS)
        world.set_key(KEY)
        self._world, self._dice, self._readings = world, dice, size.timed + size.untimed
        self.faults = Faults(world.clock, dice, size.outages)
        self.invocations = Invocations(world, new_worker, self.faults, dice, limit=1000 + self._readings)
        self.queue = Queue(world, self.invocations, dice)
        self.timed = TimedClient(timed_readings(size.timed, dice), self.invocations, dice)
        self.untimed = UntimedClient(untimed_readings(size.untimed, dice), self.invocations, dice, world.clock)

    def figures(self) -> Figures:
        """Send all readings, deliver all messages, and return the figures."""
        with self.faults.active(), _quiet():
            self._send_and_deliver()
        return self._judge()

    def _send_and_deliver(self) -> None:
        clients: list[TimedClient | UntimedClient] = [self.timed] * 9 + [self.untimed]
        while clients := [client for client in clients if not client.is_done()]:
            self._dice.choice(clients).send_one()
            self.queue.collect()
            backlog = self._dice.randrange(_MAX_BACKLOG)
            while len(self.queue) > backlog:
                self.queue.deliver()
        while len(self.queue):
            self.queue.deliver()

    def _judge(self) -> Figures:
        expected = Counter(self.timed.acknowledged) + self.untimed.acknowledged
        raw = compare(expected, Counter(map(raw_facts, self._world.rows(self._world.raw))))
        processed = compare(expected, Counter(map(processed_facts, self._world.rows(self._world.processed))))
        failed = self.faults.failed
        return Figures(
            readings=self._readings,
            distinct_readings=len(self.timed.sent) + self.untimed.sent,
            acknowledged=expected.total(),
            raw_table=raw,
            processed_table=processed,
            invocations=self.invocations.count,
            in_an_outage=self.faults.outages,
            with_little_time=self.invocations.hurried,
            in_new_workers=self.invocations.new_workers,
            workers_killed=dict(self.invocations.killed),
            answers=dict(self.timed.answers + self.untimed.answers),
            requests_sent_once_more=self.timed.once_more + self.untimed.once_more,
            messages=self.queue.messages,
            messages_handed_back=dict(self.queue.handed_back),
            delivered_though_done=self.queue.delivered_again,
            calls=dict(self.faults.calls),
            failed_calls=_counted(operation for operation, _ in failed.elements()),
            faults=_counted(fault for _, fault in failed.elements()),
            faults_not_met=self.faults.not_met(),
        )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names))


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop the log lines of all the invocations."""
    logging.disable()
    try:
        with open(os.devnull, "w") as sink, redirect_stdout(sink):
            yield
    finally:
        logging.disable(logging.NOTSET)
