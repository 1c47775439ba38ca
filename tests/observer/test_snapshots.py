"""One look at an environment: what is told, from where, and what is not made up."""

from __future__ import annotations

import json
import threading

import boto3
import pytest

from iotpipe.errors import UsageError
from iotpipe.observer.snapshot import RANGES, Node, Snapshot
from iotpipe.pipeline.flow import flow
from tests.support.observed_world import NAMES, Observed, said, source

ACCEPTED = {"route": "/ingest", "status": 200, "accepted": 120, "rejected": 0}
STORED = {"route": "queue", "processed": 120, "failed": 0, "wait": [40] * 60 + [900] * 40}


def node(snapshot: Snapshot, name: str) -> Node:
    return next(each for each in snapshot.nodes if each.name == name)


def test_recorded_lines_become_totals_rates_and_times_to_store(observed: Observed) -> None:
    observed.log("ingestion", ACCEPTED, "START RequestId: 1", ago=25_000)
    observed.log("processor", STORED, ago=24_000)
    found = observed.look(observed.observer())
    assert found.summary == "120 readings accepted and 120 stored in 15 minutes, half of them within 40 ms."
    assert said(found) == "Readings flow. "
    assert (node(found, "data-ingestion").value, node(found, "data-ingestion").note) == ("2.0", "120 accepted")
    assert (node(found, "data-processor").value, node(found, "data-processor").note) == ("2.0", "120 stored")
    assert node(found, "processed-data").value == node(found, "raw-sensor-data").value == "+120"
    series = found.series
    told = [index for index, value in enumerate(series.stored) if value]
    assert [(series.stored[each], series.p50[each], series.p95[each]) for each in told] == [(12.0, 40.0, 900.0)]
    bucket = series.start + told[0] * series.step
    assert bucket <= observed.now - 24_000 < bucket + series.step
    assert series.stored[-1] is None, "the last bucket is not over"
    assert (source(found, "counts").from_, source(found, "counts").as_of) == ("log lines", observed.now)


def test_the_reasons_say_what_was_refused_and_what_was_given_back(observed: Observed) -> None:
    refused = {"route": "/ingest", "status": 400, "rejected": 1, "reasons": ["count"]}
    observed.log("ingestion", refused, refused, refused | {"reasons": ["new_code"]})
    observed.log("processor", {"route": "queue", "processed": 0, "failed": 5, "reasons": {"not JSON: \x1b[2J": 5}})
    observed.log("query", {"route": "/query", "status": 503, "rejected": 0, "reasons": ["cannot query t: throttled"]})
    observed.log("query", {"route": "/query", "status": 200, "rejected": 0, "reasons": ["cannot query t: timeout"]})
    found = observed.look(observed.observer()).reasons
    assert [(each.count, each.text, each.detail, each.kind) for each in found] == [
        (5, "not JSON: \x1b[2J", "given back to the queue by data-processor", "given back"),
        (2, "the wrong number of readings or metrics", "refused with 400 by data-ingestion: count", "refused"),
        (1, "cannot query t: throttled", "answered with 503 by data-query", "refused"),
        (1, "cannot query t: timeout", "answered with 200 by data-query", "refused"),
        (1, "new_code", "refused with 400 by data-ingestion", "refused"),
    ]


def test_what_devices_publish_is_accepted_and_refused_like_requests(observed: Observed) -> None:
    counts = {"accepted": 120, "failed": 0, "refused_readings": 3, "refusals": {"identity": 3}}
    observed.log("ingestion", {"route": "mqtt", "messages": 9, "wait": [5000] * 9, **counts}, ago=25_000)
    observed.log("processor", STORED, ago=24_000)
    found = observed.look(observed.observer())
    assert found.summary == "120 readings accepted and 120 stored in 15 minutes, half of them within 40 ms."
    (reason,) = found.reasons
    assert (reason.count, reason.text, reason.detail, reason.kind) == (
        3,
        "a reading of another device than the one that sent it",
        "refused over MQTT by data-ingestion: identity",
        "refused",
    )


def test_what_is_wrong_is_said_first_and_leads_to_more(observed: Observed) -> None:
    observed.put(NAMES.dead_letter_queue, "a", "b")
    observed.alarm("iot-dlq-depth-dev", "ALARM", "Threshold Crossed")
    observed.store("roof", 3_600_000, 3_660_000)
    observed.store("cellar", 60_000, 120_000)
    found = observed.look(observed.observer())
    assert said(found) == (
        "No reading was accepted in 15 minutes. 2 dead letters wait, 1 alarm fires, 1 device is silent."
    )
    assert [(part.text, part.to, part.tone) for part in found.sentence if part.tone] == [
        ("2 dead letters", "dead-letters", "bad"),
        ("1 alarm fires", "", "bad"),
        ("1 device is silent", "devices", "warn"),
    ]
    assert [(each.name, each.reason) for each in found.alarms.firing] == [("iot-dlq-depth-dev", "Threshold Crossed")]
    assert (node(found, "iot-dlq").value, node(found, "iot-dlq").tone) == ("2", "bad")
    assert (found.devices.total, found.devices.silent) == (2, 1)


def test_readings_that_wait_while_none_is_stored_are_said_to_be_stuck(observed: Observed) -> None:
    observer = observed.observer()
    observed.log("ingestion", ACCEPTED)
    observed.put(NAMES.reading_queue, "a")
    assert said(observed.look(observer)) == "Readings flow. "
    observed.pass_(20)
    found = observed.look(observer)
    assert said(found) == "Readings wait in the queue, and none is stored. "
    assert found.sentence[0].tone == "bad"


def test_every_box_and_arrow_of_the_flow_is_told_at_its_place(observed: Observed) -> None:
    found, drawn = observed.observer().snapshot(), flow(observed.resources)
    assert [(each.id, each.column, each.row) for each in found.nodes] == [
        (each.id, each.column, each.row) for each in drawn.nodes
    ]
    assert [(each.start, each.end, each.label, each.kind) for each in found.edges] == [
        (each.start, each.end, each.label, each.kind) for each in drawn.edges
    ]
    observer = observed.observer()
    observer.devices()


def test_the_arrows_along_which_something_went_just_now_are_active(observed: Observed) -> None:
    def active() -> set[tuple[str, str]]:
        edges = observed.look(observer).edges
        short = {node.id: node.name for node in observer.snapshot().nodes}
        return {(short[each.start], short[each.end]) for each in edges if each.active}

    observer = observed.observer()
    assert active() == set()
    observed.log("ingestion", ACCEPTED, ago=12_000)
    observed.pass_(2)
    taken = {
        ("Devices and clients", "iot-api"),
        ("iot-api", "data-ingestion"),
        ("data-ingestion", "raw-sensor-data"),
        ("data-ingestion", "iot-ingestion-queue"),
    }
    assert active() == taken
    observed.log("processor", STORED, ago=12_000)
    observed.put(NAMES.dead_letter_queue, "a")
    observed.pass_(2)
    stored = {("iot-ingestion-queue", "data-processor"), ("data-processor", "processed-data")}
    assert active() == taken | stored | {("iot-ingestion-queue", "iot-dlq")}
    observed.pass_(120)
    assert active() == set()


@pytest.mark.parametrize("range_seconds", RANGES)
def test_on_this_machine_lines_tell_every_range(observed: Observed, range_seconds: int) -> None:
    observed.log("ingestion", ACCEPTED, ago=range_seconds * 900)
    observer = observed.observer()
    assert observed.look(observer).range == 900
    found = observed.look(observer, range_seconds)
    assert node(found, "data-ingestion").note == "120 accepted"
    assert found.series.step * len(found.series.accepted) == range_seconds * 1000


def test_another_range_is_refused(observed: Observed) -> None:
    with pytest.raises(ValueError, match="1000 is none of"):
        observed.observer().snapshot(1000)


def test_sources_are_asked_when_somebody_looks_and_at_most_once_per_interval(observed: Observed) -> None:
    observer = observed.observer()
    assert observed.world.calls == []
    observed.look(observer)
    observed.world.calls.clear()
    observed.look(observer)
    assert observed.world.calls == []
    observed.pass_(2)
    observed.look(observer)
    assert set(observed.world.calls) == {"GetQueueAttributes", "FilterLogEvents"}
    observed.pass_(10)
    observed.look(observer)
    assert {"DescribeAlarms", "GetMetricData", "Scan"} <= set(observed.world.calls)


def test_many_who_look_at_once_do_not_ask_more_often(observed: Observed) -> None:
    observer = observed.observer()
    observed.look(observer)
    observed.pass_(2)
    observed.world.calls.clear()
    threads = [threading.Thread(target=observer.snapshot) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    observer.devices()
    assert observed.world.calls.count("GetQueueAttributes") == 2


def test_the_revision_changes_if_and_only_if_something_is_new(observed: Observed) -> None:
    observer = observed.observer()
    observed.look(observer)
    first = observed.look(observer)
    observed.pass_(2)
    again = observed.look(observer)
    assert (again.revision, again.time) == (first.revision, observed.now)
    observed.put(NAMES.reading_queue, "a")
    observed.pass_(2)
    assert observed.look(observer).revision > first.revision


def test_as_a_document_it_is_json_with_the_names_of_the_interface(observed: Observed) -> None:
    observed.put(NAMES.dead_letter_queue, "a")
    document = json.loads(json.dumps(observed.look(observed.observer()).as_json()))
    assert document["sentence"][0] == {"text": "No reading was accepted in 15 minutes. "}
    assert document["sources"][0] == {
        "name": "queues",
        "from": "GetQueueAttributes",
        "as_of": observed.now,
        "problem": None,
        "since": None,
    }
    assert document["missing"] is None


def test_an_environment_that_is_not_up_is_said_to_be_missing_until_it_is_up(observed: Observed) -> None:
    observer = observed.observer()
    observed.error = UsageError("dev is not up", "Run `iotpipe up --env dev` first")
    found = observed.look(observer)
    assert said(found) == "dev is not up."
    assert found.missing and found.missing.hint == "Run `iotpipe up --env dev` first"
    assert (found.account, observer.devices().time) == ("", None)
    assert node(found, "data-ingestion").value is None
    observed.error = None
    observed.look(observer)
    assert observed.connections == 1, "not tried again at once"
    observed.pass_(5)
    found = observed.look(observer)
    assert (found.missing, found.account) == (None, "123456789012")


def test_an_environment_that_goes_down_while_it_is_looked_at_is_missing_then(observed: Observed) -> None:
    observer = observed.observer()
    observed.look(observer)
    boto3.client("sqs").delete_queue(QueueUrl=observed.url(NAMES.reading_queue))
    observed.pass_(10)
    found = observed.look(observer)
    assert found.missing and found.missing.text == "dev is not up"
    assert "`iotpipe up --env dev`" in found.missing.hint


def test_dead_letters_that_somebody_looks_at_still_wait(observed: Observed) -> None:
    """SQS hides a received message for a while, and counts it as in flight."""
    observed.put(NAMES.dead_letter_queue, "a", "b")
    boto3.client("sqs").receive_message(QueueUrl=observed.url(NAMES.dead_letter_queue), MaxNumberOfMessages=10)
    found = observed.look(observed.observer())
    assert "2 dead letters wait" in said(found)
    [box] = [each for each in found.nodes if each.kind == "dead-letters"]
    assert (box.value, box.note, box.tone) == ("2", "2 in flight", "bad")
