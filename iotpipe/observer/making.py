"""Makes a snapshot of what the sources of an environment have told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from iotpipe.names import Names
from iotpipe.observer import boxes, words
from iotpipe.observer.alarms import AlarmStates
from iotpipe.observer.connection import Connection
from iotpipe.observer.counts import Counts, Grid, of_lines
from iotpipe.observer.devices import DeviceRows
from iotpipe.observer.enrolment import Enrolment
from iotpipe.observer.log_lines import LogLines
from iotpipe.observer.metrics import Metrics, Told, of_metrics
from iotpipe.observer.mqtt import mqtt
from iotpipe.observer.queues import Queues
from iotpipe.observer.snapshot import RANGES, Devices, Missing, Series, Snapshot, Source
from iotpipe.pipeline.flow import Flow


@dataclass(frozen=True)
class Sources:
    """What tells something of one environment, and the connection over which it is asked."""

    connection: Connection
    queues: Queues
    lines: LogLines
    metrics: Metrics
    alarms: AlarmStates
    devices: DeviceRows
    enrolment: Enrolment


class Maker:
    """Makes snapshots of one environment. It asks nothing: it takes what the sources know."""

    def __init__(
        self, environment: str, names: Names, drawn: Flow, sources: Sources, *, local: bool, has_devices: bool
    ) -> None:
        self._environment = environment
        self._names = names
        self._flow = drawn
        self._sources = sources
        self._local = local
        self._has_devices = has_devices

    def make(self, range_seconds: int, now: int) -> Snapshot:
        """The snapshot of a range at `now`, in epoch milliseconds, with the revision 0."""
        told = self._sources.metrics.told_of(range_seconds, now)
        counts, counted_by = self._counts(range_seconds, now, told)
        seen = self._seen(now, told, counts)
        is_from_metrics = counted_by.from_ == self._sources.metrics.origin
        is_told = (self._sources.metrics.told(now) if is_from_metrics else counted_by).problem is None
        queues, alarms, devices, metrics = (
            each.told(now)
            for each in (self._sources.queues, self._sources.alarms, self._sources.devices, self._sources.metrics)
        )
        run, missing = self._sources.connection.run, self._missing()
        return Snapshot(
            revision=0,
            environment=self._environment,
            account=run.aws.account if run else "",
            region=run.aws.region if run else "",
            local=self._local,
            time=now,
            range=range_seconds,
            every=self._sources.queues.interval,
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

    def _seen(self, now: int, told: Told, counts: Counts) -> boxes.Seen:
        return boxes.Seen(
            names=self._names,
            counts=counts,
            readings=self._sources.queues.readings,
            dead_letters=self._sources.queues.dead_letters,
            have_died=self._sources.queues.have_died(now),
            oldest=told.latest("oldest"),
            oldest_dead=told.latest("oldest dead"),
            refused=self._refused_requests(told, counts),
            failed=told.total("5xx", "AWS/ApiGateway"),
            alerts=told.total("alerts", "AWS/SNS") if not self._local else None,
            devices=self._known_devices(),
            alarms=self._sources.alarms.alarms,
            mqtt=mqtt(self._sources.queues.devices, counts, told) if self._has_devices else None,
        )

    def _refused_requests(self, told: Told, counts: Counts) -> float | None:
        by_api, by_functions = told.total("4xx", "AWS/ApiGateway"), counts.totals.get("refused")
        # The functions' metrics count the messages of devices, too, which their log lines tell apart.
        is_certain = self._has_devices and "messages" not in counts.rates and by_api is not None
        return by_api if is_certain else _most(by_api, by_functions)

    def _stuck(self, now: int, counts: Counts) -> str:
        """What waits and does not move; empty if nothing does."""
        if self._sources.queues.have_waited(now) and counts.rates.get("stored") == 0:
            return "Readings wait in the queue, and none is stored"
        if self._sources.queues.have_waited_for_ingestion(now) and counts.rates.get("accepted") == 0:
            return "Messages of devices wait in their queue, and none is accepted"
        return ""

    def _untold_enrolment(self, now: int) -> Iterator[Source]:
        """The source of enrolments if it cannot be read: nobody asks for them but who looks at devices."""
        if self._sources.enrolment.problem:
            yield self._sources.enrolment.told(now)

    def _counts(self, range_seconds: int, now: int, told: Told) -> tuple[Counts, Source]:
        """The counts, and the source that told them: log lines as long as they can be read and reach that far back."""
        lines, source = self._sources.lines, self._sources.lines.told(now)
        from_lines = self._local or (lines.fits and lines.problem is None and range_seconds == RANGES[0])
        if from_lines:
            tally = lines.tally
            with tally.lock:
                return of_lines(tally, lines.told_until, range_seconds, now), source
        metrics = self._sources.metrics.told(now)
        # Nobody asks for log lines while a longer range is looked at.
        failed = metrics if metrics.problem or range_seconds != RANGES[0] else source
        return of_metrics(told), replace(metrics, name=source.name, problem=failed.problem, since=failed.since)

    def _series(self, counts: Counts, told: Told) -> Series:
        grid = counts.grid
        devices = _waiting(grid, self._sources.queues.published(grid), told, "waiting of devices")
        return Series(
            grid.start,
            grid.step,
            counts.accepted,
            _waiting(grid, self._sources.queues.waiting(grid), told, "waiting"),
            counts.stored,
            counts.p50,
            counts.p95,
            counts.told_until,
            devices if self._has_devices else (),
        )

    def _known_devices(self) -> Devices:
        found, listed = self._sources.devices.list, self._sources.enrolment.list
        enrolled = None if listed.time is None else len(listed.items)
        if found.time is None:
            return Devices(enrolled=enrolled)
        return Devices(len(found.items), sum(each.silent for each in found.items), found.complete, enrolled)

    def _missing(self) -> Missing | None:
        if error := self._sources.connection.error:
            return Missing(error.message, error.hint)
        if self._sources.queues.is_gone:
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
