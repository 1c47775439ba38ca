"""The dashboard of an environment."""

from __future__ import annotations

from collections.abc import Sequence

from iotpipe.configuration import Environment
from iotpipe.pipeline.api import Api
from iotpipe.pipeline.devices import Devices
from iotpipe.pipeline.metrics import of_api, of_function, of_queue, of_rule, of_rule_action, throttles
from iotpipe.pipeline.storage import Storage
from iotpipe.provision.resources.dashboard import DASHBOARDS, Dashboard
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.metric import Metric


def dashboard(
    env: Environment, api: Api, functions: Sequence[Function], storage: Storage, devices: Devices | None
) -> Dashboard:
    """The widgets in the order in which a reading travels."""
    return Dashboard(
        f"{DASHBOARDS}{env.suffix}",
        widgets=[
            ("Requests", [of_api(api.rest_api, api.stage, "Count")]),
            (
                "Answers with 4XX and 5XX",
                [of_api(api.rest_api, api.stage, "4XXError"), of_api(api.rest_api, api.stage, "5XXError")],
            ),
            *(_of_devices(devices) if devices else ()),
            ("API latency (ms)", [of_api(api.rest_api, api.stage, "Latency", each) for each in ("p50", "p95", "p99")]),
            ("Function duration (ms)", [of_function(each, "Duration", "p95") for each in functions]),
            ("Function errors", [of_function(each, "Errors") for each in functions]),
            ("Function throttles", [of_function(each, "Throttles") for each in functions]),
            ("Messages waiting", [of_queue(each, "ApproximateNumberOfMessagesVisible") for each in storage.sources]),
            (
                "Age of the oldest message (s)",
                [of_queue(each, "ApproximateAgeOfOldestMessage") for each in storage.sources],
            ),
            ("Messages that failed", [of_queue(storage.dead_letters, "ApproximateNumberOfMessagesVisible")]),
            ("Table throttles", [metric for table in storage.tables for metric in throttles(table)]),
        ],
    )


def _of_devices(devices: Devices) -> list[tuple[str, list[Metric]]]:
    rule = devices.rule
    failed = [of_rule_action(rule, each) for each in ("Failure", "ErrorActionFailure")]
    lost = [of_rule(rule, each) for each in ("RuleMessageThrottled", "RuleNotFound")]
    return [
        ("MQTT messages", [of_rule(rule, "TopicMatch"), of_rule_action(rule, "Success")]),
        ("MQTT messages that failed", [*failed, *lost]),
    ]
