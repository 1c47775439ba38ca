"""The alarms of an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from iotpipe.configuration import Environment
from iotpipe.configuration.model import Alerts
from iotpipe.names import Names
from iotpipe.pipeline import metrics
from iotpipe.pipeline.api import Api
from iotpipe.pipeline.devices import Devices
from iotpipe.pipeline.storage import Storage
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.table import Table


def alarms(
    env: Environment, api: Api, functions: Sequence[Function], storage: Storage, devices: Devices | None
) -> list[Alarm]:
    """Each alarm tells the topic when its metric, or the sum of several, is above the threshold in 5 minutes."""
    names, thresholds = Names(env.suffix), env.alerts

    def alarm(name: str, description: str, threshold: float, *watched: Metric) -> Alarm:
        return Alarm(names.alarm(name), description, watched, threshold, topic=storage.alerts)

    def of_function(function: Function, metric: str, threshold: float) -> Alarm:
        short = function.name.removeprefix("data-").removesuffix(f"-{env.suffix}")
        description = f"{function.name}: {metric.lower()} in 5 minutes"
        return alarm(f"iot-{short}-{metric.lower()}", description, threshold, metrics.of_function(function, metric))

    def of_table(table: Table) -> Alarm:
        short = "raw" if table.name.startswith("raw") else "processed"
        description = f"{table.name}: requests throttled in 5 minutes"
        return alarm(f"{short}-table-throttles", description, thresholds.table_throttles, *metrics.throttles(table))

    return [
        *(
            of_function(function, metric, threshold)
            for function in functions
            for metric, threshold in (("Errors", thresholds.errors), ("Throttles", thresholds.throttles))
        ),
        *(of_table(table) for table in storage.tables),
        alarm(
            "iot-dlq-depth",
            f"{storage.dead_letters.name}: messages that could not be processed",
            thresholds.dead_letters,
            metrics.of_queue(storage.dead_letters, "ApproximateNumberOfMessagesVisible"),
        ),
        alarm(
            "iot-queue-age",
            f"{storage.readings.name}: age of the oldest message in seconds",
            thresholds.queue_age,
            metrics.of_queue(storage.readings, "ApproximateAgeOfOldestMessage"),
        ),
        alarm(
            "iot-api-5xx",
            f"{api.rest_api.name}: answers with 5XX in 5 minutes",
            thresholds.api_errors,
            metrics.of_api(api.rest_api, api.stage, "5XXError"),
        ),
        *(_of_devices(alarm, devices, thresholds) if devices else ()),
    ]


def _of_devices(alarm: Callable[..., Alarm], devices: Devices, thresholds: Alerts) -> Iterator[Alarm]:
    """Of the way in over MQTT. A device that got its acknowledgement does not send again: each of the metrics of the
    rule but the first counts messages that are lost, and the first those that wait in the dead-letter queue."""
    rule, queue = devices.rule, devices.feed.queue
    for short, metric, what in (
        ("failures", metrics.of_rule_action(rule, "Failure"), "messages that AWS IoT could not queue"),
        (
            "lost",
            metrics.of_rule_action(rule, "ErrorActionFailure"),
            "messages that AWS IoT could not queue among the dead letters either",
        ),
        ("throttled", metrics.of_rule(rule, "RuleMessageThrottled"), "messages dropped because rules were throttled"),
        ("unknown-rule", metrics.of_rule(rule, "RuleNotFound"), "messages for the rule while it did not exist"),
    ):
        description = f"{rule.name}: {what} in 5 minutes"
        yield alarm(f"iot-device-{short}", description, thresholds.device_failures, metric)
    age = metrics.of_queue(queue, "ApproximateAgeOfOldestMessage")
    description = f"{queue.name}: age of the oldest message in seconds"
    yield alarm("iot-device-queue-age", description, thresholds.queue_age, age)
