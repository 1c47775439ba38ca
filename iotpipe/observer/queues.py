"""The depths of the queues, and how they were in the last minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iotpipe.errors import ResourceError
from iotpipe.names import Names
from iotpipe.observer.counts import Grid
from iotpipe.observer.source import Sampled
from iotpipe.operations.queue_client import GONE, QueueClient
from iotpipe.provision.run import Run

_KEPT = 3_600_000
"""Milliseconds for which samples are kept."""
_RECENT = 60_000
_STUCK = 30_000


@dataclass(frozen=True)
class Depth:
    """Messages of one queue, as SQS counts them approximately."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def held(self) -> int:
        """Messages that wait or that somebody looks at: SQS hides what was received, and it stays in the queue."""
        return self.visible + self.in_flight


class Queues(Sampled):
    """Reads the number of messages of the queues; `has_devices` says that there is one of devices.

    `is_gone` says that the processor's queue does not exist.
    """

    def __init__(self, names: Names, local: bool, has_devices: bool) -> None:
        super().__init__("queues", "GetQueueAttributes", 2 if local else 10)
        self._names = names
        self._has_devices = has_devices
        self.devices: Depth | None = None
        self.readings: Depth | None = None
        self.dead_letters: Depth | None = None
        self.is_gone = False
        self._published: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._dead: dict[int, int] = {}

    def read(self, run: Run, now: int) -> None:
        try:
            if self._has_devices:
                self.devices = _depth(run, self._names.device_queue)
            self.readings = _depth(run, self._names.reading_queue)
            self.dead_letters = _depth(run, self._names.dead_letter_queue)
        except ResourceError as error:
            self.is_gone = error.code in GONE
            raise
        self.is_gone = False
        self._waiting[now], self._dead[now] = self.readings.visible, self.dead_letters.held
        if self.devices:
            self._published[now] = self.devices.visible
        for samples in (self._published, self._waiting, self._dead):
            for moment in [moment for moment in samples if moment < now - _KEPT]:
                del samples[moment]

    def waiting(self, grid: Grid) -> Mapping[int, int]:
        """The most messages that waited in each bucket of the grid, by its start, as far as somebody has looked."""
        return _most(self._waiting, grid)

    def published(self, grid: Grid) -> Mapping[int, int]:
        """The same of the queue of devices."""
        return _most(self._published, grid)

    def have_waited(self, now: int) -> bool:
        """Whether messages waited at every look of the last half minute, of which there were several."""
        return _always(self._waiting, now)

    def have_waited_for_ingestion(self, now: int) -> bool:
        """The same of the queue of devices."""
        return _always(self._published, now)

    def have_died(self, now: int) -> bool:
        """Whether messages became dead letters just now."""
        recent = [value for moment, value in self._dead.copy().items() if moment >= now - _RECENT]
        return bool(recent) and recent[-1] > min(recent)


def _most(samples: Mapping[int, int], grid: Grid) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for moment, value in dict(samples).items():
        start = moment // grid.step * grid.step
        found[start] = max(found.get(start, 0), value)
    return found


def _always(samples: Mapping[int, int], now: int) -> bool:
    recent = [value for moment, value in dict(samples).items() if moment >= now - _STUCK]
    return len(recent) > 1 and all(recent)


def _depth(run: Run, name: str) -> Depth:
    numbers = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    answer = QueueClient(run, name).call("read", "get_queue_attributes", AttributeNames=numbers)["Attributes"]
    return Depth(*(int(answer.get(each, 0)) for each in numbers))
