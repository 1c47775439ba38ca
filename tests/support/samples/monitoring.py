"""Samples of what watches: alarms and the dashboard."""

from __future__ import annotations

import json
from typing import Any

from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.dashboard import Dashboard
from iotpipe.provision.resources.metric import Metric
from tests.support.manual_edits import (
    ACCOUNT,
    arn,
    as_tags,
    client,
    pairs,
)
from tests.support.samples.data import a_topic
from tests.support.samples.sample import Sample, Tagging, Tampering

# Alarms and the dashboard

_ALARM = arn("cloudwatch", "alarm:sample-alarm")
_SETTINGS = (
    "AlarmDescription",
    "ComparisonOperator",
    "Threshold",
    "EvaluationPeriods",
    "ActionsEnabled",
    "AlarmActions",
    "TreatMissingData",
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "Period",
)


def _alarm() -> Alarm:
    metric = Metric("AWS/Lambda", "Errors", {"FunctionName": "sample-function"})
    return Alarm("sample-alarm", "More than 10 errors", [metric], 10, topic=a_topic())


def _put_alarm(**changes: Any) -> None:
    (found,) = client("cloudwatch").describe_alarms(AlarmNames=["sample-alarm"])["MetricAlarms"]
    settings = {key: found[key] for key in _SETTINGS} | changes
    client("cloudwatch").put_metric_alarm(AlarmName="sample-alarm", **settings)


def _alarmed(what: str, **changes: Any) -> Tampering:
    return Tampering(what, lambda: _put_alarm(**changes), tuple(changes), ("PutMetricAlarm",))


def _make_alarm(tags: dict[str, str]) -> None:
    client("cloudwatch").put_metric_alarm(
        AlarmName="sample-alarm",
        ComparisonOperator="LessThanThreshold",
        Threshold=1.0,
        EvaluationPeriods=2,
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Average",
        Period=60,
        Tags=pairs(tags),
    )


def _cloudwatch_tagging(which: str) -> Tagging:
    return Tagging(
        lambda: as_tags(client("cloudwatch").list_tags_for_resource(ResourceARN=which)["Tags"]),
        lambda tags: client("cloudwatch").tag_resource(ResourceARN=which, Tags=pairs(tags)),
        lambda keys: client("cloudwatch").untag_resource(ResourceARN=which, TagKeys=keys),
        "TagResource",
        "UntagResource",
    )


ALARM = Sample(
    _alarm,
    lambda: len(client("cloudwatch").describe_alarms(AlarmNames=["sample-alarm"])["MetricAlarms"]),
    lambda: client("cloudwatch").delete_alarms(AlarmNames=["sample-alarm"]),
    ("PutMetricAlarm",),
    (
        _alarmed("renamed", AlarmDescription="Spam"),
        _alarmed("upside down", ComparisonOperator="LessThanThreshold"),
        _alarmed("deaf", Threshold=1_000_000.0),
        _alarmed("slow", EvaluationPeriods=12),
        _alarmed("mute", ActionsEnabled=False),
        _alarmed("tells somebody else", AlarmActions=[arn("sns", "somebody-else")]),
        _alarmed("fires on silence", TreatMissingData="breaching"),
        _alarmed("of another service", Namespace="AWS/SQS"),
        _alarmed("of another metric", MetricName="Invocations"),
        _alarmed("of another function", Dimensions=[{"Name": "FunctionName", "Value": "other"}]),
        _alarmed("averaged", Statistic="Average"),
        _alarmed("hasty", Period=60),
    ),
    _cloudwatch_tagging(_ALARM),
    _make_alarm,
)


def _dashboard() -> Dashboard:
    return Dashboard("sample-dashboard", [("Requests", [Metric("AWS/ApiGateway", "Count", {"ApiName": "sample-api"})])])


def _put_dashboard(tags: dict[str, str] | None = None) -> None:
    body = json.dumps({"widgets": [{"type": "text", "width": 6, "properties": {"markdown": "hello"}}]})
    client("cloudwatch").put_dashboard(DashboardName="sample-dashboard", DashboardBody=body, Tags=pairs(tags or {}))


def _dashboards() -> list[str]:
    return [each["DashboardName"] for each in client("cloudwatch").list_dashboards()["DashboardEntries"]]


DASHBOARD = Sample(
    _dashboard,
    lambda: _dashboards().count("sample-dashboard"),
    lambda: client("cloudwatch").delete_dashboards(DashboardNames=["sample-dashboard"]),
    ("PutDashboard",),
    (Tampering("other widgets", _put_dashboard, ("DashboardBody.widgets",), ("PutDashboard",)),),
    _cloudwatch_tagging(f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/sample-dashboard"),
    _put_dashboard,
)
