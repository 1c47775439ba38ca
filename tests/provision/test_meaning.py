"""What AWS gives back in other words, in another order or with more beside it is no drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from iotpipe.errors import RefusedError
from iotpipe.provision.adoption import EVERYTHING
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.role import Role
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.topic import Topic
from tests.support.manual_edits import arn, client
from tests.support.resource_contract import QuickWorld, untouched
from tests.support.samples.data import a_table, a_topic
from tests.support.samples.every_kind import SAMPLES

IAM = "AssumeRolePolicyDocument"


def unmoved(world: QuickWorld, wanted: Sequence[Resource]) -> bool:
    """Whether neither a plan nor an `up` finds anything to do."""
    calm = untouched(world.plan(wanted))
    world.up(wanted)
    return calm and not world.writes


def answering(world: QuickWorld, operation: str, change: Any) -> None:
    """From now on AWS answers the operation as `change` makes it of moto's answer."""

    def answered(called: str, answer: Any) -> None:
        if called == operation:
            change(answer)

    world.after = answered


# Roles


def policies(role: str = "sample-role") -> tuple[dict[str, Any], dict[str, Any]]:
    """The trust policy and the inline policy, as they were sent."""
    trust = client("iam").get_role(RoleName=role)["Role"][IAM]
    inline = client("iam").get_role_policy(RoleName=role, PolicyName="iotpipe")["PolicyDocument"]
    return trust, inline


def test_a_role_whose_policies_come_back_in_other_words_is_as_declared(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["role"].make())
    world.up(wanted)
    trust, inline = policies()
    (assume,) = trust["Statement"]
    trust["Statement"] = assume | {"Action": ["sts:AssumeRole"], "Principal": {"Service": ["lambda.amazonaws.com"]}}
    for each in inline["Statement"]:
        actions = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
        each["Action"] = [action.lower() for action in reversed(actions)]
        each["Resource"] = each["Resource"][0]
        del each["Sid"]
    inline["Statement"].reverse()
    client("iam").update_assume_role_policy(RoleName="sample-role", PolicyDocument=json.dumps(trust))
    client("iam").put_role_policy(RoleName="sample-role", PolicyName="iotpipe", PolicyDocument=json.dumps(inline))
    assert unmoved(world, wanted)


def test_one_action_is_sent_as_a_text_and_actions_as_they_are_spelled(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["role"].make()))
    trust, inline = policies()
    assert [each["Action"] for each in trust["Statement"]] == ["sts:AssumeRole"]
    assert {each["Sid"]: each["Action"] for each in inline["Statement"]} == {
        "Read": ["ssm:GetParameter", "ssm:GetParameters"],
        "Trace": "xray:PutTraceSegments",
    }


def test_a_role_with_a_path_is_refused_before_anything_waits_for_its_arn(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["function"].make())
    role = next(each for each in wanted if isinstance(each, Role))
    client("iam").create_role(RoleName=role.name, Path="/team/", AssumeRolePolicyDocument="{}")
    with pytest.raises(RefusedError, match=r"Path.*'/team/'.*suffix"):
        world.up(wanted, adopt=EVERYTHING)
    assert not world.writes and not world.clock.slept


# Alarms


def two_dimensional(*names: str) -> list[Metric]:
    return [Metric("AWS/ApiGateway", name, {"ApiName": "api", "Stage": "prod"}) for name in names]


def alarm(metrics: Sequence[Metric]) -> Alarm:
    return Alarm("watch", "Too many", metrics, 10, topic=a_topic())


def reversed_dimensions(metric: dict[str, Any]) -> None:
    metric["Dimensions"] = metric["Dimensions"][::-1]


def test_the_order_of_an_alarms_dimensions_does_not_count(world: QuickWorld) -> None:
    wanted = everything(alarm(two_dimensional("5XXError")))
    world.up(wanted)
    answering(world, "DescribeAlarms", lambda answer: [reversed_dimensions(each) for each in answer["MetricAlarms"]])
    assert unmoved(world, wanted)


def test_an_alarm_without_dimensions_is_the_same_whether_aws_says_so_or_nothing(world: QuickWorld) -> None:
    wanted = everything(alarm([Metric("AWS/Lambda", "Errors", {})]))
    world.up(wanted)
    answering(world, "DescribeAlarms", lambda answer: [each.pop("Dimensions") for each in answer["MetricAlarms"]])
    assert unmoved(world, wanted)


def test_the_order_of_an_alarms_metrics_and_of_their_dimensions_does_not_count(world: QuickWorld) -> None:
    wanted = everything(alarm(two_dimensional("4XXError", "5XXError")))
    world.up(wanted)

    def shuffled(answer: Any) -> None:
        for each in answer["MetricAlarms"]:
            each["Metrics"] = sorted(each["Metrics"], key=lambda query: str(query["Id"]))
            for query in each["Metrics"]:
                if "MetricStat" in query:
                    reversed_dimensions(query["MetricStat"]["Metric"])
                else:
                    # What is returned by default need not be said to be.
                    del query["ReturnData"]

    answering(world, "DescribeAlarms", shuffled)
    assert unmoved(world, wanted)
    answering(world, "DescribeAlarms", lambda answer: answer["MetricAlarms"][0]["Metrics"].reverse())
    assert unmoved(world, wanted)


def test_an_alarm_that_tells_somebody_else_too_is_drift_and_keeps_its_own_topic(world: QuickWorld) -> None:
    wanted = everything(alarm(two_dimensional("5XXError")))
    world.up(wanted)

    def tells_more(answer: Any) -> None:
        for each in answer["MetricAlarms"]:
            each["AlarmActions"] = [arn("sns", "zzz"), *each["AlarmActions"]]

    answering(world, "DescribeAlarms", tells_more)
    (change,) = world.plan(wanted).of("alarm/watch").changes
    assert (change.property, change.after) == ("AlarmActions", [arn("sns", "sample-topic")])
    assert change.before == [arn("sns", "sample-topic"), arn("sns", "zzz")]


@pytest.mark.parametrize(("statistic", "name"), [("p95", "ExtendedStatistic"), ("Maximum", "Statistic")])
def test_a_percentile_is_asked_for_by_the_name_that_cloudwatch_has_for_it(
    statistic: str, name: str, world: QuickWorld
) -> None:
    wanted = everything(alarm([Metric("AWS/Lambda", "Duration", {"FunctionName": "f"}, statistic)]))
    world.up(wanted)
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["watch"])["MetricAlarms"]
    assert {key: found[key] for key in ("Statistic", "ExtendedStatistic") if key in found} == {name: statistic}
    assert unmoved(world, wanted)


def test_an_alarm_may_turn_from_a_sum_to_a_percentile_and_back(world: QuickWorld) -> None:
    for statistic in ("Sum", "p95", "Sum"):
        wanted = everything(alarm([Metric("AWS/Lambda", "Duration", {"FunctionName": "f"}, statistic)]))
        world.up(wanted)
        assert "PutMetricAlarm" in world.writes
        assert untouched(world.plan(wanted))


# Subscriptions

TOPIC = Topic("t", display_name="T")


def test_an_address_that_sns_has_in_another_case_gets_no_second_mail(world: QuickWorld) -> None:
    world.up([TOPIC])
    client("sns").subscribe(TopicArn=arn("sns", "t"), Protocol="email", Endpoint="Ops@Example.com")
    world.up(everything(Subscription("ops@example.com", TOPIC)))
    assert not world.writes
    world.up([TOPIC])
    assert world.writes == ["Unsubscribe"]
    assert not client("sns").list_subscriptions()["Subscriptions"]


def test_an_address_that_is_written_in_another_case_stays_subscribed(world: QuickWorld) -> None:
    world.up(everything(Subscription("ops@example.com", TOPIC, endpoint="Ops@Example.com")))
    (made,) = client("sns").list_subscriptions()["Subscriptions"]
    assert made["Endpoint"] == "Ops@Example.com", "it is subscribed as it was written"
    assert unmoved(world, everything(Subscription("ops@example.com", TOPIC)))


# Tables


def add_index() -> None:
    """A global index by another attribute, as somebody makes it in the console."""
    index = {
        "IndexName": "by-site",
        "KeySchema": [{"AttributeName": "site", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    client("dynamodb").update_table(
        TableName="sample-table",
        AttributeDefinitions=[
            {"AttributeName": "site", "AttributeType": "S"},
            {"AttributeName": "device_id", "AttributeType": "S"},
            {"AttributeName": "timestamp", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


def test_an_index_that_somebody_added_to_a_table_stops_nothing_and_stays(world: QuickWorld) -> None:
    world.up([a_table()])
    add_index()
    assert unmoved(world, [a_table()])
    world.up([replace(a_table(), deletion_protection=True)])
    assert world.writes == ["UpdateTable"]
    table = client("dynamodb").describe_table(TableName="sample-table")["Table"]
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["by-site"]


def test_the_order_of_a_key_schema_does_not_count(world: QuickWorld) -> None:
    world.up([a_table()])
    answering(world, "DescribeTable", lambda answer: answer["Table"]["KeySchema"].reverse())
    assert unmoved(world, [a_table()])


# Texts that hold JSON


@pytest.mark.parametrize(
    "text", ['{"rate": 1.0, "on": true, "batch_size": 100}', '{\n "batch_size": 1e2,\n "on": true,\n "rate": 1}\n']
)
def test_a_parameter_in_another_spelling_of_its_json_is_as_declared(text: str, world: QuickWorld) -> None:
    wanted = [Parameter("/sample/config", {"batch_size": 100, "rate": 1.0, "on": True})]
    world.up(wanted)
    client("ssm").put_parameter(Name="/sample/config", Type="String", Value=text, Overwrite=True)
    assert unmoved(world, wanted)


def test_a_dashboard_in_another_spelling_of_its_json_is_as_declared(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["dashboard"].make())
    world.up(wanted)
    body = json.loads(client("cloudwatch").get_dashboard(DashboardName="sample-dashboard")["DashboardBody"])
    body["widgets"] = [dict(reversed(each.items())) | {"width": 12.0} for each in body["widgets"]]
    text = json.dumps(body, indent=2)
    client("cloudwatch").put_dashboard(DashboardName="sample-dashboard", DashboardBody=text)
    assert unmoved(world, wanted)
