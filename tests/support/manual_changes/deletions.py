"""What somebody deletes: made anew by `up`; `lost` where rows, or the key, went with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.provision.foreign.test_foreign_apigateway import api_id
from tests.support.manual_changes.code_drift import fed
from tests.support.manual_changes.data_drift import (
    ALARM,
    ALERTS,
    API,
    CONFIG,
    DASHBOARD,
    DEAD,
    FUNCTION,
    GROUP,
    INGEST,
    KEY,
    LAYER,
    MAPPING,
    QUEUE,
    RAW,
    ROLE,
    STAGE,
)
from tests.support.manual_changes.world import Change
from tests.support.manual_edits import client, mappings, paths, queue_url

OF_ROUTE = ("httpMethod", "authorizationType", "integration.type", "integration.httpMethod", "integration.uri")
ROUTES = ("POST /ingest", "POST /process", "GET /query", "GET /devices")


def deleted(what: str, act: Callable[[], Any], address: str, *more: str) -> Change:
    return Change(what, act, (f"missing {address}", *more))


def delete_subscription() -> None:
    [found] = client("sns").list_subscriptions_by_topic(TopicArn=ALERTS)["Subscriptions"]
    client("sns").unsubscribe(SubscriptionArn=found["SubscriptionArn"])


def delete_layer() -> None:
    for each in client("lambda").list_layer_versions(LayerName=LAYER)["LayerVersions"]:
        client("lambda").delete_layer_version(LayerName=LAYER, VersionNumber=each["Version"])


def remove_role() -> None:
    client("iam").delete_role_policy(RoleName=ROLE, PolicyName="iotpipe")
    client("iam").delete_role(RoleName=ROLE)


def remove_method() -> None:
    where = {"restApiId": api_id(), "resourceId": paths(api_id())["/ingest"]["id"], "httpMethod": "POST"}
    client("apigateway").delete_method(**where)


def unset_logging_role() -> None:
    unset = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    client("apigateway").update_account(patchOperations=[unset])


def parameter(name: str) -> Callable[[], Any]:
    return lambda: client("ssm").delete_parameter(Name=name)


DELETIONS = (
    Change("no table", lambda: client("dynamodb").delete_table(TableName=RAW), (f"lost table/{RAW}",)),
    Change("no key", parameter(KEY), (f"lost secret/{KEY}",)),
    deleted("no settings", parameter(CONFIG), f"parameter/{CONFIG}"),
    deleted("no queue", lambda: client("sqs").delete_queue(QueueUrl=queue_url(QUEUE)), f"queue/{QUEUE}"),
    deleted("no dead-letter queue", lambda: client("sqs").delete_queue(QueueUrl=queue_url(DEAD)), f"queue/{DEAD}"),
    deleted(
        "no topic",
        lambda: client("sns").delete_topic(TopicArn=ALERTS),
        "topic/iot-alerts-dev",
        "missing subscription/ops@example.com",
    ),
    deleted("no subscription", delete_subscription, "subscription/ops@example.com"),
    deleted(
        "no layer version",
        delete_layer,
        f"layer/{LAYER}",
        *(f"update function/data-{each}-dev Layers" for each in ("ingestion", "processor", "query")),
    ),
    deleted("no role", remove_role, f"role/{ROLE}", f"update function/{FUNCTION} RoleId"),
    deleted("no log group", lambda: client("logs").delete_log_group(logGroupName=GROUP), f"log-group/{GROUP}"),
    deleted(
        "no function",
        lambda: client("lambda").delete_function(FunctionName=FUNCTION),
        f"function/{FUNCTION}",
        "missing permission/iotpipe-process",
    ),
    deleted(
        "no permission",
        lambda: client("lambda").remove_permission(FunctionName=FUNCTION, StatementId="iotpipe-process"),
        "permission/iotpipe-process",
    ),
    deleted("no mapping", lambda: client("lambda").delete_event_source_mapping(UUID=mappings()[0]["UUID"]), MAPPING),
    deleted(
        "a mapping given to another function",
        fed(FunctionName="data-query-dev"),
        MAPPING,
        f"drains {MAPPING}",
        "delete what bears the tags: event-source-mapping",
    ),
    deleted(
        "no path",
        lambda: client("apigateway").delete_resource(restApiId=api_id(), resourceId=paths(api_id())["/ingest"]["id"]),
        INGEST,
    ),
    Change("no method", remove_method, tuple(f"drift {INGEST} {each}" for each in OF_ROUTE)),
    deleted("no stage", lambda: client("apigateway").delete_stage(restApiId=api_id(), stageName="dev"), STAGE),
    deleted(
        "no API",
        lambda: client("apigateway").delete_rest_api(restApiId=api_id()),
        API,
        f"missing {STAGE}",
        *(f"missing route/{each}" for each in ROUTES),
        *(f"update permission/iotpipe-{each} SourceArn" for each in ("ingest", "process", "query", "devices")),
    ),
    deleted("no role for logs", unset_logging_role, "api-gateway-account/us-east-1"),
    deleted("no alarm", lambda: client("cloudwatch").delete_alarms(AlarmNames=[ALARM]), f"alarm/{ALARM}"),
    deleted(
        "no dashboard",
        lambda: client("cloudwatch").delete_dashboards(DashboardNames=[DASHBOARD]),
        f"dashboard/{DASHBOARD}",
    ),
)
