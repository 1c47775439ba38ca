"""Evaluation of the embedded CloudWatch's alarms, with a simulated clock."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.services import cloudwatch, lambda_svc, sns, sqs

from iotpipe.local import alarms, background, metrics, ministack_gaps
from iotpipe.local.alarm_messages import message

DEAD, OTHER = "iot-dlq-local", "iot-ingestion-queue-local"
TOPIC = "arn:aws:sns:us-east-1:000000000000:iot-alerts-local"
DEPTH = {
    "AlarmName": "iot-dlq-depth-local",
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": DEAD}],
    "Statistic": "Maximum",
    "Period": 300,
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "AlarmActions": [TOPIC],
}
THROTTLES = {name: value for name, value in DEPTH.items() if name not in ("Namespace", "MetricName", "Dimensions")} | {
    "AlarmName": "raw-table-throttles-local",
    "Metrics": [
        {"Id": "total", "Expression": "FILL(m1, 0) + FILL(m2, 0)", "ReturnData": True},
        *(
            {
                "Id": identifier,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/DynamoDB",
                        "MetricName": name,
                        "Dimensions": [{"Name": "TableName", "Value": "raw"}],
                    },
                    "Period": 300,
                    "Stat": "Sum",
                },
                "ReturnData": False,
            }
            for identifier, name in (("m1", "ReadThrottleEvents"), ("m2", "WriteThrottleEvents"))
        ),
    ],
}


class World:
    """CloudWatch and two queues, with a simulated clock that evaluates every five seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_007.0
        self.last = self.now
        self.changes = 0
        self.told: list[tuple[str, dict[str, Any]]] = []

    def time(self) -> float:
        return self.now

    def changed(self) -> None:
        self.changes += 1

    def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 5)
            background.evaluate(self.last, self.now, self.changed)
            self.last = self.now

    def put(self, alarm: dict[str, Any], **changes: Any) -> str:
        alarm = alarm | changes
        answer = cloudwatch._put_metric_alarm({}, alarm, False, True)
        assert answer[0] == 200, answer
        return str(alarm["AlarmName"])

    def state(self, name: str = str(DEPTH["AlarmName"])) -> tuple[str, str]:
        alarm = cloudwatch._alarms[name]
        return alarm["StateValue"], alarm["StateReason"]

    def send(self, queue: str) -> None:
        sqs._act_send_message({"QueueUrl": sqs._queue_url(queue), "MessageBody": "text"}, "")

    def empty(self, queue: str) -> None:
        sqs._act_purge_queue({"QueueUrl": sqs._queue_url(queue)}, "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    clock = SimpleNamespace(time=world.time, perf_counter=world.time)
    for module in (alarms, metrics, sqs):
        monkeypatch.setattr(module, "time", clock)
    for module in (cloudwatch, sqs):
        module.reset()
    monkeypatch.setattr(cloudwatch, "_metrics", cloudwatch._metrics)
    for module, names in (
        (cloudwatch, ("_evaluate_alarm", "_dispatch_alarm_actions", "_get_metric_data", "_put_metric_alarm")),
        (lambda_svc, ("_execute_function_dispatch", "_emit_lambda_metrics")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    ministack_gaps._keep_metrics_of_alarms()
    alarms.patch_ministack(world.changed)
    monkeypatch.setattr(
        sns, "_fanout", lambda topic, identifier, text, subject: world.told.append((subject, json.loads(text)))
    )
    for name in (DEAD, OTHER):
        sqs._act_create_queue({"QueueName": name}, "")
    yield world
    for module in (cloudwatch, sqs):
        module.reset()


def test_a_dead_letter_rings_at_once_and_is_over_a_period_after_the_queue_was_emptied(world: World) -> None:
    name = world.put(DEPTH)
    world.pass_(60)
    assert world.state(name)[0] == "OK"
    told, changes = world.told.copy(), world.changes
    world.send(DEAD)
    world.pass_(10)
    assert world.state(name)[0] == "ALARM"
    world.pass_(3600)
    assert world.state(name)[0] == "ALARM"
    world.empty(DEAD)
    world.pass_(200)
    assert world.state(name)[0] == "ALARM"
    world.pass_(160)
    state, reason = world.state(name)
    assert (state, reason.partition(" (")[0]) == ("OK", "Threshold Crossed: 1 datapoint [0.0")
    assert reason.endswith("was not greater than the threshold (0.0).")
    # One notification: OKActions, which would notify of the end, names no topic.
    ((subject, said),) = world.told[len(told) :]
    assert subject == 'ALARM: "iot-dlq-depth-local" in US East (N. Virginia)'
    assert (said["OldStateValue"], said["NewStateValue"]) == ("OK", "ALARM")
    assert world.changes == changes + 2


def test_what_waits_in_another_queue_does_not_ring(world: World) -> None:
    name = world.put(DEPTH)
    world.send(OTHER)
    world.pass_(600)
    assert world.state(name)[0] == "OK"


def test_the_age_of_the_oldest_message_rings_when_it_is_reached(world: World) -> None:
    name = world.put(DEPTH, AlarmName="age", MetricName="ApproximateAgeOfOldestMessage", Threshold=120.0)
    world.send(DEAD)
    world.pass_(115)
    assert world.state(name)[0] == "OK"
    world.pass_(20)
    assert world.state(name)[0] == "ALARM"


def test_metric_math_fills_gaps_as_soon_as_one_metric_has_data(world: World) -> None:
    name = world.put(THROTTLES)
    world.pass_(10)
    assert world.state(name) == (
        "OK",
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching].",
    )
    metrics.record("AWS/DynamoDB", "WriteThrottleEvents", {"TableName": "raw"}, 3)
    metrics.record("AWS/DynamoDB", "WriteThrottleEvents", {"TableName": "processed"}, 40)
    world.pass_(5)
    state, reason = world.state(name)
    assert (state, "datapoint [3.0 (" in reason) == ("ALARM", True)
    world.pass_(360)
    assert world.state(name)[0] == "OK"


@pytest.mark.parametrize(
    ("treated", "state"),
    [("notBreaching", "OK"), ("breaching", "ALARM"), ("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM")],
)
def test_missing_data_is_treated_as_the_alarm_says(world: World, treated: str, state: str) -> None:
    name = world.put(DEPTH, Namespace="Mine", MetricName="Requests", Dimensions=[], TreatMissingData=treated)
    metrics.record("Mine", "Requests", {}, 1)
    world.pass_(5)
    assert world.state(name)[0] == "ALARM"
    world.pass_(900)
    assert world.state(name)[0] == state


def test_so_many_of_the_last_periods_must_breach_as_the_alarm_says(world: World) -> None:
    changes = {"Namespace": "Mine", "MetricName": "Errors", "Dimensions": [], "Statistic": "Sum", "Period": 60}
    name = world.put(DEPTH, **changes, EvaluationPeriods=3, DatapointsToAlarm=2)
    metrics.record("Mine", "Errors", {}, 1)
    world.pass_(30)
    assert world.state(name)[0] == "OK"
    world.pass_(35)
    metrics.record("Mine", "Errors", {}, 1)
    world.pass_(5)
    assert world.state(name)[0] == "ALARM"


def test_what_comes_in_the_last_seconds_of_a_minute_rings_an_alarm_on_one_minute(world: World) -> None:
    name = world.put(DEPTH, Namespace="Mine", MetricName="Errors", Dimensions=[], Statistic="Sum", Period=60)
    world.pass_(60 - world.now % 60 - 2)
    metrics.record("Mine", "Errors", {}, 1)
    world.pass_(5)
    assert [said["NewStateValue"] for _, said in world.told] == ["ALARM"]
    assert world.state(name)[0] == "OK"


def test_an_alarm_that_cannot_be_evaluated_here_stays_as_it_is(world: World) -> None:
    for expression in ("ANOMALY_DETECTION_BAND(m1)", "m9 + 1", "FILL(m1, 0", "__import__('os')", "m1 ** 2"):
        queries = copy.deepcopy(THROTTLES["Metrics"])
        queries[0]["Expression"] = expression
        name = world.put(THROTTLES, Metrics=queries, AlarmName=expression)
        metrics.record("AWS/DynamoDB", "ReadThrottleEvents", {"TableName": "raw"}, 3)
        world.pass_(10)
        assert world.state(name)[0] == "INSUFFICIENT_DATA"


def test_a_state_that_somebody_sets_is_told_and_lasts_until_the_next_look(world: World) -> None:
    name = world.put(DEPTH)
    world.pass_(5)
    asked = {"AlarmName": name, "StateValue": "ALARM", "StateReason": "a test"}
    assert cloudwatch._set_alarm_state({}, asked, False, True)[0] == 200
    assert [said["NewStateReason"] for _, said in world.told] == ["a test"]
    world.pass_(5)
    assert world.state(name)[0] == "OK"


def test_the_message_has_the_fields_of_cloudwatchs() -> None:
    alarm = DEPTH | {"AlarmArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:iot-dlq-depth-local"}
    said = message(alarm, "OK", "ALARM", "because", "US East (N. Virginia)", 1_800_000_000.25)
    assert said["StateChangeTime"] == "2027-01-15T08:00:00.250+0000"
    assert said["Trigger"]["Dimensions"] == [{"value": DEAD, "name": "QueueName"}]
    assert (said["Trigger"]["StatisticType"], said["Trigger"]["Statistic"]) == ("Statistic", "MAXIMUM")
    queries = message(THROTTLES | {"AlarmArn": alarm["AlarmArn"]}, "OK", "ALARM", "", "", 0)["Trigger"]["Metrics"]
    assert [each["Id"] for each in queries] == ["total", "m1", "m2"]
    assert queries[1]["MetricStat"]["Metric"]["Dimensions"] == [{"value": "raw", "name": "TableName"}]


def test_equal_values_of_a_minute_are_one_point_and_percentiles_still_come_out(world: World) -> None:
    for number in range(10_000):
        metrics.record("AWS/ApiGateway", "Latency", {"ApiName": "a"}, 1 + number / 100, "Milliseconds")
    points = cloudwatch._metrics[("AWS/ApiGateway", "Latency", "ApiName=a")]
    assert len(points) < 2000
    stats = cloudwatch._calc_stats(points)
    assert stats["SampleCount"] == 10_000
    assert cloudwatch._stat_value(stats, "p95", points) == pytest.approx(96, rel=0.01)


def test_metrics_of_aws_are_forgotten_after_a_day_and_are_not_saved_but_those_of_users_are(world: World) -> None:
    metrics.patch_ministack()
    metrics.record("Mine", "Errors", {}, 1)
    world.pass_(60)
    kept = cloudwatch.get_state()["metrics"]
    assert [key[2][0] for key, _ in kept.all_items()] == ["Mine"]
    assert any(key[2][0] == "AWS/SQS" for key, _ in cloudwatch._metrics.all_items())
    sqs.reset()
    world.now += 25 * 3600
    world.pass_(60)
    assert [key[2][0] for key, _ in cloudwatch._metrics.all_items()] == ["Mine"]


def test_the_newest_figures_come_first_unless_asked_otherwise(world: World) -> None:
    metrics.patch_ministack()
    for value in (1, 2):
        metrics.record("Mine", "Depth", {}, value)
        world.now += 60
    stat = {"Metric": {"Namespace": "Mine", "MetricName": "Depth"}, "Period": 60, "Stat": "Maximum"}
    asked = {"MetricDataQueries": [{"Id": "q", "MetricStat": stat}], "StartTime": world.now - 600, "EndTime": world.now}

    def values(**more: str) -> Any:
        return json.loads(cloudwatch._get_metric_data({}, asked | more, False, True)[2])["MetricDataResults"][0][
            "Values"
        ]

    assert values() == values(ScanBy="TimestampDescending") == [2.0, 1.0]
    assert values(ScanBy="TimestampAscending") == [1.0, 2.0]
