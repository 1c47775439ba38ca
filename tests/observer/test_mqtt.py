"""The way in over MQTT as it is seen: the topic rule, the device queue, and what was refused there."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from iotpipe.observer.snapshot import Node, Snapshot
from tests.support.engine_world import declared
from tests.support.observed_world import CONFIG, NAMES, Observed, said

MINUTE = 60_000
RULE = {"RuleName": NAMES.device_rule}
ACTION = RULE | {"ActionType": "SQS"}
REQUEST = {"route": "/ingest", "status": 200, "accepted": 30, "rejected": 0}


def batch(messages: int, **counts: Any) -> dict[str, Any]:
    """The line of ingestion about a batch of the device queue."""
    none = dict.fromkeys(("accepted", "duplicates", "failed", "rejected", "refused_readings"), 0)
    return {"route": "mqtt", "messages": messages} | none | counts


def node(snapshot: Snapshot, name: str) -> Node:
    return next(each for each in snapshot.nodes if each.name == name)


def told(snapshot: Snapshot, name: str) -> tuple[str | None, str, str, str]:
    found = node(snapshot, name)
    return found.value, found.unit, found.note, found.tone


def active(snapshot: Snapshot) -> set[tuple[str, str]]:
    short = {each.id: each.name for each in snapshot.nodes}
    return {(short[each.start], short[each.end]) for each in snapshot.edges if each.active}


def test_the_device_queue_has_a_depth_and_an_age_of_its_own(with_devices: Observed) -> None:
    queue = {"QueueName": NAMES.device_queue}
    with_devices.metric("AWS/SQS", "ApproximateAgeOfOldestMessage", queue, 75, MINUTE)
    with_devices.metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, 40, 5 * MINUTE)
    with_devices.put(NAMES.device_queue, "a", "b")
    with_devices.put(NAMES.reading_queue, "c")
    found = with_devices.look(with_devices.observer())
    assert told(found, "iot-device-queue") == ("2", "waiting", "0 in flight, oldest 75 s", "")
    assert told(found, "iot-ingestion-queue") == ("1", "waiting", "0 in flight", "")
    assert (found.series.published[-1], found.series.waiting[-1]) == (2, 1)
    assert 40 in found.series.published and 40 not in found.series.waiting


def test_both_ways_in_are_counted_together_and_what_each_refused_apart(with_devices: Observed) -> None:
    with_devices.log("ingestion", REQUEST, batch(60, accepted=90), ago=20_000)
    with_devices.log("ingestion", {"route": "/ingest", "status": 400, "rejected": 1, "reasons": ["count"]}, ago=20_000)
    refused = batch(3, rejected=1, refused_readings=4, refusals={"identity": 4, "json": 1})
    with_devices.log("ingestion", refused, ago=20_000)
    found = with_devices.look(with_devices.observer())
    assert told(found, "data-ingestion") == ("2.0", "/s", "120 accepted", "")
    assert node(found, "raw-sensor-data").value == "+120"
    assert told(found, "iot-api")[2] == "1 refused"
    assert told(found, "topic-rule") == ("1.1", "msg/s", "5 refused, failures not known", "")
    assert [(each.count, each.detail) for each in found.reasons] == [
        (4, "refused over MQTT by data-ingestion: identity"),
        (1, "refused over MQTT by data-ingestion: json"),
        (1, "refused with 400 by data-ingestion: count"),
    ]


def test_metrics_of_the_rule_tell_what_failed_and_what_is_lost(with_devices: Observed) -> None:
    for name, dimensions, value in (
        ("TopicMatch", RULE, 120),
        ("Failure", ACTION, 5),
        ("ErrorActionFailure", ACTION, 2),
        ("RuleMessageThrottled", RULE, 1),
        ("RuleNotFound", RULE, 4),
    ):
        with_devices.metric("AWS/IoT", name, dimensions, value, 2 * MINUTE)
    with_devices.metric("iotpipe", "accepted", {"environment": "dev", "function": "ingestion"}, 120, 2 * MINUTE)
    with_devices.metric("iotpipe", "refused_readings", {"environment": "dev", "function": "ingestion"}, 9, 2 * MINUTE)
    found = with_devices.look(with_devices.observer(local=False), 3600)
    assert told(found, "topic-rule") == ("2.0", "msg/s", "7 lost, 3 not queued, 9 refused", "bad")
    assert [(each.count, each.text) for each in found.reasons] == [(9, "readings that devices published")]
    assert ("topic-rule", "iot-device-queue") in active(found)
    assert ("iot-api", "data-ingestion") not in active(found), "no request was counted"


def test_before_aws_tells_anything_of_the_rule_nothing_is_made_up(with_devices: Observed) -> None:
    found = with_devices.look(with_devices.observer(local=False), 3600)
    assert told(found, "topic-rule") == (None, "msg/s", "failures not known", "")
    with_devices.metric("AWS/IoT", "TopicMatch", RULE, 120, 20 * MINUTE)
    with_devices.pass_(61)
    later = with_devices.look(with_devices.observer(local=False), 3600)
    assert told(later, "topic-rule") == ("0.0", "msg/s", "none failed", ""), "AWS tells nothing of quiet minutes"


def test_arrows_are_active_along_the_way_that_was_taken(with_devices: Observed) -> None:
    observer = with_devices.observer()
    with_devices.look(observer)
    with_devices.log("ingestion", batch(2, accepted=2), ago=12_000)
    with_devices.pass_(2)
    published = {
        ("Devices and clients", "topic-rule"),
        ("topic-rule", "iot-device-queue"),
        ("iot-device-queue", "data-ingestion"),
        ("data-ingestion", "raw-sensor-data"),
        ("data-ingestion", "iot-ingestion-queue"),
    }
    assert active(with_devices.look(observer)) == published
    with_devices.log("ingestion", batch(1, rejected=1, refusals={"json": 1}), ago=12_000)
    with_devices.put(NAMES.dead_letter_queue, "refused")
    with_devices.pass_(2)
    assert active(with_devices.look(observer)) == published | {("data-ingestion", "iot-dlq")}


def test_a_new_dead_letter_that_nobody_tells_of_may_have_come_along_any_arrow(with_devices: Observed) -> None:
    observer = with_devices.observer()
    with_devices.look(observer)
    with_devices.put(NAMES.dead_letter_queue, "of the rule, perhaps")
    with_devices.pass_(2)
    starts = {"topic-rule", "iot-device-queue", "data-ingestion", "iot-ingestion-queue"}
    assert active(with_devices.look(observer)) == {(each, "iot-dlq") for each in starts}


def test_messages_that_wait_while_none_is_accepted_are_said_to_be_stuck(with_devices: Observed) -> None:
    observer = with_devices.observer()
    with_devices.put(NAMES.device_queue, "a")
    with_devices.look(observer)
    with_devices.pass_(20)
    assert said(with_devices.look(observer)) == "Messages of devices wait in their queue, and none is accepted. "


@pytest.mark.parametrize("local", [True, False])
def test_devices_cost_one_call_more_for_their_queue_and_none_for_their_metrics(
    with_devices: Observed, local: bool
) -> None:
    calls = []
    for resources in (with_devices.resources, declared(CONFIG, "dev")[0]):
        with_devices.resources = resources
        with_devices.world.calls.clear()
        with_devices.look(with_devices.observer(local=local))
        calls.append(sorted(with_devices.world.calls))
    with_them, without = calls
    assert with_them == sorted([*without, "GetQueueAttributes"])
    assert without.count("GetQueueAttributes") == 2


def test_an_environment_without_devices_tells_nothing_of_them(observed: Observed) -> None:
    found = observed.look(observed.observer())
    assert not any(each.kind == "rule" for each in found.nodes)
    assert found.series.published == ()
    assert NAMES.device_queue not in str(boto3.client("sqs").list_queues().get("QueueUrls"))
