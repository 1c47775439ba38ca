"""What CloudWatch tells, later than it happens, where log lines are too many or do not reach far enough."""

from __future__ import annotations

from typing import Any

import pytest

from iotpipe.observer import log_lines
from iotpipe.observer.counts import Grid
from iotpipe.observer.metrics import Told, of_metrics
from iotpipe.observer.snapshot import Snapshot
from tests.support.observed_world import NAMES, Observed, said, source

MINUTE = 60_000
INGESTION = {"environment": "dev", "function": "ingestion"}
PROCESSOR = {"environment": "dev", "function": "processor"}
API = {"ApiName": NAMES.rest_api, "Stage": "dev"}


def measured(observed: Observed, ago: int, accepted: float, stored: float) -> None:
    """One minute of the functions' own metrics."""
    observed.metric("iotpipe", "accepted", INGESTION, accepted, ago)
    observed.metric("iotpipe", "rejected", INGESTION, 1, ago)
    observed.metric("iotpipe", "processed", PROCESSOR, stored, ago)


def value(found: Snapshot, name: str) -> tuple[str | None, str]:
    return next((each.value, each.note) for each in found.nodes if each.name == name)


def test_a_missing_minute_is_nothing_only_if_its_namespace_has_told_a_later_one() -> None:
    grid = Grid(0, MINUTE, 5)
    points = {"stored": {0: 6.0}, "accepted": {0: 6.0, 2 * MINUTE: 3.0}}
    told = Told(grid, points, {"iotpipe": 2 * MINUTE})
    assert told.column("stored", "iotpipe") == (6.0, 0.0, None, None, None)
    assert told.column("accepted", "iotpipe") == (6.0, 0.0, 3.0, None, None)
    assert told.column("accepted", "AWS/SQS") == (6.0, None, 3.0, None, None)
    assert told.column("nothing", "AWS/SQS") == (None,) * 5
    assert (told.total("stored", "iotpipe"), told.total("stored", "AWS/SQS")) == (6.0, None)


def test_an_age_is_told_as_long_as_it_is_recent() -> None:
    grid = Grid(0, MINUTE, 60)
    assert Told(grid, {"oldest": {47 * MINUTE: 90.0, 3 * MINUTE: 5.0}}, {}).latest("oldest") == 90.0
    assert Told(grid, {"oldest": {44 * MINUTE: 5.0}}, {}).latest("oldest") is None
    assert Told(Grid(0, 60 * MINUTE, 168), {"oldest": {166 * 60 * MINUTE: 5.0}}, {}).latest("oldest") == 5.0


def test_a_longer_range_on_aws_is_told_by_the_metrics_up_to_the_minute_that_they_know(observed: Observed) -> None:
    for minutes in (30, 5, 3):
        measured(observed, minutes * MINUTE, accepted=60, stored=30)
    observed.log("ingestion", {"route": "/ingest", "status": 200, "accepted": 7})
    found = observed.look(observed.observer(local=False), 3600)
    assert source(found, "counts").from_ == "CloudWatch metrics"
    assert found.summary.startswith("180 readings accepted and 90 stored in an hour")
    newest = (observed.now - 3 * MINUTE) // MINUTE * MINUTE
    assert found.series.told_until == newest + MINUTE
    rates = dict(zip(range(found.series.start, observed.now, MINUTE), found.series.accepted, strict=True))
    assert (rates[newest], rates[newest - MINUTE], rates[newest + MINUTE]) == (1.0, 0.0, None)
    assert [(each.count, each.kind) for each in found.reasons] == [(3, "refused")]


def test_the_metrics_are_those_of_the_suffix_which_the_functions_know(observed: Observed) -> None:
    measured(observed, 3 * MINUTE, accepted=60, stored=30)
    found = observed.look(observed.observer(local=False, environment="staging"), 3600)
    assert (found.environment, found.summary.partition(" ")[0]) == ("staging", "60")


def test_on_aws_lines_that_fit_tell_the_shortest_range_and_too_many_leave_it_to_the_metrics(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_MOST", 3)
    line: dict[str, Any] = {"route": "/ingest", "status": 200, "accepted": 1}
    measured(observed, 3 * MINUTE, accepted=60, stored=30)
    observed.log("ingestion", *[line] * 2, ago=20_000)
    observer = observed.observer(local=False)
    found = observed.look(observer)
    assert source(found, "counts").from_ == "log lines"
    assert found.summary.startswith("2 readings accepted")
    assert found.series.told_until and found.series.told_until < observed.now, "lines come late"
    observed.log("ingestion", *[line] * 2)
    observed.pass_(10)
    found = observed.look(observer)
    assert (source(found, "counts").from_, source(found, "counts").problem) == ("CloudWatch metrics", None)
    assert found.summary.startswith("60 readings accepted")
    observed.pass_(30)
    observed.world.calls.clear()
    observed.look(observer)
    assert "FilterLogEvents" not in observed.world.calls, "the lines are left alone for a while"
    observed.pass_(600)
    assert source(observed.look(observer), "counts").from_ == "log lines"


def test_without_the_right_to_read_logs_the_metrics_count_and_say_so(observed: Observed) -> None:
    measured(observed, 3 * MINUTE, accepted=60, stored=60)
    observed.denied.add("FilterLogEvents")
    found = observed.look(observed.observer(local=False))
    told = source(found, "counts")
    assert (told.from_, told.since) == ("CloudWatch metrics", observed.now)
    assert told.problem and "FilterLogEvents" in told.problem
    assert found.summary.startswith("60 readings accepted")


def test_a_longer_range_has_no_problem_with_the_logs_that_it_does_not_read(observed: Observed) -> None:
    measured(observed, 3 * MINUTE, accepted=60, stored=60)
    observed.denied.add("FilterLogEvents")
    observer = observed.observer(local=False)
    assert source(observed.look(observer), "counts").problem
    assert not source(observed.look(observer, 3600), "counts").problem


def test_metrics_that_cannot_be_read_any_more_do_not_tell_whether_readings_flow(observed: Observed) -> None:
    measured(observed, 3 * MINUTE, accepted=60, stored=60)
    observer = observed.observer(local=False)
    assert said(observed.look(observer, 3600)) == "Readings flow. "
    observed.denied.add("GetMetricData")
    observed.pass_(61)
    assert said(observed.look(observer, 3600)) == "Whether readings flow is not known. "


def test_before_the_metrics_tell_anything_it_is_not_known_whether_readings_flow(observed: Observed) -> None:
    found = observed.look(observed.observer(local=False), 3600)
    assert said(found) == "Whether readings flow is not known. "
    assert value(found, "data-ingestion") == (None, "")


def test_the_api_counts_also_what_no_function_has_seen(observed: Observed) -> None:
    observed.metric("AWS/ApiGateway", "Count", API, 10, 2 * MINUTE)
    observed.metric("AWS/ApiGateway", "4XXError", API, 3, 2 * MINUTE)
    observed.metric("AWS/ApiGateway", "5XXError", API, 1, 2 * MINUTE)
    observed.log("ingestion", {"route": "/ingest", "status": 400, "rejected": 1})
    assert value(observed.look(observed.observer()), "iot-api")[1] == "3 refused, 1 failed"


def test_the_queue_is_told_with_its_oldest_message_and_how_it_was_before_anybody_looked(observed: Observed) -> None:
    queue = {"QueueName": NAMES.reading_queue}
    observed.metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, 179, 5 * MINUTE)
    observed.metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, 2, 1 * MINUTE)
    observed.metric("AWS/SQS", "ApproximateAgeOfOldestMessage", queue, 75, 1 * MINUTE)
    observed.put(NAMES.reading_queue, "a")
    observer = observed.observer()
    found = observed.look(observer)
    assert value(found, "iot-ingestion-queue") == ("1", "0 in flight, oldest 75 s")
    starts = range(found.series.start, observed.now, found.series.step)
    waiting = dict(zip(starts, found.series.waiting, strict=True))
    then = (observed.now - 5 * MINUTE) // MINUTE * MINUTE
    assert [waiting[then + step] for step in (-10_000, 0, 50_000, 60_000)] == [0, 179, 179, 0]
    assert found.series.waiting[-1] == 1, "what was looked at itself"


def test_one_question_a_minute_asks_for_all_metrics(observed: Observed) -> None:
    observer = observed.observer(local=False)
    for _ in range(12):
        observed.look(observer)
        observed.pass_(10)
    assert observed.world.calls.count("GetMetricData") == 2


def test_the_metrics_tell_the_times_to_store_and_what_went_back() -> None:
    names = ("accepted", "refused", "refused queries", "stored", "given back", "p50", "p95", "requests")
    points: dict[str, dict[int, float]] = {name: {} for name in names}
    points["accepted"] = points["stored"] = {0: 60.0, MINUTE: 120.0}
    points["p50"], points["p95"] = {0: 40.0, MINUTE: 60.0, 2 * MINUTE: 41.0}, {MINUTE: 900.0}
    points["refused"], points["given back"], points["requests"] = {0: 2.0}, {MINUTE: 3.0}, {MINUTE: 30.0}
    told = of_metrics(Told(Grid(0, MINUTE, 4), points, {"iotpipe": 2 * MINUTE, "AWS/ApiGateway": MINUTE}))
    assert (told.accepted, told.told_until) == ((1.0, 2.0, None, None), 3 * MINUTE)
    assert (told.p50, told.p95) == ((40.0, 60.0, 41.0, None), (None, 900.0, None, None))
    assert told.totals == {"accepted": 180, "stored": 180, "refused": 2, "given_back": 3, "median_wait": 41}
    assert (told.rates, told.flows) == ({"accepted": 2.0, "stored": 2.0, "requests": 0.5}, True)
    assert [(each.count, each.kind) for each in told.reasons] == [(3, "given back"), (2, "refused")]
    assert told.newest_stored == MINUTE


def test_after_a_pause_the_lines_of_the_whole_range_may_be_read_again(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_MOST", 1)
    line: dict[str, Any] = {"route": "/ingest", "status": 200, "accepted": 1}
    observer = observed.observer(local=False)
    observed.look(observer)
    for seconds, accepted in ((300, 2), (3600, 2)):
        observed.pass_(seconds)
        observed.log("ingestion", line, line, ago=20_000)
        found = observed.look(observer)
        assert source(found, "counts").from_ == "log lines"
        assert found.summary.startswith(f"{accepted} readings accepted")


def test_on_aws_log_lines_are_only_read_for_the_range_that_they_tell(observed: Observed) -> None:
    observed.look(observed.observer(local=False), 3600)
    assert "FilterLogEvents" not in observed.world.calls
