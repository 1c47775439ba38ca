"""How an environment is doing: what waits in its queues, and which alarms are not OK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iotpipe.provision.resource import Resource
from iotpipe.provision.resources import Alarm, Queue
from iotpipe.provision.run import Run


@dataclass(frozen=True)
class Vitals:
    """`queues` maps a queue's name to its (visible, in flight) messages, `alarms` an alarm's name to its state."""

    queues: dict[str, tuple[int, int]]
    alarms: dict[str, str]


def vitals(run: Run, resources: Sequence[Resource]) -> Vitals:
    """Ask AWS about the queues and alarms that a plan made with the same run has found."""
    there = [resource for resource in resources if run.look(resource) is not None]
    return Vitals(
        {each.name: _depth(run, each) for each in there if isinstance(each, Queue)},
        _states(run, [each.name for each in there if isinstance(each, Alarm)]),
    )


def _depth(run: Run, queue: Queue) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def ask(attempt: int) -> tuple[int, int]:
        found = run.client("sqs").get_queue_attributes(QueueUrl=queue.url(run), AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    return run.trying("read", queue.address, ask)


def _states(run: Run, names: Sequence[str]) -> dict[str, str]:
    def ask(attempt: int) -> dict[str, str]:
        pages = run.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNames=list(names))
        return {each["AlarmName"]: each["StateValue"] for page in pages for each in page["MetricAlarms"]}

    return run.trying("read", "the alarms", ask) if names else {}
