"""The CloudWatch metrics that alarms and the dashboard watch."""

from __future__ import annotations

from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic_rule import TopicRule


def of_function(function: Function, name: str, statistic: str = "Sum") -> Metric:
    return Metric("AWS/Lambda", name, {"FunctionName": function.name}, statistic)


def of_queue(queue: Queue, name: str) -> Metric:
    return Metric("AWS/SQS", name, {"QueueName": queue.name}, "Maximum")


def of_api(api: RestApi, stage: Stage, name: str, statistic: str = "Sum") -> Metric:
    return Metric("AWS/ApiGateway", name, {"ApiName": api.name, "Stage": stage.name}, statistic)


def of_rule(rule: TopicRule, name: str) -> Metric:
    """A metric of the rule itself."""
    return Metric("AWS/IoT", name, {"RuleName": rule.name})


def of_rule_action(rule: TopicRule, name: str) -> Metric:
    """A metric of what the rule does with a message: it sends it to a queue."""
    return Metric("AWS/IoT", name, {"RuleName": rule.name, "ActionType": "SQS"})


def throttles(table: Table) -> list[Metric]:
    dimensions = {"TableName": table.name}
    return [Metric("AWS/DynamoDB", name, dimensions) for name in ("ReadThrottleEvents", "WriteThrottleEvents")]
