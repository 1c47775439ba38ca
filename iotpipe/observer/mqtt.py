"""What is seen of the way in over MQTT: the topic rule, the queue behind it, and what was refused there."""

from __future__ import annotations

from dataclasses import dataclass

from iotpipe.observer.counts import Counts
from iotpipe.observer.metrics import IOT, Told
from iotpipe.observer.queues import Depth

_RECENT = 300_000
"""Milliseconds. AWS IoT publishes its metrics once a minute, and none for a minute in which nothing happened."""


@dataclass(frozen=True)
class Mqtt:
    """The way in over MQTT. Counts are those of the range, and None is what nobody knows.

    `rate` counts messages per second of the last minute, `refused` the readings that ingestion refused, and the
    messages that it refused as a whole. `not_queued` are messages that the rule could not put into the queue, which are
    dead letters. `lost` are those that are nowhere. `oldest` is in seconds.
    """

    queue: Depth | None
    oldest: float | None
    rate: float | None
    refused: float | None
    not_queued: float | None
    lost: float | None


def mqtt(queue: Depth | None, counts: Counts, told: Told) -> Mqtt:
    """What log lines and metrics tell of it. Only AWS has metrics of the rule."""
    failed, lost_too = (told.total(name, IOT) for name in ("rule failures", "error action failures"))
    dropped = [told.total(name, IOT) for name in ("throttled messages", "messages without rule")]
    lost = _sum(lost_too, *dropped)
    rate = counts.rates.get("messages")
    return Mqtt(
        queue,
        told.latest("oldest of devices"),
        _matched(told) if rate is None else rate,
        counts.totals.get("refused over MQTT"),
        None if failed is None else max(0, failed - (lost_too or 0)),
        lost,
    )


def _matched(told: Told) -> float | None:
    """Messages per second that the rule matched in the last minute that is told."""
    points = told.points.get("matched messages") or {}
    newest = max(points, default=0)
    if not points:
        return None
    return points[newest] * 1000 / told.grid.step if newest >= told.grid.end - max(_RECENT, 2 * told.grid.step) else 0.0


def _sum(*numbers: float | None) -> float | None:
    known = [each for each in numbers if each is not None]
    return sum(known) if known else None
