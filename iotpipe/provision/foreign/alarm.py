"""What others added to alarms, and the rules that mute them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from iotpipe.provision.call_errors import code_and_message
from iotpipe.provision.foreign.finding import ALTERS, HIDES, Check, CheckedResource, Foreign
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
"""Properties that iotpipe never sets: the risk and the effect on the alarm."""
_DEFAULTS: tuple[Any, ...] = ({"SlidingWindow": {}},)
"""Their values if nobody has set them, apart from None."""


def mute_rules(run: Run, alarm: Alarm) -> list[Properties]:
    """Return the rules that mute the alarm now or in the future."""
    every = run.once("mute rules", lambda: _mute_rules(run))
    return [each for each in every if alarm.name in _muted(each)]


def _mute_rules(run: Run) -> list[Properties]:
    cloudwatch = run.client("cloudwatch")
    pages = cloudwatch.get_paginator("list_alarm_mute_rules").paginate(Statuses=["SCHEDULED", "ACTIVE"])
    try:
        listed = [each["AlarmMuteRuleArn"] for page in pages for each in page["AlarmMuteRuleSummaries"]]
    except ClientError as error:
        # Some regions and the embedded AWS do not support mute rules.
        if code_and_message(error)[0] in ("InvalidAction", "UnknownOperationException"):
            return []
        raise
    # The list does not contain the alarms of a rule.
    names = (arn.partition(":alarm-mute-rule:")[2] for arn in listed)
    return [live for name in names if (live := _mute_rule(run, name))]


def _mute_rule(run: Run, name: str) -> Properties | None:
    cloudwatch = run.client("cloudwatch")
    try:
        live: Properties = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName=name)
    except cloudwatch.exceptions.ResourceNotFoundException:
        return None
    return live


def _muted(rule: Properties) -> list[str]:
    names: list[str] = rule.get("MuteTargets", {}).get("AlarmNames", [])
    return names


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    live, name = checked.observed, checked.resource.name
    # PutMetricAlarm replaces the whole alarm, which removes every property that it does not set.
    remove = partial(_restore, checked)
    for actions, when in _ACTIONS.items():
        for target in live.get(actions, []):
            text = f"when the alarm {name} {when}, CloudWatch calls {target}"
            yield checked.finding(f"{actions} {target}", ALTERS, text, remove)
    for setting, (risk, text) in _SETTINGS.items():
        if (value := live.get(setting)) not in (None, *_DEFAULTS):
            yield checked.finding(setting, risk, f"the alarm {name} {text.format(value)}", remove)

    yield from _muting_rules(checked)


def _muting_rules(checked: CheckedResource) -> Iterator[Foreign]:
    for rule in checked.read(mute_rules):
        schedule = rule["Rule"]["Schedule"]
        when = f"{schedule['Expression']} for {schedule['Duration']}"
        text = f"the alarm {checked.resource.name} tells nobody while the rule {rule['Name']} mutes it: {when}"
        yield checked.finding(f"mute rule {rule['Name']}", HIDES, text, partial(_unmute, checked, rule))


def _unmute(checked: CheckedResource, rule: Properties) -> None:
    ours = {each.name for each in checked.run.resources if isinstance(each, Alarm)}
    if others := sorted(set(_muted(rule)) - ours):
        raise RefusedError(
            f"the mute rule {rule['Name']} is also about alarms that are not the environment's: {', '.join(others)}",
            f"Take {checked.resource.name} out of it, or delete it with `aws cloudwatch delete-alarm-mute-rule "
            f"--alarm-mute-rule-name {rule['Name']} --region {checked.run.aws.region}`",
        )
    checked.run.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=rule["Name"])


def _restore(checked: CheckedResource) -> None:
    wanted = {key: value for key, value in checked.resource.desired(checked.run).items() if key != "Tags"}
    checked.run.client("cloudwatch").put_metric_alarm(AlarmName=checked.resource.name, **wanted)


CHECK = Check(_check, (mute_rules,))
