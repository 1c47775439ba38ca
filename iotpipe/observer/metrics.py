"""CloudWatch's metrics as a source: of the API and the queues, and of the functions where log lines are too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from iotpipe.names import Names
from iotpipe.observer.counts import Counts, Grid, unknown
from iotpipe.observer.snapshot import Reason
from iotpipe.observer.source import Sampled
from iotpipe.provision.run import Run

PERIODS = {900: 60, 3600: 60, 21_600: 300, 86_400: 900, 604_800: 3600}
"""Seconds of a data point, by the seconds of the range."""

_RECENT = 900_000
"""Milliseconds. SQS publishes once a minute, some minutes late."""

_OWN, _API, _SQS, _SNS = "iotpipe", "AWS/ApiGateway", "AWS/SQS", "AWS/SNS"
IOT = "AWS/IoT"
"""The namespace of topic rules."""

Points = Mapping[int, float]
"""Values by the start of their period, in epoch milliseconds."""


@dataclass(frozen=True)
class _Metric:
    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str = "Sum"

    def query(self, number: int, period: int) -> dict[str, Any]:
        """The metric as GetMetricData asks for it."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions.items()]
        metric = {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions}
        return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": period, "Stat": self.statistic}}


@dataclass(frozen=True)
class Told:
    """What CloudWatch told of a range by short names, and the newest period that each namespace has told."""

    grid: Grid
    points: Mapping[str, Points] = field(default_factory=dict)
    newest: Mapping[str, int] = field(default_factory=dict)

    def total(self, name: str, namespace: str) -> float | None:
        """The sum of a count; None if its namespace has told nothing of this time, or nobody asks for the count."""
        return sum(self.points[name].values()) if namespace in self.newest and name in self.points else None

    def column(self, name: str, namespace: str) -> tuple[float | None, ...]:
        """A count per bucket. A missing one is 0 only if its namespace has told a later one, else unknown."""
        newest, points = self.newest.get(namespace, -1), self.points.get(name, {})
        return tuple(points.get(start, 0.0 if start < newest else None) for start in self.grid.starts)

    def latest(self, name: str) -> float | None:
        """The newest value; None if there is none of the last 15 minutes, which says nothing about the present."""
        points = self.points.get(name) or {}
        newest = max(points, default=0)
        return points[newest] if newest >= self.grid.end - max(_RECENT, 2 * self.grid.step) else None


class Metrics(Sampled):
    """Asks for all metrics with one GetMetricData per range that somebody looks at.

    The embedded CloudWatch does not read the functions' own metrics out of their log lines.
    """

    def __init__(self, names: Names, stage: str, local: bool, has_devices: bool) -> None:
        super().__init__("metrics", "CloudWatch metrics", 10 if local else 60)
        self._metrics = dict(_metrics(names, stage, with_own=not local))
        if has_devices:
            self._metrics |= _of_devices(names, with_own=not local)
        self._wanted: set[int] = set()
        self._told: dict[int, Told] = {}

    def want(self, range_seconds: int) -> None:
        """Ask for this range too; at once if it was never asked for."""
        self._wanted.add(range_seconds)
        if range_seconds not in self._told:
            self._asked = None

    def told_of(self, range_seconds: int, now: int) -> Told:
        """What was told last of a range."""
        return self._told.get(range_seconds) or Told(Grid.of(range_seconds, now, PERIODS[range_seconds] * 1000))

    def read(self, run: Run, now: int) -> None:
        wanted, self._wanted = self._wanted, set()
        self._told = {each: told for each, told in self._told.items() if each in wanted}
        for range_seconds in sorted(wanted):
            self._told[range_seconds] = self._ask(run, now, range_seconds)

    def _ask(self, run: Run, now: int, range_seconds: int) -> Told:
        period = PERIODS[range_seconds]
        grid = Grid.of(range_seconds, now, period * 1000)

        def read(attempt: int) -> list[dict[str, Any]]:
            pages = (
                run.client("cloudwatch")
                .get_paginator("get_metric_data")
                .paginate(
                    MetricDataQueries=[each.query(*at) for each, at in self._numbered(period)],
                    StartTime=datetime.fromtimestamp(grid.start / 1000, UTC),
                    EndTime=datetime.fromtimestamp(grid.end / 1000, UTC),
                )
            )
            return [result for page in pages for result in page["MetricDataResults"]]

        results = run.with_retries("read", "the metrics", read)
        points: dict[str, dict[int, float]] = {name: {} for name in self._metrics}
        newest: dict[str, int] = {}
        names = list(self._metrics)
        for result in results:
            name = names[int(result["Id"][1:])]
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
                start = int(moment.timestamp()) // period * period * 1000
                points[name][start] = value
                namespace = self._metrics[name].namespace
                newest[namespace] = max(newest.get(namespace, 0), start)
        return Told(grid, points, newest)

    def _numbered(self, period: int) -> Iterator[tuple[_Metric, tuple[int, int]]]:
        return ((each, (number, period)) for number, each in enumerate(self._metrics.values()))


def _metrics(names: Names, stage: str, with_own: bool) -> Iterator[tuple[str, _Metric]]:
    api = {"ApiName": names.rest_api, "Stage": stage}
    yield "requests", _Metric(_API, "Count", api)
    yield "4xx", _Metric(_API, "4XXError", api)
    yield "5xx", _Metric(_API, "5XXError", api)
    queue, dead = {"QueueName": names.reading_queue}, {"QueueName": names.dead_letter_queue}
    yield "waiting", _Metric(_SQS, "ApproximateNumberOfMessagesVisible", queue, "Maximum")
    yield "oldest", _Metric(_SQS, "ApproximateAgeOfOldestMessage", queue, "Maximum")
    yield "oldest dead", _Metric(_SQS, "ApproximateAgeOfOldestMessage", dead, "Maximum")
    if not with_own:
        return
    yield "alerts", _Metric(_SNS, "NumberOfMessagesPublished", {"TopicName": names.topic})
    ingestion, processor, query = (
        # The functions take the environment's name from the path of their settings, which has the suffix.
        {"environment": names.suffix, "function": each}
        for each in ("ingestion", "processor", "query")
    )
    yield "accepted", _Metric(_OWN, "accepted", ingestion)
    yield "refused", _Metric(_OWN, "rejected", ingestion)
    yield "refused queries", _Metric(_OWN, "rejected", query)
    yield "stored", _Metric(_OWN, "processed", processor)
    yield "given back", _Metric(_OWN, "failed", processor)
    yield "p50", _Metric(_OWN, "wait", processor, "p50")
    yield "p95", _Metric(_OWN, "wait", processor, "p95")


def _of_devices(names: Names, with_own: bool) -> Iterator[tuple[str, _Metric]]:
    queue = {"QueueName": names.device_queue}
    yield "waiting of devices", _Metric(_SQS, "ApproximateNumberOfMessagesVisible", queue, "Maximum")
    yield "oldest of devices", _Metric(_SQS, "ApproximateAgeOfOldestMessage", queue, "Maximum")
    if not with_own:
        return
    rule = {"RuleName": names.device_rule}
    action = rule | {"ActionType": "SQS"}
    yield "matched messages", _Metric(IOT, "TopicMatch", rule)
    yield "rule failures", _Metric(IOT, "Failure", action)
    yield "error action failures", _Metric(IOT, "ErrorActionFailure", action)
    yield "throttled messages", _Metric(IOT, "RuleMessageThrottled", rule)
    yield "messages without rule", _Metric(IOT, "RuleNotFound", rule)
    yield "refused readings", _Metric(_OWN, "refused_readings", {"environment": names.suffix, "function": "ingestion"})


def of_metrics(told: Told) -> Counts:
    """What the functions' own metrics tell. Of the reasons they know only the numbers."""
    if _OWN not in told.newest or "accepted" not in told.points:
        return unknown(told.grid)
    seconds, newest = told.grid.step / 1000, told.newest[_OWN]
    accepted, stored = (
        tuple(each if each is None else each / seconds for each in told.column(name, _OWN))
        for name in ("accepted", "stored")
    )
    p50, p95 = (tuple(told.points[name].get(start) for start in told.grid.starts) for name in ("p50", "p95"))
    refused = sum(
        told.points[name].get(start, 0) for name in ("refused", "refused queries") for start in told.grid.starts
    )
    refused_readings = told.total("refused readings", _OWN)
    given_back = told.total("given back", _OWN) or 0
    waits = sorted(told.points["p50"].values())
    reasons = (
        Reason(
            int(refused),
            "invalid requests",
            "refused with 400; the log lines are too many to be read",
            newest,
            "refused",
        ),
        Reason(
            int(refused_readings or 0),
            "readings that devices published",
            "refused over MQTT; the log lines are too many to be read",
            newest,
            "refused",
        ),
        Reason(int(given_back), "messages that could not be stored", "given back to the queue", newest, "given back"),
    )
    requests = told.column("requests", _API)
    return Counts(
        told.grid,
        newest + told.grid.step,
        accepted,
        stored,
        p50,
        p95,
        totals={
            "accepted": told.total("accepted", _OWN),
            "stored": told.total("stored", _OWN),
            "refused": refused,
            "given_back": given_back,
            "median_wait": waits[len(waits) // 2] if waits else None,
            **({} if refused_readings is None else {"refused over MQTT": refused_readings}),
        },
        rates={
            "accepted": _last(accepted),
            "stored": _last(stored),
            "requests": None if (last := _last(requests)) is None else last / seconds,
        },
        flows=bool(_last(accepted)),
        newest_stored=max((start for start, value in told.points["stored"].items() if value), default=None),
        reasons=tuple(sorted((each for each in reasons if each.count), key=lambda each: -each.count)),
    )


def _last(column: Sequence[float | None]) -> float | None:
    return next((each for each in reversed(column) if each is not None), None)
