"""Health of a deployed environment: queue depths and ages, alarm states, unconfirmed alert subscriptions."""

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

# SQS publishes this metric once a minute, a few minutes late; older values say nothing about the present.
_RECENT = timedelta(minutes=15)


@dataclass(frozen=True)
class Depth:
    """Messages of one queue. `oldest` is the age of the oldest in seconds; None without a recent metric."""

    visible: int
    in_flight: int
    oldest: float | None


@dataclass(frozen=True)
class AlarmState:
    """CloudWatch's state value (OK, ALARM, INSUFFICIENT_DATA), its reason, and since when (ISO, UTC)."""

    state: str
    reason: str
    since: str


@dataclass(frozen=True)
class Health:
    """Queues and alarms by name. `unconfirmed` addresses get no alerts until their owner confirms the subscription.

    `unread` holds the errors of the parts that could not be read.
    """

    queues: dict[str, Depth]
    alarms: dict[str, AlarmState]
    unconfirmed: list[str]
    unread: list[str]


def health(run: Run, resources: Sequence[Resource]) -> Health:
    """Read the health of the queues, alarms and topics that exist. A plan must have been made with the same run.

    Errors are collected in `unread`, so that a missing permission hides only the part that needs it.
    """
    existing = [resource for resource in resources if run.look(resource) is not None]
    queues = [each for each in existing if isinstance(each, Queue)]
    alarms = [each.name for each in existing if isinstance(each, Alarm)]
    topics = [each for each in existing if isinstance(each, Topic)]
    unread: list[str] = []

    def collect_error(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ResourceError as error:
            unread.append(str(error))
            return None

    ages = collect_error(partial(_ages, run, [queue.name for queue in queues])) or {}
    depths = {queue.name: _depth(run, queue, ages) for queue in queues}
    states = collect_error(partial(_states, run, alarms)) or {}
    pending = [address for topic in topics for address in collect_error(partial(unconfirmed, run, topic)) or []]
    return Health(depths, states, pending, unread)


def _depth(run: Run, queue: Queue, ages: Mapping[str, float]) -> Depth:
    """The queue's depth, from the attributes that the plan has read."""
    attributes = run.look(queue) or {}
    visible, in_flight = (attributes.get(f"ApproximateNumberOfMessages{which}", 0) for which in ("", "NotVisible"))
    return Depth(int(visible), int(in_flight), ages.get(queue.name))


def _ages(run: Run, queues: Sequence[str]) -> dict[str, float]:
    """The latest age in seconds by queue; queues without a recent value are left out."""
    end = datetime.fromtimestamp(run.clock.now(), UTC)

    def read(attempt: int) -> dict[str, float]:
        response = run.client("cloudwatch").get_metric_data(
            MetricDataQueries=[_age_of(number, name) for number, name in enumerate(queues)],
            StartTime=end - _RECENT,
            EndTime=end + timedelta(minutes=1),
            ScanBy="TimestampDescending",
        )
        values = {result["Id"]: result["Values"] for result in response["MetricDataResults"]}
        return {name: values[f"q{number}"][0] for number, name in enumerate(queues) if values.get(f"q{number}")}

    return run.with_retries("read", "the age of the oldest messages", read) if queues else {}


def _age_of(number: int, queue: str) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
    }
    return {"Id": f"q{number}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}


def _states(run: Run, names: Sequence[str]) -> dict[str, AlarmState]:
    alarms = run.with_retries("read", "the alarms", lambda attempt: described_alarms(run)) if names else {}
    return {name: _state(alarm) for name, alarm in alarms.items() if name in names}


def _state(alarm: Mapping[str, Any]) -> AlarmState:
    # StateUpdatedTimestamp also changes when only the reason changes.
    since = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")
    return AlarmState(
        alarm["StateValue"], alarm.get("StateReason", ""), timestamp(since.timestamp()) if since else "unknown"
    )


def unconfirmed(run: Run, topic: Topic) -> list[str]:
    """The addresses that get no alerts until their owner confirms the subscription."""
    subscribed = run.with_retries(
        "read", f"the subscriptions of {topic.address}", lambda attempt: subscriptions(run, topic.arn(run))
    )
    # SNS returns this text in place of the ARN until the subscription is confirmed.
    return [each["Endpoint"] for each in subscribed if each["SubscriptionArn"] == "PendingConfirmation"]
