"""What the embedded CloudWatch tells the topic of an alarm: AWS's own message, of which ministack's has only a part."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def tell(alarm: Mapping[str, Any], before: str, state: str, reason: str) -> None:
    """Publish CloudWatch's message to the topics of the alarm's actions for this state."""
    from ministack.core.responses import get_region, new_uuid
    from ministack.services import cloudwatch, sns

    topics = [each for each in alarm.get(_ACTIONS[state]) or [] if cloudwatch._is_sns_action_arn(each)]
    if not alarm.get("ActionsEnabled", True) or not topics:
        return
    region = _region_name(get_region())
    text = json.dumps(message(alarm, before, state, reason, region, time.time()))
    for topic in topics:
        try:
            sns._fanout(topic, new_uuid(), text, f'{state}: "{alarm["AlarmName"]}" in {region}'[:100])
        # Whatever a subscriber's end trips over: the others and the alarm itself go on.
        except Exception:
            logging.getLogger(__name__).exception("cannot publish to %s", topic)


def message(alarm: Mapping[str, Any], before: str, state: str, reason: str, region: str, now: float) -> dict[str, Any]:
    """What CloudWatch publishes: its fields, by their names.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    configured = alarm.get("AlarmConfigurationUpdatedTimestamp")
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": alarm["AlarmArn"].split(":")[4],
        "AlarmConfigurationUpdatedTimestamp": _moment(configured) if configured else None,
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": _moment(now),
        "Region": region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        **{field: alarm.get(field) or [] for field in ("OKActions", "AlarmActions", "InsufficientDataActions")},
        "Trigger": _trigger(alarm),
    }


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    if "AlarmRule" in alarm:
        return {}
    judged = {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm.get("EvaluationPeriods"),
        "ComparisonOperator": alarm.get("ComparisonOperator"),
        "Threshold": alarm.get("Threshold"),
        "TreatMissingData": alarm.get("TreatMissingData"),
        "EvaluateLowSampleCountPercentile": "",
    }
    if queries := alarm.get("Metrics"):
        return judged | {"Metrics": [_query(each) for each in queries]}
    extended = alarm.get("ExtendedStatistic")
    return {
        "MetricName": alarm.get("MetricName"),
        "Namespace": alarm.get("Namespace"),
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": str(alarm.get("Statistic")).upper()}),
        "Unit": alarm.get("Unit"),
        "Dimensions": _dimensions(alarm.get("Dimensions") or []),
        **judged,
    }


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    said = dict(query)
    if stat := query.get("MetricStat"):
        metric = stat["Metric"] | {"Dimensions": _dimensions(stat["Metric"].get("Dimensions") or [])}
        said["MetricStat"] = stat | {"Metric": metric}
    return said


def _dimensions(listed: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    # The one place where CloudWatch writes them small, and the value first.
    return [{"value": each["Value"], "name": each["Name"]} for each in listed]


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"


@cache
def _region_name(region: str) -> str:
    """As CloudWatch's messages name it, such as "US East (N. Virginia)"."""
    from botocore.loaders import Loader

    partitions = Loader().load_data("endpoints")["partitions"]
    return next((each["regions"][region]["description"] for each in partitions if region in each["regions"]), region)
