"""Keeps what was seen of one environment, and asks its sources when somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from iotpipe.names import Names
from iotpipe.observer import boxes, enrolment, words
from iotpipe.observer.alarms import AlarmStates
from iotpipe.observer.connection import Connection
from iotpipe.observer.counts import Counts, Grid, of_lines
from iotpipe.observer.devices import DeviceRows
from iotpipe.observer.enrolment import Enrolment
from iotpipe.observer.log_lines import LogLines
from iotpipe.observer.metrics import Metrics, Told, of_metrics
from iotpipe.observer.mqtt import mqtt
from iotpipe.observer.queues import Queues
from iotpipe.observer.snapshot import RANGES, DeviceList, Devices, EnrolmentList, Missing, Series, Snapshot, Source
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
        self._environment = environment
        self._names = Names(suffix)
        self._local = local
        self._patience = patience
        self._clock = clock or RealClock()
        self._connection = Connection(connect, self._clock)
        self._flow = flow(resources)
        stage = next((each.name for each in resources if isinstance(each, Stage)), environment)
        self._tables = Tables(self._names)
        self._has_devices = any(isinstance(each, TopicRule) for each in resources)
        self._lines = LogLines(self._names, local)
        self._metrics = Metrics(self._names, stage, local, self._has_devices)
        self._queues = Queues(self._names, local, self._has_devices)
        self._alarms = AlarmStates([each.name for each in resources if isinstance(each, Alarm)], local)
        self._devices = DeviceRows(self._tables, local)
        self._enrolment = Enrolment(self._names, local)
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
            return self._make(range_seconds)

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

    def _make(self, range_seconds: int) -> Snapshot:
        now = self._now()
        told = self._metrics.told_of(range_seconds, now)
        counts, counted_by = self._counts(range_seconds, now, told)
        seen = self._seen(now, told, counts)
        is_from_metrics = counted_by.from_ == self._metrics.origin
        is_told = (self._metrics.told(now) if is_from_metrics else counted_by).problem is None
        queues, alarms, devices, metrics = (
            each.told(now) for each in (self._queues, self._alarms, self._devices, self._metrics)
        )
        run, missing = self._connection.run, self._missing()
        made = Snapshot(
            revision=self._revision,
            environment=self._environment,
            account=run.aws.account if run else "",
            region=run.aws.region if run else "",
            local=self._local,
            time=now,
            range=range_seconds,
            every=self.every,
            sentence=words.sentence(
                missing,
                counts if is_told else None,
                range_seconds,
                self._stuck(now, counts),
                seen.dead_letters.held if seen.dead_letters else None,
                seen.devices,
                seen.alarms,
            ),
            summary=words.summary(counts.totals, range_seconds),
            nodes=boxes.nodes(self._flow, seen),
            edges=boxes.edges(self._flow, seen),
            series=self._series(counts, told),
            reasons=counts.reasons,
            alarms=seen.alarms,
            sources=(queues, counted_by, alarms, devices, metrics, *self._untold_enrolment(now)),
            devices=seen.devices,
            missing=missing,
        )
        return self._numbered(range_seconds, made)

    def _seen(self, now: int, told: Told, counts: Counts) -> boxes.Seen:
        return boxes.Seen(
            names=self._names,
            counts=counts,
            readings=self._queues.readings,
            dead_letters=self._queues.dead_letters,
            have_died=self._queues.have_died(now),
            oldest=told.latest("oldest"),
            oldest_dead=told.latest("oldest dead"),
            refused=self._refused_requests(told, counts),
            failed=told.total("5xx", "AWS/ApiGateway"),
            alerts=told.total("alerts", "AWS/SNS") if not self._local else None,
            devices=self._known_devices(),
            alarms=self._alarms.alarms,
            mqtt=mqtt(self._queues.devices, counts, told) if self._has_devices else None,
        )

    def _refused_requests(self, told: Told, counts: Counts) -> float | None:
        by_api, by_functions = told.total("4xx", "AWS/ApiGateway"), counts.totals.get("refused")
        # The functions' metrics count the messages of devices, too, which their log lines tell apart.
        is_certain = self._has_devices and "messages" not in counts.rates and by_api is not None
        return by_api if is_certain else _most(by_api, by_functions)

    def _stuck(self, now: int, counts: Counts) -> str:
        """What waits and does not move; empty if nothing does."""
        if self._queues.have_waited(now) and counts.rates.get("stored") == 0:
            return "Readings wait in the queue, and none is stored"
        if self._queues.have_waited_for_ingestion(now) and counts.rates.get("accepted") == 0:
            return "Messages of devices wait in their queue, and none is accepted"
        return ""

    def _untold_enrolment(self, now: int) -> Iterator[Source]:
        """The source of enrolments if it cannot be read: nobody asks for them but who looks at devices."""
        if self._enrolment.problem:
            yield self._enrolment.told(now)

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

    def _counts(self, range_seconds: int, now: int, told: Told) -> tuple[Counts, Source]:
        """The counts, and the source that told them: log lines as long as they can be read and reach that far back."""
        lines, source = self._lines, self._lines.told(now)
        from_lines = self._local or (lines.fits and lines.problem is None and range_seconds == RANGES[0])
        if from_lines:
            tally = lines.tally
            with tally.lock:
                return of_lines(tally, lines.told_until, range_seconds, now), source
        metrics = self._metrics.told(now)
        # Nobody asks for log lines while a longer range is looked at.
        failed = metrics if metrics.problem or range_seconds != RANGES[0] else source
        return of_metrics(told), replace(metrics, name=source.name, problem=failed.problem, since=failed.since)

    def _series(self, counts: Counts, told: Told) -> Series:
        grid = counts.grid
        devices = _waiting(grid, self._queues.published(grid), told, "waiting of devices")
        return Series(
            grid.start,
            grid.step,
            counts.accepted,
            _waiting(grid, self._queues.waiting(grid), told, "waiting"),
            counts.stored,
            counts.p50,
            counts.p95,
            counts.told_until,
            devices if self._has_devices else (),
        )

    def _known_devices(self) -> Devices:
        found, listed = self._devices.list, self._enrolment.list
        enrolled = None if listed.time is None else len(listed.items)
        if found.time is None:
            return Devices(enrolled=enrolled)
        return Devices(len(found.items), sum(each.silent for each in found.items), found.complete, enrolled)

    def _missing(self) -> Missing | None:
        if error := self._connection.error:
            return Missing(error.message, error.hint)
        if self._queues.is_gone:
            return Missing(f"{self._environment} is not up", f"`iotpipe up --env {self._environment}` brings it up")
        return None


def _waiting(grid: Grid, looked: Mapping[int, int], told: Told, name: str) -> tuple[int | None, ...]:
    """The messages of a queue per bucket: what was looked at here, and else what SQS has published."""
    published = told.column(name, "AWS/SQS")
    found: list[int | None] = []
    for start in grid.starts:
        number = (start - told.grid.start) // told.grid.step
        value = published[number] if 0 <= number < len(published) else None
        found.append(looked.get(start, None if value is None else int(value)))
    return tuple(found)


def _most(*numbers: float | None) -> float | None:
    return max((each for each in numbers if each is not None), default=None)
