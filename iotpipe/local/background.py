"""What SQS and CloudWatch do by themselves, whether anybody asks or not: publish what waits, and look at the alarms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from iotpipe.local import alarms, metrics

_PAUSE = 5.0
"""Seconds between two looks. AWS takes a minute; who tries something out here waits for it."""


async def keep_watch(changed: Callable[[], None], log: Callable[[str], None]) -> None:
    """Go on until cancelled. `changed` is called whenever an alarm has changed its state."""
    last = time.time()
    while True:
        await asyncio.sleep(_PAUSE)
        now = time.time()
        try:
            look(last, now, changed)
        # What ministack trips over must not be the end of all alarms.
        except Exception as error:  # noqa: BLE001
            log(f"cannot look at queues and alarms: {error!r}")
        last = now


def look(last: float, now: float, changed: Callable[[], None]) -> None:
    """Publish what waits now, and evaluate every alarm; `last` is when that was done before."""
    metrics.look_at_the_queues()
    if last // metrics.MINUTE != now // metrics.MINUTE:
        # What came after the last look belongs to a minute that is over: an alarm on one minute looks back no further.
        alarms.look_at_all(last, changed)
        metrics.forget_old()
    alarms.look_at_all(now, changed)
