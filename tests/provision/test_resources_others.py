"""What is particular to roles, log groups, alarms and the dashboard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iotpipe.provision.resource import everything
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.dashboard import Dashboard
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.metric import Metric
from tests.support.aws_errors import Fault
from tests.support.engine_world import declared
from tests.support.manual_edits import REGION, arn, client
from tests.support.resource_contract import QuickWorld, drifts, untouched
from tests.support.samples.data import a_topic
from tests.support.samples.every_kind import SAMPLES

# Roles


def test_a_role_with_more_attached_by_hand_goes_all_the_same(world: QuickWorld) -> None:
    world.up([SAMPLES["role"].make()])
    iam = client("iam")
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    managed = iam.create_policy(PolicyName="extra", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="sample-role", PolicyArn=managed)
    iam.put_role_policy(RoleName="sample-role", PolicyName="inline", PolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="sample-role")
    world.down()
    assert SAMPLES["role"].count() == 0
    assert iam.get_policy(PolicyArn=managed)["Policy"]["AttachmentCount"] == 0, (
        "what was attached is not ours to delete"
    )


def test_two_conflicts_in_a_row_do_not_stop_a_role_from_going(world: QuickWorld) -> None:
    world.up([SAMPLES["role"].make()])
    world.before = Fault("DeleteRole", "DeleteConflict", "Cannot delete entity, must delete policies first.", 2)
    world.down()
    assert SAMPLES["role"].count() == 0


# Log groups


def test_a_group_whose_name_only_begins_alike_is_another(world: QuickWorld) -> None:
    client("logs").create_log_group(logGroupName="/aws/lambda/f-2")
    group = LogGroup("/aws/lambda/f", retention=30)
    assert world.plan([group]).of(group.address).action == "create"
    world.up([group])
    assert untouched(world.plan([group]))
    world.down()
    assert [each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]] == ["/aws/lambda/f-2"]


def test_a_group_that_a_late_log_made_anew_is_swept_up_at_the_end(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["function"].make()))
    again = [False]

    def late(operation: str, answer: Any) -> None:
        if operation == "DeleteLogGroup" and not again[0]:
            again[0] = True
            client("logs").create_log_group(logGroupName="/aws/lambda/sample-function")

    world.after = late
    world.down()
    assert again[0]
    assert not client("logs").describe_log_groups()["logGroups"]


def test_functions_go_before_what_they_log_to(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["function"].make()))
    world.down()
    assert world.writes.index("DeleteFunction") < world.writes.index("DeleteLogGroup")
    assert world.writes.index("DeleteFunction") < world.writes.index("DeleteRole")


# Alarms

_SETTINGS = (
    *("AlarmName", "AlarmDescription", "ComparisonOperator", "EvaluationPeriods", "Threshold"),
    *("AlarmActions", "ActionsEnabled", "TreatMissingData"),
)
READ, WRITE = (Metric("AWS/DynamoDB", f"{each}ThrottleEvents", {"TableName": "t"}) for each in ("Read", "Write"))


def total(*metrics: Metric) -> Alarm:
    return Alarm("sum", "Too many", metrics, 10, topic=a_topic())


def test_the_sum_of_metrics_fills_their_gaps_with_nothing(world: QuickWorld) -> None:
    world.up(everything(total(READ, WRITE)))
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sum"])["MetricAlarms"]
    queries = {each["Id"]: each for each in found["Metrics"]}
    assert queries["total"]["Expression"] == "FILL(m1, 0) + FILL(m2, 0)"
    assert [each for each in queries if queries[each].get("ReturnData", True)] == ["total"]
    assert queries["m1"]["MetricStat"]["Period"] == 300
    assert queries["m2"]["MetricStat"]["Metric"]["MetricName"] == "WriteThrottleEvents"
    assert untouched(world.plan(everything(total(READ, WRITE))))


@pytest.mark.parametrize("spoiled", ["Expression", "MetricStat"])
def test_a_sum_that_was_spoiled_is_drift_and_repaired(world: QuickWorld, spoiled: str) -> None:
    wanted = everything(total(READ, WRITE))
    world.up(wanted)
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sum"])["MetricAlarms"]
    if spoiled == "Expression":
        next(each for each in found["Metrics"] if each["Id"] == "total")["Expression"] = "FILL(m1, 0)"
    else:
        next(each for each in found["Metrics"] if each["Id"] == "m1")["MetricStat"]["Period"] = 60
    client("cloudwatch").put_metric_alarm(**{key: found[key] for key in (*_SETTINGS, "Metrics")})
    assert drifts(world.plan(wanted).of("alarm/sum")) == {"Metrics"}
    world.up(wanted)
    assert world.writes == ["PutMetricAlarm"]
    assert untouched(world.plan(wanted))


def of_duration(statistic: str) -> Alarm:
    return total(Metric("AWS/Lambda", "Duration", {"FunctionName": "f"}, statistic))


@pytest.mark.parametrize("statistic", ["p50", "p99.9"])
def test_cloudwatch_takes_a_percentile_as_an_extended_statistic(world: QuickWorld, statistic: str) -> None:
    wanted = everything(of_duration(statistic))
    world.up(wanted)
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sum"])["MetricAlarms"]
    assert (found.get("Statistic"), found["ExtendedStatistic"]) == (None, statistic)
    assert untouched(world.plan(wanted))


@pytest.mark.parametrize("spoiled", [{"ExtendedStatistic": "p50"}, {"Statistic": "Average"}], ids=str)
def test_a_percentile_that_somebody_changed_is_drift_and_repaired(world: QuickWorld, spoiled: dict[str, str]) -> None:
    wanted = everything(of_duration("p99"))
    world.up(wanted)
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sum"])["MetricAlarms"]
    kept = (*_SETTINGS, "Namespace", "MetricName", "Dimensions", "Period")
    client("cloudwatch").put_metric_alarm(**{key: found[key] for key in kept}, **spoiled)
    assert drifts(world.plan(wanted).of("alarm/sum")) == {"ExtendedStatistic"}
    world.up(wanted)
    assert world.writes == ["PutMetricAlarm"]
    assert untouched(world.plan(wanted))


@pytest.mark.parametrize("metrics", [(READ, WRITE), (replace(READ, statistic="p99"),)], ids=["a sum", "a percentile"])
def test_an_alarm_may_turn_from_one_metric_to_another_form_and_back(
    world: QuickWorld, metrics: tuple[Metric, ...]
) -> None:
    for watched in ((READ,), metrics, (READ,)):
        wanted = everything(total(*watched))
        world.up(wanted)
        assert untouched(world.plan(wanted))


def test_however_many_alarms_are_read_in_two_calls(world: QuickWorld, config_dir: Path) -> None:
    wanted, tags = declared(config_dir)
    alarms = [each for each in wanted if each.kind == "alarm"]
    world.up(alarms, tags=tags)
    world.plan(alarms, tags=tags)
    assert world.calls.count("DescribeAlarms") == world.calls.count("GetResources") == 1
    assert "ListTagsForResource" not in world.calls
    assert len(alarms) > 2


def test_tags_that_the_tagging_service_does_not_show_yet_are_asked_for_one_by_one(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["alarm"].make())
    world.up(wanted)

    def lag(operation: str, answer: Any) -> None:
        if operation == "GetResources":
            answer["ResourceTagMappingList"] = []

    world.after = lag
    assert untouched(world.plan(wanted))
    world.up(wanted, tags={"team": "devices"})
    assert "PutMetricAlarm" not in world.writes


def test_an_alarm_of_the_same_name_that_is_not_ours_is_not_mistaken_for_ours(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["alarm"].make()))
    client("cloudwatch").put_metric_alarm(
        AlarmName="sample-alarm-2",
        Namespace="n",
        MetricName="m",
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
        EvaluationPeriods=1,
        ComparisonOperator="LessThanThreshold",
    )
    world.down()
    assert [each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]] == ["sample-alarm-2"]


# The dashboard


def test_widgets_stand_two_to_a_row_and_say_where_their_metrics_are_from(world: QuickWorld) -> None:
    world.up([Dashboard("d", [("A", [READ]), ("B", [READ, WRITE]), ("C", [WRITE])])])
    body = json.loads(client("cloudwatch").get_dashboard(DashboardName="d")["DashboardBody"])
    assert [(each["x"], each["y"]) for each in body["widgets"]] == [(0, 0), (12, 0), (0, 6)]
    second = body["widgets"][1]["properties"]
    assert (second["title"], second["region"]) == ("B", REGION)
    assert second["metrics"][1] == ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", "t", {"stat": "Sum"}]


def test_the_alarm_calls_the_topic(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["alarm"].make()))
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sample-alarm"])["MetricAlarms"]
    assert found["AlarmActions"] == [arn("sns", "sample-topic")] and found["ActionsEnabled"]
