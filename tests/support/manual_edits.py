"""What somebody else does to the account, with plain boto3: never with the engine's own readers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import boto3

from tests.support.account_inventory import tagged

ACCOUNT, REGION = "123456789012", "us-east-1"
OTHER_TAGS = {"owner": "somebody else"}


@cache
def client(service: str) -> Any:
    """One client per service for all tests: moto answers them, whichever account is current."""
    return boto3.Session("testing", "testing", region_name=REGION).client(service)


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_tags(found: list[dict[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in found}


def zipped(text: str = "def lambda_handler(event, context): return event") -> bytes:
    """A zip with one module; the same text gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handler.py"), text)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def queue_url(name: str) -> str:
    url: str = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    return url


def make_role(name: str, tags: dict[str, str] | None = None) -> str:
    """A role that Lambda may assume, with no permission."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document, Tags=pairs(tags or {}))
    return role_arn(name)


def mappings() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return found


def apis(name: str) -> list[dict[str, Any]]:
    return [each for each in client("apigateway").get_rest_apis(limit=500)["items"] if each["name"] == name]


def _resources(api: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("apigateway").get_resources(restApiId=api, embed=["methods"], limit=500)[
        "items"
    ]
    return found


def paths(api: str) -> dict[str, dict[str, Any]]:
    return {each["path"]: each for each in _resources(api)}


def paths_of(api: str) -> list[str]:
    """Every path, as often as it is there."""
    return [each["path"] for each in _resources(api)]


def account_role() -> str | None:
    """The role with which API Gateway logs, if there is one."""
    gateway = client("apigateway")
    try:
        found: str | None = gateway.get_account().get("cloudwatchRoleArn")
    except gateway.exceptions.NotFoundException:
        return None  # nobody has used API Gateway here yet
    return found


def statements(function: str) -> list[dict[str, Any]]:
    """The function's resource policy; moto lets one statement id be there twice."""
    try:
        found = client("lambda").get_policy(FunctionName=function)["Policy"]
    except client("lambda").exceptions.ResourceNotFoundException:
        return []
    said: list[dict[str, Any]] = json.loads(found)["Statement"]
    return said


_LISTS: dict[str, Callable[[], list[str]]] = {
    "table": lambda: client("dynamodb").list_tables()["TableNames"],
    "queue": lambda: [url.rsplit("/", 1)[1] for url in client("sqs").list_queues().get("QueueUrls", [])],
    "topic": lambda: [each["TopicArn"] for each in client("sns").list_topics()["Topics"]],
    "subscription": lambda: [each["Endpoint"] for each in client("sns").list_subscriptions()["Subscriptions"]],
    "parameter": lambda: [each["Name"] for each in client("ssm").describe_parameters(MaxResults=50)["Parameters"]],
    "layer": lambda: [each["LayerName"] for each in client("lambda").list_layers()["Layers"]],
    "role": lambda: [each["RoleName"] for each in client("iam").list_roles()["Roles"]],
    "log-group": lambda: [each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]],
    "function": lambda: [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]],
    "event-source-mapping": lambda: [each["UUID"] for each in mappings()],
    "rest-api": lambda: [each["id"] for each in client("apigateway").get_rest_apis()["items"]],
    "alarm": lambda: [each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]],
    "dashboard": lambda: [e["DashboardName"] for e in client("cloudwatch").list_dashboards()["DashboardEntries"]],
}
LISTED_WITH_ANOTHER = ("secret", "permission", "route", "stage", "api-gateway-account")
"""A secret is a parameter, what is part of another resource goes with that, and the account's setting stays."""


def there(kinds: Iterable[str]) -> set[str]:
    """What the account holds of these kinds, as `kind name`, but for the account's logging role."""
    found = {f"{kind} {name}" for kind in {*kinds}.difference(LISTED_WITH_ANOTHER) for name in _names(kind)}
    return {each for each in found if "iotpipe-api-gateway-logging" not in each}


def _names(kind: str) -> Iterable[str]:
    return _LISTS[kind]() if kind in _LISTS else tagged(kind)
