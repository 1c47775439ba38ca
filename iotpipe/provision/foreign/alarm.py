"""What others added to alarms, and the rules with which they mute them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from iotpipe.provision.call_errors import code_and_message
from iotpipe.provision.foreign.finding import ALTERS, HIDES, Check, Foreign, Seen
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.run import Run

_ACTIONS = {"OKActions": "is over", "InsufficientDataActions": "has no data"}
_SETTINGS = {
    "Unit": (HIDES, "sees only values whose unit is {}, and what it watches may have none of these"),
    "ThresholdMetricId": (HIDES, "compares with the band {}, not with its threshold"),
    "WarmUpConfiguration": (HIDES, "says nothing for a while after each change of it: {}"),
    "EvaluationWindow": (ALTERS, "looks at other stretches of time: {}"),
    "DatapointsToAlarm": (ALTERS, "goes off when {} of the values it looks at are too high"),
    "EvaluateLowSampleCountPercentile": (ALTERS, "treats few values in a way of its own: {}"),
}
"""By property that iotpipe sets nowhere: what it does to the alarm."""
_AS_MADE: tuple[Any, ...] = ({"SlidingWindow": {}},)
"""Their values where nobody has set them."""


def mute_rules(run: Run, alarm: Alarm) -> list[Properties]:
    """The rules that mute the alarm, now or at times to come."""
    every = run.once("mute rules", lambda: _mute_rules(run))
    return [each for each in every if alarm.name in _muted(each)]


def _mute_rules(run: Run) -> list[Properties]:
    cloudwatch = run.client("cloudwatch")
    pages = cloudwatch.get_paginator("list_alarm_mute_rules").paginate(Statuses=["SCHEDULED", "ACTIVE"])
    try:
        listed = [each["AlarmMuteRuleArn"] for page in pages for each in page["AlarmMuteRuleSummaries"]]
    except ClientError as error:
        # Not every region, nor the AWS on this machine, knows such rules.
        if code_and_message(error)[0] in ("InvalidAction", "UnknownOperationException"):
            return []
        raise
    # The list of rules does not contain the alarms.
    names = (arn.partition(":alarm-mute-rule:")[2] for arn in listed)
    return [found for name in names if (found := _mute_rule(run, name))]


def _mute_rule(run: Run, name: str) -> Properties | None:
    cloudwatch = run.client("cloudwatch")
    try:
        found: Properties = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName=name)
    except cloudwatch.exceptions.ResourceNotFoundException:
        return None
    return found


def _muted(rule: Properties) -> list[str]:
    names: list[str] = rule.get("MuteTargets", {}).get("AlarmNames", [])
    return names


def _judge(seen: Seen) -> Iterator[Foreign]:
    found, name = seen.observed, seen.resource.name
    # A put replaces the whole alarm: what it does not mention is gone.
    remove = partial(_put, seen)
    for actions, when in _ACTIONS.items():
        for target in found.get(actions, []):
            told = f"when the alarm {name} {when}, CloudWatch calls {target}"
            yield seen.foreign(f"{actions} {target}", ALTERS, told, remove)
    for setting, (risk, told) in _SETTINGS.items():
        if (value := found.get(setting)) not in (None, *_AS_MADE):
            yield seen.foreign(setting, risk, f"the alarm {name} {told.format(value)}", remove)

    yield from _mutings(seen)


def _mutings(seen: Seen) -> Iterator[Foreign]:
    for rule in seen.read(mute_rules):
        schedule = rule["Rule"]["Schedule"]
        when = f"{schedule['Expression']} for {schedule['Duration']}"
        told = f"the alarm {seen.resource.name} tells nobody while the rule {rule['Name']} mutes it: {when}"
        yield seen.foreign(f"mute rule {rule['Name']}", HIDES, told, partial(_unmute, seen, rule))


def _unmute(seen: Seen, rule: Properties) -> None:
    ours = {each.name for each in seen.run.resources if isinstance(each, Alarm)}
    if others := sorted(set(_muted(rule)) - ours):
        raise RefusedError(
            f"the mute rule {rule['Name']} is also about alarms that are not the environment's: {', '.join(others)}",
            f"Take {seen.resource.name} out of it, or delete it with `aws cloudwatch delete-alarm-mute-rule "
            f"--alarm-mute-rule-name {rule['Name']} --region {seen.run.aws.region}`",
        )
    seen.run.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=rule["Name"])


def _put(seen: Seen) -> None:
    wanted = {key: value for key, value in seen.resource.desired(seen.run).items() if key != "Tags"}
    seen.run.client("cloudwatch").put_metric_alarm(AlarmName=seen.resource.name, **wanted)


CHECK = Check(_judge, (mute_rules,))
