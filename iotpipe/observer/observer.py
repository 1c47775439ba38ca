"""Keeps what was seen of one environment, and asks its sources when somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from iotpipe.names import Names
from iotpipe.observer import enrolment
from iotpipe.observer.alarms import AlarmStates
from iotpipe.observer.connection import Connection
from iotpipe.observer.devices import DeviceRows
from iotpipe.observer.enrolment import Enrolment
from iotpipe.observer.log_lines import LogLines
from iotpipe.observer.making import Maker, Sources
from iotpipe.observer.metrics import Metrics
from iotpipe.observer.queues import Queues
from iotpipe.observer.snapshot import RANGES, DeviceList, EnrolmentList, Snapshot
from iotpipe.observer.source import Sampled
from iotpipe.observer.tables import Tables
from iotpipe.operations.dead_letters import peek
from iotpipe.operations.queue_client import QueueClient
from iotpipe.pipeline.flow import flow
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.topic_rule import TopicRule
from iotpipe.provision.run import Clock, RealClock, Run

_DEAD_LETTERS = 100
"""Dead letters of one look."""


class Observer:
    """Looks at one environment. Its methods are thread-safe and change nothing.

    `connect` returns a connection, again after one was lost; it raises IotpipeError if there is nothing to connect to.
    Its run should not be patient: what fails is tried again at the next look. `local` says whether the environment is
    on this machine, where looking costs nothing. Somebody who looks waits for `patience` seconds at most; what was not
    told by then is told later. Without it everybody waits for everything.
    """

    def __init__(
        self,
        environment: str,
        connect: Callable[[], Run],
        resources: Sequence[Resource],
        suffix: str,
        *,
        local: bool,
        patience: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._names = Names(suffix)
        self._local = local
        self._patience = patience
        self._clock = clock or RealClock()
        self._connection = Connection(connect, self._clock)
        stage = next((each.name for each in resources if isinstance(each, Stage)), environment)
        self._tables = Tables(self._names)
        self._has_devices = any(isinstance(each, TopicRule) for each in resources)
        self._lines = LogLines(self._names, local)
        self._metrics = Metrics(self._names, stage, local, self._has_devices)
        self._queues = Queues(self._names, local, self._has_devices)
        self._alarms = AlarmStates([each.name for each in resources if isinstance(each, Alarm)], local)
        self._devices = DeviceRows(self._tables, local)
        self._enrolment = Enrolment(self._names, local)
        self._maker = Maker(
            environment,
            self._names,
            flow(resources),
            Sources(
                self._connection,
                self._queues,
                self._lines,
                self._metrics,
                self._alarms,
                self._devices,
                self._enrolment,
            ),
            local=local,
            has_devices=self._has_devices,
        )
        self._asking = threading.Lock()
        self._reading_devices = threading.Lock()
        self._reading_enrolment = threading.Lock()
        self._making = threading.Lock()
        self._made: dict[int, Snapshot] = {}
        self._revision = 0

    @property
    def every(self) -> float:
        """Seconds after which looking again is worth it."""
        return self._queues.interval

    def snapshot(self, range_seconds: int = RANGES[0]) -> Snapshot:
        """What is known now; sources that are due are asked first. Raises ValueError for another range.

        Whoever asks while another thread asks the sources gets what is known, without waiting.
        """
        if range_seconds not in RANGES:
            raise ValueError(f"{range_seconds} is none of {RANGES}")
        for source in self._sources(range_seconds):
            source.expect(self._now())
        self._alone(self._asking, lambda: self._ask(range_seconds), range_seconds in self._made)
        with self._making:
            return self._numbered(range_seconds, self._maker.make(range_seconds, self._now()))

    def devices(self) -> DeviceList:
        """The devices, read again if that is due. Before they could be read, the time is None."""
        is_known = self._patience is not None and self._devices.list.time is not None
        self._alone(self._reading_devices, self._read_devices, is_known)
        return self._devices.list

    def enrolment(self) -> EnrolmentList:
        """The devices that are enrolled for MQTT, read again if that is due. Without MQTT nothing is asked."""
        if not self._has_devices:
            return EnrolmentList(None, enabled=False)
        is_known = self._patience is not None and self._enrolment.list.time is not None
        self._alone(self._reading_enrolment, self._read_enrolment, is_known)
        return replace(self._enrolment.list, problem=self._enrolment.problem)

    def device(self, device_id: str) -> dict[str, Any]:
        """The certificates of one device and whether it is connected, asked for now. Raises IotpipeError."""
        return enrolment.details(self._connection.need(), self._names, device_id)

    def series(
        self,
        devices: Sequence[str],
        metrics: Sequence[str],
        every: str,
        start: int,
        end: int,
        gone: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """The answer of GET /query with `every`, all its pages joined, with at most 5,000 buckets.

        `start` and `end` are epoch milliseconds. As soon as nobody waits for the answer, which `gone` tells, no more
        rows are read, and what is returned or raised is worth nothing. Raises UsageError if a parameter is not valid,
        and IotpipeError if the table cannot be read.
        """
        asked = {"device_id": devices, "every": [every], "from": [str(start)], "to": [str(end)]}
        return self._tables.series(self._connection.need(), asked | ({"metric": metrics} if metrics else {}), gone)

    def rows(self, device: str, table: str, limit: int) -> list[str]:
        """The newest rows of the table "processed" or "raw", newest first, each as JSON text with all digits.

        Raises UsageError if a parameter is not valid, and IotpipeError if the table cannot be read.
        """
        return self._tables.rows(self._connection.need(), device, table, limit)

    def dead_letters(self) -> dict[str, Any]:
        """The first 100 dead letters, which stay in their queue: `looked_at`, `total` and `items`.

        Raises IotpipeError if they cannot be read.
        """
        run = self._connection.need()
        names = self._names
        queue, source, devices = (
            QueueClient(run, name) for name in (names.dead_letter_queue, names.reading_queue, names.device_queue)
        )
        dead = peek(queue, source, _DEAD_LETTERS, devices)
        items = [
            {
                "id": letter.message_id,
                "sent": letter.sent,
                "receives": letter.receives,
                "device": letter.device_id,
                "reason": dead.reason(letter),
                "failure": letter.failure,
                "payload": letter.payload,
                "body": letter.body,
            }
            for letter in dead.letters
        ]
        return {"looked_at": self._now(), "total": dead.approximate_total, "items": items}

    def _now(self) -> int:
        return int(self._clock.now() * 1000)

    def _alone(self, lock: threading.Lock, work: Callable[[], None], is_known: bool) -> None:
        """Do the work unless another thread does it; wait for that only if nothing is known yet."""
        if not lock.acquire(timeout=0 if is_known else -1 if self._patience is None else self._patience):
            return
        failures: list[Exception] = []

        def done() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whoever waits for the work raises it
                failures.append(error)
            finally:
                lock.release()

        if self._patience is None:
            done()
        else:
            # A call that gets no answer takes a minute.
            thread = threading.Thread(target=done, daemon=True)
            thread.start()
            thread.join(self._patience)
        if failures:
            raise failures[0]

    def _read_enrolment(self) -> None:
        if run := self._connection.get([self._enrolment]):
            self._enrolment.sample(run)

    def _read_devices(self) -> None:
        if run := self._connection.get([self._devices]):
            self._devices.sample(run)

    def _sources(self, range_seconds: int) -> list[Sampled]:
        """Whatever tells something of a range, in the order of reading."""
        has_lines = self._local or range_seconds == RANGES[0]
        return [self._queues, *([self._lines] if has_lines else []), self._alarms, self._metrics]

    def _ask(self, range_seconds: int) -> None:
        sources = self._sources(range_seconds)
        if self._lines in sources:
            self._lines.want(range_seconds)
        self._metrics.want(range_seconds)
        run = self._connection.get([*sources, self._devices])
        if run is None:
            return
        for source in sources:
            source.sample(run)
        # Many devices take seconds, for which no other number has to wait.
        if self._devices.is_due(self._clock.now()) and not self._devices.is_busy:
            threading.Thread(target=self._devices.sample, args=(run,), daemon=True).start()

    def _numbered(self, range_seconds: int, made: Snapshot) -> Snapshot:
        """The snapshot with the revision of the one before, or with the next if it says something else."""
        before = self._made.get(range_seconds)
        if before is None or not made.same_as(before):
            self._revision += 1
            made = replace(made, revision=self._revision)
        else:
            made = replace(made, revision=before.revision)
        self._made[range_seconds] = made
        return made
