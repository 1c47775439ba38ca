"""CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, by_name, tag_list
from iotpipe.provision.resources.cloudwatch_calls import not_found, read_tags, retag
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of

_ARN = (regional_arn("cloudwatch", "alarm:{name}"),)
_MUTE_RULES = (regional_arn("cloudwatch", "alarm-mute-rule:*"),)


@dataclass(frozen=True, eq=False)
class Alarm(Resource):
    """Tells the topic when the metric, or the sum of several, is above the threshold in one period of 300 s.

    The sum fills gaps with 0: for AWS/DynamoDB CloudWatch ignores what TreatMissingData says, and the throttle
    metrics only exist while something is throttled.
    """

    kind: ClassVar[str] = "alarm"
    aws_service: ClassVar[str] = "cloudwatch"
    arn_form: ClassVar[str] = r"cloudwatch:alarm:(?P<name>.+)"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Alarms",
            "cloudwatch",
            _ARN,
            plan="ListTagsForResource",
            up="PutMetricAlarm TagResource UntagResource",
            down="DeleteAlarms",
        ),
        # AWS asks about all alarms, whichever are named.
        Right(
            "FindAlarms",
            "cloudwatch",
            (regional_arn("cloudwatch", "alarm:*"),),
            plan="DescribeAlarms",
            view="DescribeAlarms",
        ),
        Right("Anywhere", "tag", ("*",), plan="GetResources"),
        Right("Anywhere", "cloudwatch", ("*",), plan="ListMetrics ListAlarmMuteRules"),
        # The list of rules does not contain the alarms: each rule has to be read.
        Right("MuteRules", "cloudwatch", _MUTE_RULES, plan="GetAlarmMuteRule", up="DeleteAlarmMuteRule"),
    )

    description: str
    metrics: Sequence[Metric]
    threshold: float
    # An alarm may name a topic that does not exist yet.
    topic: Topic = by_name()

    def arn(self, run: Run) -> str:
        return _alarm_arn(run, self.name)

    def desired(self, run: Run) -> Properties:
        return {
            "AlarmDescription": self.description,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": float(self.threshold),
            "EvaluationPeriods": 1,
            "ActionsEnabled": True,
            "AlarmActions": [self.topic.arn(run)],
            "TreatMissingData": "notBreaching",
            **self._measured(),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = described_alarms(run).get(self.name)
        if found is None:
            return None
        arn = self.arn(run)
        return {**_ordered(found), "Tags": tags_of(run, arn, lambda: read_tags(run, arn))}

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("cloudwatch").put_metric_alarm(
            AlarmName=self.name, **_as_request(desired), Tags=tag_list(desired["Tags"])
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        cloudwatch = run.client("cloudwatch")
        # A put replaces the whole alarm but leaves the tags of an existing one alone.
        if any(desired[key] != observed.get(key) for key in desired if key != "Tags"):
            cloudwatch.put_metric_alarm(AlarmName=self.name, **_as_request(desired))
        retag(run, self.arn(run), desired, observed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        cloudwatch = run.client("cloudwatch")
        try:
            cloudwatch.delete_alarms(AlarmNames=[recorded.name])
        except not_found(cloudwatch):
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = run.client("cloudwatch").describe_alarms(AlarmNames=[recorded.name])["MetricAlarms"]
        return read_tags(run, _alarm_arn(run, recorded.name)) if found else None

    def _measured(self) -> Properties:
        if len(self.metrics) == 1:
            metric = self.metrics[0]
            return {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": _dimensions(metric),
                # CloudWatch takes percentiles and the like under another name, and of a lone metric only.
                "Statistic" if metric.statistic in _STATISTICS else "ExtendedStatistic": metric.statistic,
                "Period": 300,
            }
        queries = [_query(f"m{number}", metric) for number, metric in enumerate(self.metrics, 1)]
        total = " + ".join(f"FILL({each['Id']}, 0)" for each in queries)
        return {"Metrics": _by("Id", [{"Id": "total", "Expression": total, "ReturnData": True}, *queries])}


_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


def _query(identifier: str, metric: Metric) -> dict[str, Any]:
    described = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": _dimensions(metric)}
    stat = {"Metric": described, "Period": 300, "Stat": metric.statistic}
    return {"Id": identifier, "MetricStat": stat, "ReturnData": False}


def _dimensions(metric: Metric) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions.items())]


def _ordered(alarm: Properties) -> Properties:
    """The alarm with everything in order whose order CloudWatch does not promise to keep."""
    made: Properties = {"AlarmActions": sorted(set(alarm.get("AlarmActions", [])))}
    if "MetricName" in alarm:
        made["Dimensions"] = _by("Name", alarm.get("Dimensions", []))
    if "Metrics" in alarm:
        made["Metrics"] = [_ordered_query(each) for each in _by("Id", alarm["Metrics"])]
    return alarm | made


def _ordered_query(query: dict[str, Any]) -> dict[str, Any]:
    # What does not say whether its data is returned returns it.
    made = {"ReturnData": True} | query
    if "MetricStat" in query:
        stat = query["MetricStat"]
        metric = stat["Metric"] | {"Dimensions": _by("Name", stat["Metric"].get("Dimensions", []))}
        made["MetricStat"] = stat | {"Metric": metric}
    return made


def _by(key: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda each: str(each[key]))


def _as_request(desired: Properties) -> Properties:
    return {key: value for key, value in desired.items() if key != "Tags"}


def described_alarms(run: Run) -> dict[str, Properties]:
    """The declared alarms as CloudWatch describes them, by name, read once per command."""
    return run.once("alarms", lambda: _alarms(run))


def _alarms(run: Run) -> dict[str, Properties]:
    names = [each.name for each in run.resources if isinstance(each, Alarm)]
    pages = run.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNames=names)
    return {each["AlarmName"]: each for page in pages for each in page["MetricAlarms"]}


def _alarm_arn(run: Run, name: str) -> str:
    return run.aws.arn("cloudwatch", f"alarm:{name}")
