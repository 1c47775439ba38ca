"""What others added to alarms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, HIDES, Check, Foreign, Seen

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
"""What they are where nobody has set them."""


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


def _put(seen: Seen) -> None:
    wanted = {key: value for key, value in seen.resource.desired(seen.run).items() if key != "Tags"}
    seen.run.client("cloudwatch").put_metric_alarm(AlarmName=seen.resource.name, **wanted)


ALARM = Check(_judge)
