"""What somebody sets otherwise than declared of data and alarms: shown with the property, and set back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.foreign.additions import change_alarm, set_queue, set_topic
from tests.support.manual_changes.world import Change
from tests.support.manual_edits import arn, client, queue_url

RAW, QUEUE, DEAD = "raw-sensor-data-dev", "iot-ingestion-queue-dev", "iot-dlq-dev"
FUNCTION, ROLE = "data-processor-dev", "iot-processor-lambda-role-dev"
MAPPING = f"event-source-mapping/{QUEUE}-to-{FUNCTION}"
CONFIG, KEY, GROUP = "/iot-pipeline/dev/config", "/iot-pipeline/dev/api-key", "/aws/lambda/data-query-dev"
LAYER, DASHBOARD, ALARM = "iot-shared-dependencies-dev", "iot-pipeline-dev", "iot-dlq-depth-dev"
API, STAGE, INGEST = "rest-api/iot-api-dev", "stage/dev", "route/POST /ingest"
ALERTS = arn("sns", "iot-alerts-dev")
ENVIRONMENT = "iotpipe:environment"


def drifted(what: str, act: Callable[[], Any], address: str, *properties: str) -> Change:
    return Change(what, act, tuple(f"drift {address} {each}" for each in properties))


def table(**changes: Any) -> Callable[[], Any]:
    return lambda: client("dynamodb").update_table(TableName=RAW, **changes)


def redrive(name: str, **policy: Any) -> Callable[[], None]:
    return lambda: set_queue(name, RedrivePolicy=json.dumps(policy) if policy else "")


def drawn(body: dict[str, Any]) -> Callable[[], Any]:
    return lambda: client("cloudwatch").put_dashboard(DashboardName=DASHBOARD, DashboardBody=json.dumps(body))


def with_settings(**changes: Any) -> Callable[[], Any]:
    def act() -> None:
        found = json.loads(client("ssm").get_parameter(Name=CONFIG)["Parameter"]["Value"])
        text = json.dumps(found | changes)
        client("ssm").put_parameter(Name=CONFIG, Type="String", Value=text, Overwrite=True)

    return act


def untagged(key: str) -> Callable[[], Any]:
    which = arn("dynamodb", f"table/{RAW}")
    return lambda: client("dynamodb").untag_resource(ResourceArn=which, TagKeys=[key])


TABLES = (
    drifted(
        "a table with bought units",
        table(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}),
        f"table/{RAW}",
        "BillingMode",
    ),
    drifted(
        "a table that AWS lets nobody delete",
        table(DeletionProtectionEnabled=True),
        f"table/{RAW}",
        "DeletionProtectionEnabled",
    ),
    drifted(
        "a table that cannot be restored",
        lambda: client("dynamodb").update_continuous_backups(
            TableName=RAW, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        ),
        f"table/{RAW}",
        "PointInTimeRecoveryEnabled",
    ),
    drifted(
        "a table without a tag of the user",
        untagged("purpose"),
        f"table/{RAW}",
        "Tags.purpose",
    ),
    drifted(
        "a table without the environment's tag",
        untagged(ENVIRONMENT),
        f"table/{RAW}",
        f"Tags.{ENVIRONMENT}",
    ),
)
QUEUES = (
    drifted(
        "messages seen again soon",
        lambda: set_queue(QUEUE, VisibilityTimeout="0"),
        f"queue/{QUEUE}",
        "VisibilityTimeout",
    ),
    drifted(
        "messages forgotten soon",
        lambda: set_queue(QUEUE, MessageRetentionPeriod="60"),
        f"queue/{QUEUE}",
        "MessageRetentionPeriod",
    ),
    drifted(
        "dead letters forgotten soon",
        lambda: set_queue(DEAD, MessageRetentionPeriod="60"),
        f"queue/{DEAD}",
        "MessageRetentionPeriod",
    ),
    drifted(
        "no dead letters",
        redrive(QUEUE),
        f"queue/{QUEUE}",
        "RedrivePolicy.deadLetterTargetArn",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "dead letters after 1000 tries",
        redrive(QUEUE, deadLetterTargetArn=arn("sqs", DEAD), maxReceiveCount=1000),
        f"queue/{QUEUE}",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "dead letters to somebody else",
        lambda: (
            client("sqs").create_queue(QueueName="spy"),
            redrive(QUEUE, deadLetterTargetArn=arn("sqs", "spy"), maxReceiveCount=3)(),
        ),
        f"queue/{QUEUE}",
        "RedrivePolicy.deadLetterTargetArn",
    ),
    drifted(
        "dead letters that are taken away in turn",
        lambda: (
            client("sqs").create_queue(QueueName="spy"),
            redrive(DEAD, deadLetterTargetArn=arn("sqs", "spy"), maxReceiveCount=1)(),
        ),
        f"queue/{DEAD}",
        "RedrivePolicy.deadLetterTargetArn",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "a queue without the environment's tag",
        lambda: client("sqs").untag_queue(QueueUrl=queue_url(QUEUE), TagKeys=[ENVIRONMENT]),
        f"queue/{QUEUE}",
        f"Tags.{ENVIRONMENT}",
    ),
)
OTHERS = (
    drifted(
        "a topic under another name", lambda: set_topic("DisplayName", "Spam"), "topic/iot-alerts-dev", "DisplayName"
    ),
    drifted(
        "a topic of another managing tool",
        lambda: client("sns").tag_resource(ResourceArn=ALERTS, Tags=[{"Key": "iotpipe:managed-by", "Value": "x"}]),
        "topic/iot-alerts-dev",
        "Tags.iotpipe:managed-by",
    ),
    drifted("another setting", with_settings(batch_size=1), f"parameter/{CONFIG}", "Value.batch_size"),
    drifted(
        "readings only with a key", with_settings(require_api_key=True), f"parameter/{CONFIG}", "Value.require_api_key"
    ),
    drifted("a setting more", with_settings(debug=True), f"parameter/{CONFIG}", "Value.debug"),
    drifted(
        "logs kept a day",
        lambda: client("logs").put_retention_policy(logGroupName=GROUP, retentionInDays=1),
        f"log-group/{GROUP}",
        "retentionInDays",
    ),
    drifted(
        "logs kept for ever",
        lambda: client("logs").delete_retention_policy(logGroupName=GROUP),
        f"log-group/{GROUP}",
        "retentionInDays",
    ),
    drifted(
        "a log group without the environment's tag",
        lambda: client("logs").untag_resource(resourceArn=arn("logs", f"log-group:{GROUP}"), tagKeys=[ENVIRONMENT]),
        f"log-group/{GROUP}",
        f"Tags.{ENVIRONMENT}",
    ),
    drifted("other widgets", drawn({"widgets": []}), f"dashboard/{DASHBOARD}", "DashboardBody.widgets"),
    drifted(
        "silent alarms",
        lambda: client("cloudwatch").disable_alarm_actions(AlarmNames=[ALARM]),
        f"alarm/{ALARM}",
        "ActionsEnabled",
    ),
    drifted(
        "an alarm that tells somebody else",
        change_alarm(AlarmActions=[arn("sns", "spy")]),
        f"alarm/{ALARM}",
        "AlarmActions",
    ),
    drifted("an alarm that tells nobody", change_alarm(AlarmActions=[]), f"alarm/{ALARM}", "AlarmActions"),
    drifted("an alarm that never goes off", change_alarm(Threshold=1e9), f"alarm/{ALARM}", "Threshold"),
    drifted("an alarm that waits", change_alarm(EvaluationPeriods=12), f"alarm/{ALARM}", "EvaluationPeriods"),
    drifted(
        "an alarm upside down",
        change_alarm(ComparisonOperator="LessThanThreshold"),
        f"alarm/{ALARM}",
        "ComparisonOperator",
    ),
    drifted(
        "an alarm that missing data sets off",
        change_alarm(TreatMissingData="breaching"),
        f"alarm/{ALARM}",
        "TreatMissingData",
    ),
    drifted(
        "an alarm on another queue",
        change_alarm(Dimensions=[{"Name": "QueueName", "Value": "x"}]),
        f"alarm/{ALARM}",
        "Dimensions",
    ),
    drifted(
        "an alarm on another metric", change_alarm(MetricName="NumberOfMessagesSent"), f"alarm/{ALARM}", "MetricName"
    ),
    drifted("an alarm over a day", change_alarm(Period=86400), f"alarm/{ALARM}", "Period"),
)
DRIFTS = (*TABLES, *QUEUES, *OTHERS)
