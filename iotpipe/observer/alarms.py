"""The states of the environment's alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from iotpipe.observer.snapshot import Alarms, Firing
from iotpipe.observer.source import Sampled
from iotpipe.provision.run import Run
from iotpipe.times import timestamp


class AlarmStates(Sampled):
    """Reads the states of the alarms with these names, of which CloudWatch describes up to 100 in one answer."""

    def __init__(self, names: Sequence[str], local: bool) -> None:
        super().__init__("alarms", "DescribeAlarms", 10 if local else 60)
        self._names = list(names)
        self.alarms = Alarms()

    def read(self, run: Run, now: int) -> None:
        def describe(attempt: int) -> list[dict[str, Any]]:
            pages = run.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNames=self._names)
            return [alarm for page in pages for alarm in page["MetricAlarms"]]

        found = run.with_retries("read", "the alarms", describe) if self._names else []
        firing = sorted((each for each in found if each["StateValue"] == "ALARM"), key=lambda each: each["AlarmName"])
        self.alarms = Alarms(
            evaluated=bool(found),
            states=dict(sorted(Counter(each["StateValue"] for each in found).items())),
            firing=tuple(Firing(each["AlarmName"], _since(each), each.get("StateReason", "")) for each in firing),
        )


def _since(alarm: dict[str, Any]) -> str:
    moment = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")
    return timestamp(moment.timestamp()) if moment else ""
