"""The background work of SQS and CloudWatch: publish the queues' metrics and evaluate the alarms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from iotpipe.local import alarms, metrics

_INTERVAL = 5.0
"""Seconds between two evaluations. AWS takes a minute; somebody who tries an alarm out here waits for it."""


async def run(on_change: Callable[[], None], log: Callable[[str], None]) -> None:
    """Evaluate until cancelled; calls `on_change` when an alarm changes its state."""
    last = time.time()
    while True:
        await asyncio.sleep(_INTERVAL)
        now = time.time()
        try:
            evaluate(last, now, on_change)
        # An error in ministack must not stop all later evaluations.
        except Exception as error:  # noqa: BLE001
            log(f"cannot evaluate queues and alarms: {error!r}")
        last = now


def evaluate(last: float, now: float, on_change: Callable[[], None]) -> None:
    """Publish the queues' metrics and evaluate every alarm; `last` is the time of the previous evaluation."""
    metrics.publish_queue_metrics()
    if last // metrics.MINUTE != now // metrics.MINUTE:
        # Data since `last` belongs to the previous minute, which an alarm with a period of one minute no longer sees.
        alarms.evaluate_all(last, on_change)
        metrics.delete_old()
    alarms.evaluate_all(now, on_change)
