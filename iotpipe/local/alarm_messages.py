"""The alarm notifications of the embedded CloudWatch: AWS's message with all its fields, which ministack's lacks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def notify(alarm: Mapping[str, Any], before: str, state: str, reason: str) -> None:
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
        # A failing subscriber must not affect the other topics or the alarm.
        except Exception:
            logging.getLogger(__name__).exception("cannot publish to %s", topic)


def message(alarm: Mapping[str, Any], before: str, state: str, reason: str, region: str, now: float) -> dict[str, Any]:
    """Return the message that CloudWatch publishes.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    configured = alarm.get("AlarmConfigurationUpdatedTimestamp")
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": alarm["AlarmArn"].split(":")[4],
        "AlarmConfigurationUpdatedTimestamp": _iso_time(configured) if configured else None,
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": _iso_time(now),
        "Region": region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        **{field: alarm.get(field) or [] for field in ("OKActions", "AlarmActions", "InsufficientDataActions")},
        "Trigger": _trigger(alarm),
    }


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    if "AlarmRule" in alarm:
        return {}
    evaluation = {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm.get("EvaluationPeriods"),
        "ComparisonOperator": alarm.get("ComparisonOperator"),
        "Threshold": alarm.get("Threshold"),
        "TreatMissingData": alarm.get("TreatMissingData"),
        "EvaluateLowSampleCountPercentile": "",
    }
    if queries := alarm.get("Metrics"):
        return evaluation | {"Metrics": [_query(query) for query in queries]}
    extended = alarm.get("ExtendedStatistic")
    return {
        "MetricName": alarm.get("MetricName"),
        "Namespace": alarm.get("Namespace"),
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": str(alarm.get("Statistic")).upper()}),
        "Unit": alarm.get("Unit"),
        "Dimensions": _dimensions(alarm.get("Dimensions") or []),
        **evaluation,
    }


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    if stat := query.get("MetricStat"):
        metric = stat["Metric"] | {"Dimensions": _dimensions(stat["Metric"].get("Dimensions") or [])}
        return {**query, "MetricStat": stat | {"Metric": metric}}
    return dict(query)


def _dimensions(dimensions: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    # Only here does CloudWatch use lower-case names, with the value first.
    return [{"value": each["Value"], "name": each["Name"]} for each in dimensions]


def _iso_time(seconds: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}+0000"


@cache
def _region_name(region: str) -> str:
    """Return the region's name as in CloudWatch's messages, such as "US East (N. Virginia)"."""
    from botocore.loaders import Loader

    partitions = Loader().load_data("endpoints")["partitions"]
    return next((each["regions"][region]["description"] for each in partitions if region in each["regions"]), region)
