"""How an environment is doing: what AWS knows is told, and what it does not know is not made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from iotpipe.configuration.model import Devices
from iotpipe.operations.health import AlarmState, Depth, Health, Mqtt, health
from iotpipe.provision import plan as planning
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.resources.topic_rule import TopicRule
from iotpipe.render.status import duration, show_status
from tests.support.engine_world import World, declared, refusal

READINGS = Queue("iot-ingestion-queue-dev", retention=345_600)
DEAD = Queue("iot-dlq-dev", retention=345_600)
TOPIC = Topic("iot-alerts-dev", display_name="Alerts")
ALARM = Alarm(
    "iot-dlq-depth-dev",
    "messages that failed",
    [Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": DEAD.name})],
    0,
    topic=TOPIC,
)
RESOURCES = everything(READINGS, DEAD, ALARM)


@pytest.fixture
def look(world: World) -> Callable[[], Health]:
    """The health of an environment that is up."""
    world.up(RESOURCES)

    def found() -> Health:
        run = world.run("status")
        planning.plan(RESOURCES, run, {})
        return health(run, RESOURCES)

    return found


def measured(world: World, queue: str, seconds: float, ago: int) -> None:
    """SQS's own metric, as it was some seconds ago."""
    dimension = {"Name": "QueueName", "Value": queue}
    data = {
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [dimension],
        "Value": seconds,
        "Timestamp": world.clock.now() - ago,
    }
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/SQS", MetricData=[data])


@pytest.mark.matrix
def test_the_latest_age_is_told_per_queue_and_an_old_or_missing_one_is_unknown(
    world: World, look: Callable[[], Health]
) -> None:
    measured(world, READINGS.name, 400, ago=600)
    measured(world, READINGS.name, 77, ago=120)
    measured(world, DEAD.name, 5000, ago=3600)
    queues = look().queues
    assert queues[READINGS.name].oldest == 77
    assert queues[DEAD.name].oldest is None


def test_ages_are_asked_for_in_whole_minutes_which_is_all_that_cloudwatch_has_of_sqs(
    world: World, look: Callable[[], Health]
) -> None:
    asked: list[int] = []

    def note(params: dict[str, Any], **call: Any) -> None:
        asked.extend(query["MetricStat"]["Period"] for query in params["MetricDataQueries"])

    connect = world.connect

    def connected() -> Any:
        aws = connect()
        aws.session.events.register("provide-client-params.cloudwatch.GetMetricData", note)
        return aws

    world.connect = connected  # type: ignore[method-assign]
    look()
    assert asked and not [period for period in asked if period % 60]


def test_what_waits_and_what_is_in_flight_are_counted_apart(world: World, look: Callable[[], Health]) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=DEAD.name)["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=60)
    depth = look().queues[DEAD.name]
    assert (depth.visible, depth.in_flight) == (2, 1)


def test_only_addresses_that_have_not_confirmed_are_named(world: World, look: Callable[[], Health]) -> None:
    sns = boto3.client("sns")
    arn = sns.list_topics()["Topics"][0]["TopicArn"]
    for address in ("confirmed@example.org", "pending@example.org", "left@example.org"):
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=address)
    stands_for = {"pending@example.org": "PendingConfirmation", "left@example.org": "Deleted"}

    def as_sns_answers(parsed: dict[str, Any], **call: Any) -> None:
        # moto confirms every address at once.
        for each in parsed["Subscriptions"]:
            each["SubscriptionArn"] = stands_for.get(each["Endpoint"], each["SubscriptionArn"])

    connect = world.connect

    def connected() -> Any:
        aws = connect()
        aws.session.events.register("after-call.sns.ListSubscriptionsByTopic", as_sns_answers)
        return aws

    world.connect = connected  # type: ignore[method-assign]
    assert look().unconfirmed == ["pending@example.org"]


def rule_of(resources: Sequence[Resource]) -> TopicRule:
    [found] = [each for each in resources if isinstance(each, TopicRule)]
    return found


def with_mqtt(world: World) -> Callable[[], Health]:
    """The health of an environment with devices over MQTT, which is up."""
    whole, _ = declared(Path(__file__).parents[2] / "config", "dev", devices=Devices(enabled=True))
    resources = everything(rule_of(whole))
    world.up(resources)

    def found() -> Health:
        run = world.run("status")
        planning.plan(resources, run, {})
        world.calls.clear()
        return health(run, resources)

    return found


def counted(world: World, name: str, value: int, **dimensions: str) -> None:
    """One of AWS IoT's own metrics, a minute old."""
    described = [{"Name": key, "Value": text} for key, text in ({"RuleName": "iotpipe_dev"} | dimensions).items()]
    data = {"MetricName": name, "Dimensions": described, "Value": value, "Timestamp": world.clock.now() - 60}
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/IoT", MetricData=[data])


def test_the_way_in_over_mqtt_is_told_with_two_calls_for_the_whole_environment(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    look = with_mqtt(world)
    assert look().mqtt == Mqtt("iotpipe_dev", None, None, None, 0)
    boto3.client("iot").create_thing(thingName="dev:roof", attributePayload={"attributes": {"iotpipe": "dev"}})
    boto3.client("iot").create_thing(thingName="other:roof", attributePayload={"attributes": {"iotpipe": "other"}})
    counted(world, "TopicMatch", 1200)
    counted(world, "Failure", 5, ActionType="SQS")
    counted(world, "ErrorActionFailure", 2, ActionType="SQS")
    counted(world, "RuleMessageThrottled", 3)
    counted(world, "RuleNotFound", 4)
    found = look()
    assert found.mqtt == Mqtt("iotpipe_dev", 1200, 3, 9, 1)
    assert set(found.queues) == {"iot-device-queue-dev", "iot-dlq-dev"}
    assert sorted(world.calls) == ["GetMetricData", "ListThings"]
    run = world.run("status")
    show_status("dev", run.aws, planning.plan([], run, {}), found, snapshot=None, verbose=False)
    said = capsys.readouterr().out
    assert "mqtt       iotpipe_dev  1,200 messages in 15 minutes, 3 not queued, 9 lost\n" in said
    assert "devices enrolled: 1\n" in said


def test_quiet_minutes_are_not_told_as_no_messages_and_a_full_page_is_not_told_as_all(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run = world.run("status")
    found = Health({}, {}, [], [], Mqtt("iotpipe_dev", None, None, None, 250))
    show_status("dev", run.aws, planning.plan([], run, {}), found, snapshot=None, verbose=False)
    said = capsys.readouterr().out
    assert "iotpipe_dev  CloudWatch tells of no message in 15 minutes\n" in said
    assert "devices enrolled: 250 or more\n" in said


def test_an_alarm_is_told_with_its_reason_and_since_when(world: World, look: Callable[[], Health]) -> None:
    boto3.client("cloudwatch").set_alarm_state(AlarmName=ALARM.name, StateValue="ALARM", StateReason="too many")
    alarm = look().alarms[ALARM.name]
    assert (alarm.state, alarm.reason) == ("ALARM", "too many")
    assert alarm.since.startswith("20") and alarm.since.endswith("Z")


def test_a_missing_permission_hides_only_what_it_is_about(world: World, look: Callable[[], Health]) -> None:
    denied = refusal(
        "GetMetricData",
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: cloudwatch:GetMetricData because no "
        "identity-based policy allows the cloudwatch:GetMetricData action",
    )
    world.before = lambda operation, params: denied if operation == "GetMetricData" else None
    found = look()
    assert [depth.oldest for depth in found.queues.values()] == [None, None]
    assert found.alarms[ALARM.name].state == "OK"
    (reason,) = found.unread
    assert "cloudwatch:GetMetricData" in reason
    assert "The credentials need the permission for GetMetricData" in reason


def test_what_is_not_there_is_not_asked_about(world: World) -> None:
    run = world.run("status")
    planning.plan(RESOURCES, run, {})
    world.calls.clear()
    assert health(run, RESOURCES) == Health({}, {}, [], [])
    assert world.calls == []


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (Depth(0, 0, 0), "q  0 waiting, 0 in flight"),
        (Depth(0, 0, 500), "q  0 waiting, 0 in flight"),
        (Depth(2, 0, 75), "q  2 waiting, 0 in flight, oldest 1 min 15 s old"),
        (Depth(0, 1, 75), "q  0 waiting, 1 in flight, oldest 1 min 15 s old"),
    ],
)
def test_an_empty_queue_has_no_oldest_message(
    world: World, capsys: pytest.CaptureFixture[str], depth: Depth, said: str
) -> None:
    run = world.run("status")
    found = Health({"q": depth}, {}, [], [])
    show_status("dev", run.aws, planning.plan(RESOURCES, run, {}), found, snapshot=None, verbose=False)
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "queues" in each]
    assert line.strip() == f"queues     {said}"


def test_who_is_on_call_reads_the_reason_the_address_and_what_was_not_read(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = world.run("status")
    steps = planning.plan(RESOURCES, run, {})
    alarms = {
        "iot-dlq-depth-dev": AlarmState("ALARM", "3 datapoints", "2026-01-15T10:30:00Z"),
        "iot-api-5xx-dev": AlarmState("INSUFFICIENT_DATA", "", "2026-01-15T10:30:00Z"),
    }
    found = Health({}, alarms, ["ann@example.org"], ["cannot read queue/iot-dlq-dev"])
    show_status("dev", run.aws, steps, found, snapshot=None, verbose=False)
    said = capsys.readouterr()
    assert "alarms     1 ALARM, 1 INSUFFICIENT_DATA" in said.out
    assert "iot-dlq-depth-dev  since 2026-01-15T10:30:00Z: 3 datapoints" in said.out
    assert "ann@example.org receives no alerts until its owner confirms" in said.out
    assert said.err == "not read: cannot read queue/iot-dlq-dev\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (42.4, "42 s"), (60, "1 min"), (200, "3 min 20 s"), (18120, "5 h 2 min"), (86_460, "1 d")],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
