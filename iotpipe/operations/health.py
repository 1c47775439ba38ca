"""Health of a deployed environment: queue depths and ages, MQTT, alarm states, unconfirmed alert subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from iotpipe.errors import ResourceError
from iotpipe.names import DEVICE_QUEUE
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm, described_alarms
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.subscription import subscriptions
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.resources.topic_rule import TopicRule
from iotpipe.provision.run import Run
from iotpipe.times import timestamp

T = TypeVar("T")

# SQS publishes this metric once a minute, a few minutes late; older values say nothing about the present.
_RECENT = timedelta(minutes=15)
_PAGE = 250
"""The most things that AWS IoT lists in one answer."""


@dataclass(frozen=True)
class Depth:
    """Messages of one queue. `oldest` is the age of the oldest in seconds; None without a recent metric."""

    visible: int
    in_flight: int
    oldest: float | None


@dataclass(frozen=True)
class Mqtt:
    """The way in over MQTT. `messages` are those of the last 15 minutes that the rule has matched.

    `not_queued` are those of them that are dead letters because they could not be queued, `lost` are those that are
    nowhere. None is unknown: AWS tells nothing of 15 quiet minutes. `enrolled` counts devices, up to `most`.
    """

    rule: str
    messages: int | None
    not_queued: int | None
    lost: int | None
    enrolled: int | None
    most: int = _PAGE


@dataclass(frozen=True)
class AlarmState:
    """CloudWatch's state value (OK, ALARM, INSUFFICIENT_DATA), its reason, and since when (ISO, UTC)."""

    state: str
    reason: str
    since: str


@dataclass(frozen=True)
class Health:
    """Queues and alarms by name. `unconfirmed` addresses get no alerts until their owner confirms the subscription.

    `unread` holds the errors of the parts that could not be read. `mqtt` is None without a topic rule.
    """

    queues: dict[str, Depth]
    alarms: dict[str, AlarmState]
    unconfirmed: list[str]
    unread: list[str]
    mqtt: Mqtt | None = None


def health(run: Run, resources: Sequence[Resource]) -> Health:
    """Read the health of the queues, alarms and topics that exist. A plan must have been made with the same run.

    Errors are collected in `unread`, so that a missing permission hides only the part that needs it.
    """
    existing = [resource for resource in resources if run.look(resource) is not None]
    queues = [each for each in existing if isinstance(each, Queue)]
    alarms = [each.name for each in existing if isinstance(each, Alarm)]
    topics = [each for each in existing if isinstance(each, Topic)]
    rule = next((each for each in existing if isinstance(each, TopicRule)), None)
    unread: list[str] = []

    def collect_error(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ResourceError as error:
            unread.append(str(error))
            return None

    asked = _ages_of(queues) | (_counts_of(rule) if rule else {})
    told = collect_error(partial(_metrics, run, asked))
    ages = {queue.name: (told or {}).get(queue.name, [])[:1] for queue in queues}
    depths = {queue.name: _depth(run, queue, ages) for queue in queues}
    states = collect_error(partial(_states, run, alarms)) or {}
    pending = [address for topic in topics for address in collect_error(partial(unconfirmed, run, topic)) or []]
    enrolled = collect_error(partial(_enrolled, run, rule)) if rule else None
    return Health(depths, states, pending, unread, _mqtt(rule.name, told or {}, enrolled) if rule else None)


def _mqtt(rule: str, told: Mapping[str, Sequence[float]], enrolled: int | None) -> Mqtt:
    counts = {name: int(sum(told[name])) if told.get(name) else None for name in _COUNTS}
    if all(each is None for each in counts.values()):
        return Mqtt(rule, None, None, None, enrolled)
    messages, failures, lost, *dropped = (each or 0 for each in counts.values())
    return Mqtt(rule, messages, max(0, failures - lost), lost + sum(dropped), enrolled)


def _enrolled(run: Run, rule: TopicRule) -> int:
    """How many devices are enrolled, as far as one answer of AWS IoT tells."""
    suffix = rule.queue.name.removeprefix(f"{DEVICE_QUEUE}-")

    def read(attempt: int) -> int:
        listed = run.client("iot").list_things(attributeName="iotpipe", attributeValue=suffix, maxResults=_PAGE)
        return len(listed["things"])

    return run.with_retries("read", "the enrolled devices", read)


def _depth(run: Run, queue: Queue, ages: Mapping[str, Sequence[float]]) -> Depth:
    """The queue's depth, from the attributes that the plan has read."""
    attributes = run.look(queue) or {}
    visible, in_flight = (attributes.get(f"ApproximateNumberOfMessages{which}", 0) for which in ("", "NotVisible"))
    return Depth(int(visible), int(in_flight), next(iter(ages[queue.name]), None))


_COUNTS = ("TopicMatch", "Failure", "ErrorActionFailure", "RuleMessageThrottled", "RuleNotFound")


def _metrics(run: Run, asked: Mapping[str, Mapping[str, Any]]) -> dict[str, list[float]]:
    """The values of the last 15 minutes, the newest first, of each metric that was asked for."""
    end = datetime.fromtimestamp(run.clock.now(), UTC)
    queries = [{"Id": f"q{number}", "MetricStat": each} for number, each in enumerate(asked.values())]

    def read(attempt: int) -> dict[str, list[float]]:
        response = run.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries,
            StartTime=end - _RECENT,
            EndTime=end + timedelta(minutes=1),
            ScanBy="TimestampDescending",
        )
        values = {result["Id"]: result["Values"] for result in response["MetricDataResults"]}
        return {name: values.get(f"q{number}", []) for number, name in enumerate(asked)}

    return run.with_retries("read", "the age of the oldest messages", read) if queries else {}


def _ages_of(queues: Sequence[Queue]) -> dict[str, dict[str, Any]]:
    """The ages of the oldest messages in seconds, by queue."""
    oldest = "ApproximateAgeOfOldestMessage"
    return {each.name: _statistic("AWS/SQS", oldest, {"QueueName": each.name}, "Maximum") for each in queues}


def _counts_of(rule: TopicRule) -> dict[str, dict[str, Any]]:
    """What AWS IoT counts of a rule, by the names of its metrics; those of an action have its type."""
    of_rule = {"RuleName": rule.name}
    of_action = of_rule | {"ActionType": "SQS"}
    return {
        name: _statistic("AWS/IoT", name, of_action if name in ("Failure", "ErrorActionFailure") else of_rule, "Sum")
        for name in _COUNTS
    }


def _statistic(namespace: str, name: str, dimensions: Mapping[str, str], statistic: str) -> dict[str, Any]:
    described = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": described}
    return {"Metric": metric, "Period": 60, "Stat": statistic}


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
