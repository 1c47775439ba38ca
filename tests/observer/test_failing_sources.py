"""A source that fails leaves the others, says since when, and comes back by itself."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import EndpointConnectionError

from iotpipe.errors import CredentialsError, ResourceError
from iotpipe.handlers import clock
from tests.support.engine_world import refusal
from tests.support.local_machine import eventually
from tests.support.observed_world import NAMES, Observed, said, source

SOURCES = {
    "queues": "GetQueueAttributes",
    "counts": "FilterLogEvents",
    "alarms": "DescribeAlarms",
    "metrics": "GetMetricData",
    "devices": "Scan",
}


@pytest.mark.parametrize(("name", "operation"), SOURCES.items())
def test_a_source_without_the_right_leaves_the_others_and_comes_back(
    observed: Observed, name: str, operation: str
) -> None:
    observed.log("ingestion", {"route": "/ingest", "status": 200, "accepted": 1})
    observed.put(NAMES.dead_letter_queue, "a")
    observed.store("roof", 1000)
    observer = observed.observer()
    before = observed.look(observer)
    observed.denied.add(operation)
    observed.pass_(60)
    failed = observed.now
    observed.look(observer)
    observed.pass_(60)
    found = observed.look(observer)
    assert [each.name for each in found.sources if each.problem] == [name]
    told = source(found, name)
    assert told.problem and operation in told.problem
    assert (told.as_of, told.since) == (source(before, name).as_of, failed)
    assert all(each.as_of == observed.now for each in found.sources if each.name != name)
    flows = "Whether readings flow is not known." if name == "counts" else "Readings came, but none in the last minute."
    assert said(found) == f"{flows} 1 dead letter waits."
    observed.denied.clear()
    observed.pass_(60)
    told = source(observed.look(observer), name)
    assert (told.problem, told.since, told.as_of) == (None, None, observed.now)


@pytest.mark.parametrize(("name", "operation"), [("queues", "GetQueueAttributes"), ("alarms", "DescribeAlarms")])
def test_a_source_that_does_not_answer_is_told_while_it_is_waited_for(
    observed: Observed, name: str, operation: str
) -> None:
    hung, goes_on = threading.Event(), threading.Event()

    def hang(called: str, parameters: dict[str, object]) -> None:
        if called == operation and not goes_on.is_set():
            hung.set()
            assert goes_on.wait(20)

    asked = observed.now
    observed.world.before = hang
    observer = observed.observer(patience=0)
    found = observer.snapshot()
    assert hung.wait(20)
    assert not any(each.problem for each in found.sources), "a moment is no reason to worry"
    for _ in range(2):
        observed.pass_(11)
        found = observer.snapshot()
    assert source(found, name).since == asked
    assert {each.problem for each in found.sources if each.name != "devices"} == {"no answer yet"}
    assert said(found).startswith("Whether readings flow is not known.")
    goes_on.set()
    eventually(lambda: not any(each.problem for each in observer.snapshot().sources))


def test_many_devices_are_not_waited_for(observed: Observed) -> None:
    goes_on = threading.Event()

    def hang(called: str, parameters: dict[str, object]) -> None:
        assert called != "Scan" or goes_on.wait(20)

    observed.store("roof", 0)
    observed.world.before = hang
    observer = observed.observer(patience=0)
    assert observer.devices().time is None
    goes_on.set()
    eventually(lambda: observer.devices().items)


def test_what_is_logged_while_the_lines_cannot_be_read_is_counted_afterwards_once(observed: Observed) -> None:
    line = {"route": "/ingest", "status": 200, "accepted": 1}
    observer = observed.observer()
    observed.log("ingestion", line)
    observed.look(observer)
    observed.denied.add("FilterLogEvents")
    observed.pass_(10)
    observed.look(observer)
    observed.log("ingestion", line, line)
    observed.denied.clear()
    observed.pass_(10)
    assert observed.look(observer).summary.startswith("3 readings accepted and 0 stored")


def test_nothing_that_is_not_known_is_told_as_nothing(observed: Observed) -> None:
    observed.denied.update(SOURCES.values())
    found = observed.look(observed.observer())
    assert said(found) == "Whether readings flow is not known. "
    assert {each.value for each in found.nodes} == {None}
    assert (found.summary, found.alarms.evaluated, found.devices.total) == ("", False, None)
    assert set(found.series.accepted) | set(found.series.waiting) | set(found.series.stored) == {None}


@pytest.mark.matrix
def test_a_lost_connection_is_made_anew_with_the_credentials_of_then(observed: Observed) -> None:
    observer = observed.observer()
    observed.look(observer)

    def expired(operation: str, parameters: dict[str, object]) -> object:
        return refusal(operation, "ExpiredToken", "The security token included in the request is expired")

    allowed, observed.world.before = observed.world.before, expired  # type: ignore[assignment]
    observed.pass_(2)
    problem = source(observed.look(observer), "queues").problem
    assert problem and "credentials are expired" in problem
    observed.error = CredentialsError("there are no AWS credentials", "Run `aws sso login`")
    observed.pass_(10)
    found = observed.look(observer)
    assert found.missing and found.missing.text == "there are no AWS credentials"
    observed.world.before, observed.error = allowed, None
    observed.pass_(10)
    found = observed.look(observer)
    assert (found.missing, observed.connections) == (None, 3)
    assert not [each for each in found.sources if each.problem]


@pytest.mark.matrix
def test_an_aws_that_does_not_answer_is_tried_anew_and_a_refusal_is_not(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "sleep", lambda seconds: None)
    observer = observed.observer()
    observed.denied.add("GetQueueAttributes")
    for _ in range(3):
        observed.look(observer)
        observed.pass_(10)
    assert observed.connections == 1

    def no_answer(operation: str, parameters: dict[str, object]) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    observed.world.before = no_answer
    found = observed.look(observer)
    assert all(each.problem for each in found.sources)
    observed.pass_(10)
    observed.look(observer)
    assert observed.connections > 1


def test_tables_and_dead_letters_say_why_they_cannot_be_read(observed: Observed) -> None:
    observer = observed.observer()
    observed.denied.update(("Query", "GetQueueAttributes"))
    with pytest.raises(ResourceError, match="not authorized to perform Query"):
        observer.rows("roof", "processed", 10)
    with pytest.raises(ResourceError, match="not authorized to perform GetQueueAttributes"):
        observer.dead_letters()
    observed.error = CredentialsError("there are no AWS credentials", "")
    with pytest.raises(CredentialsError):
        observed.observer().rows("roof", "processed", 10)
