"""How an environment is doing: what waits in its queues and how long, what rings, who has not confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from iotpipe.errors import ResourceError
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm, described_alarms
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.subscription import subscriptions
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run
from iotpipe.times import timestamp

T = TypeVar("T")

# SQS reports once a minute and a few minutes late; older figures would say nothing about now.
_RECENT = timedelta(minutes=15)


@dataclass(frozen=True)
class Depth:
    """Messages of one queue. `oldest` is the age of the oldest in seconds, None where no recent metric says it."""

    visible: int
    in_flight: int
    oldest: float | None


@dataclass(frozen=True)
class AlarmState:
    """CloudWatch's own word for the state (OK, ALARM, INSUFFICIENT_DATA), its reason, and since when (ISO, UTC)."""

    state: str
    reason: str
    since: str


@dataclass(frozen=True)
class Vitals:
    """By name. `unconfirmed` are the addresses that get no alert before their owner confirms; `unread` is why what
    is missing here is missing.
    """

    queues: dict[str, Depth]
    alarms: dict[str, AlarmState]
    unconfirmed: list[str]
    unread: list[str]


def vitals(run: Run, resources: Sequence[Resource]) -> Vitals:
    """Ask AWS about the queues, alarms and topics that a plan made with the same run has found.

    What may not be read is told in `unread`, so that a missing permission hides only what it is about.
    """
    there = [resource for resource in resources if run.look(resource) is not None]
    queues = [each for each in there if isinstance(each, Queue)]
    alarms = [each.name for each in there if isinstance(each, Alarm)]
    topics = [each for each in there if isinstance(each, Topic)]
    unread: list[str] = []

    def part(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ResourceError as error:
            unread.append(str(error))
            return None

    ages = part(partial(_ages, run, [each.name for each in queues])) or {}
    depths = {each.name: _depth(run, each, ages) for each in queues}
    states = part(partial(_states, run, alarms)) or {}
    waiting = [address for each in topics for address in part(partial(unconfirmed, run, each)) or []]
    return Vitals(depths, states, waiting, unread)


def _depth(run: Run, queue: Queue, ages: Mapping[str, float]) -> Depth:
    """What the plan has read of the queue."""
    found = run.look(queue) or {}
    waiting, flying = (found.get(f"ApproximateNumberOfMessages{which}", 0) for which in ("", "NotVisible"))
    return Depth(int(waiting), int(flying), ages.get(queue.name))


def _ages(run: Run, queues: Sequence[str]) -> dict[str, float]:
    """The latest figure per queue, of those that have one."""
    end = datetime.fromtimestamp(run.clock.now(), UTC)

    def ask(attempt: int) -> dict[str, float]:
        answer = run.client("cloudwatch").get_metric_data(
            MetricDataQueries=[_age_of(number, name) for number, name in enumerate(queues)],
            StartTime=end - _RECENT,
            EndTime=end + timedelta(minutes=1),
            ScanBy="TimestampDescending",
        )
        figures = {each["Id"]: each["Values"] for each in answer["MetricDataResults"]}
        return {name: figures[f"q{number}"][0] for number, name in enumerate(queues) if figures.get(f"q{number}")}

    return run.trying("read", "the age of the oldest messages", ask) if queues else {}


def _age_of(number: int, queue: str) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
    }
    return {"Id": f"q{number}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}


def _states(run: Run, names: Sequence[str]) -> dict[str, AlarmState]:
    found = run.trying("read", "the alarms", lambda attempt: described_alarms(run)) if names else {}
    return {name: _state(alarm) for name, alarm in found.items() if name in names}


def _state(alarm: Mapping[str, Any]) -> AlarmState:
    # StateUpdatedTimestamp also moves when only the reason changes.
    since = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")
    return AlarmState(
        alarm["StateValue"], alarm.get("StateReason", ""), timestamp(since.timestamp()) if since else "unknown"
    )


def unconfirmed(run: Run, topic: Topic) -> list[str]:
    """The addresses that get no alert before their owner confirms."""
    found = run.trying(
        "read", f"the subscriptions of {topic.address}", lambda attempt: subscriptions(run, topic.arn(run))
    )
    # It stands where a confirmed one has its ARN.
    return [each["Endpoint"] for each in found if each["SubscriptionArn"] == "PendingConfirmation"]
