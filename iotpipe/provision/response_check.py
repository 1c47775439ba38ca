"""Checks that each response comes from AWS, and not from a proxy, a captive portal or another server.

botocore does not check this. It parses a response that is not JSON as one without members. Code that looks up a
member then fails far from the cause, or treats a missing list as an empty one.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

REQUIRED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "apigateway": {
        "CreateDeployment": ("id",),
        "CreateResource": ("id",),
        "CreateRestApi": ("id", "rootResourceId"),
        "CreateStage": ("stageName",),
        "GetDeployments": ("items",),
        "GetResources": ("items",),
        "GetRestApis": ("items",),
        "PutIntegration": ("type",),
        "PutMethod": ("httpMethod",),
        "UpdateRestApi": ("id",),
        "UpdateStage": ("stageName",),
    },
    "cloudwatch": {
        "DescribeAlarms": ("MetricAlarms",),
        "GetDashboard": ("DashboardBody",),
        "GetMetricData": ("MetricDataResults",),
        "ListDashboards": ("DashboardEntries",),
        "ListMetrics": ("Metrics",),
        "ListTagsForResource": ("Tags",),
    },
    "dynamodb": {
        "CreateTable": ("TableDescription",),
        "DeleteTable": ("TableDescription",),
        "DescribeContinuousBackups": ("ContinuousBackupsDescription",),
        "DescribeTable": ("Table",),
        "ListTagsOfResource": ("Tags",),
        "UpdateContinuousBackups": ("ContinuousBackupsDescription",),
        "UpdateTable": ("TableDescription",),
    },
    "iam": {
        "CreateRole": ("Role",),
        "GetRole": ("Role",),
        "GetRolePolicy": ("PolicyDocument",),
        "ListAttachedRolePolicies": ("AttachedPolicies",),
        "ListInstanceProfilesForRole": ("InstanceProfiles",),
        "ListRolePolicies": ("PolicyNames",),
        "ListRoles": ("Roles",),
        "SimulatePrincipalPolicy": ("EvaluationResults",),
    },
    "kms": {"DescribeKey": ("KeyMetadata",), "GetKeyPolicy": ("Policy",)},
    "lambda": {
        "AddPermission": ("Statement",),
        "CreateEventSourceMapping": ("UUID",),
        "CreateFunction": ("FunctionArn",),
        "GetAccountSettings": ("AccountLimit", "AccountUsage"),
        "GetFunction": ("Configuration",),
        "GetPolicy": ("Policy",),
        "GetEventSourceMapping": ("State",),
        "ListEventSourceMappings": ("EventSourceMappings",),
        "ListLayers": ("Layers",),
        "ListLayerVersions": ("LayerVersions",),
        "ListTags": ("Tags",),
        "PublishLayerVersion": ("LayerVersionArn",),
        "PutFunctionConcurrency": ("ReservedConcurrentExecutions",),
        "UpdateEventSourceMapping": ("UUID",),
        "UpdateFunctionCode": ("FunctionArn",),
        "UpdateFunctionConfiguration": ("FunctionArn",),
    },
    "logs": {
        "DescribeLogGroups": ("logGroups",),
        "FilterLogEvents": ("events",),
        "ListTagsForResource": ("tags",),
    },
    "resourcegroupstaggingapi": {"GetResources": ("ResourceTagMappingList",)},
    "sns": {
        "CreateTopic": ("TopicArn",),
        "GetTopicAttributes": ("Attributes",),
        "ListSubscriptionsByTopic": ("Subscriptions",),
        "ListTagsForResource": ("Tags",),
        "Subscribe": ("SubscriptionArn",),
    },
    "sqs": {
        "CreateQueue": ("QueueUrl",),
        "GetQueueAttributes": ("Attributes",),
        "GetQueueUrl": ("QueueUrl",),
    },
    "ssm": {
        "DescribeParameters": ("Parameters",),
        "GetParameter": ("Parameter",),
        "ListTagsForResource": ("TagList",),
        "PutParameter": ("Version",),
    },
    # botocore itself looks these up when a profile's credentials come from a role or from IAM Identity Center.
    "sso": {"GetRoleCredentials": ("roleCredentials",)},
    "sts": {
        "AssumeRole": ("Credentials",),
        "AssumeRoleWithWebIdentity": ("Credentials",),
        "GetCallerIdentity": ("Account", "Arn"),
    },
}
"""The members that a response must have, by service and operation: iotpipe reads them without a default, or they are
the only proof that AWS executed the call."""

_ERROR = "NotFromAws"
"""The key under which a parsed response keeps its NotFromAws error until botocore has made its last retry."""

_MAX_LENGTH = 300
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(?:!doctype|html|head|body|title|h[1-6]|p|div|span|a|br|hr|center|table|script|style)\b", re.IGNORECASE
)
_INVISIBLE = re.compile(r"<(script|style)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z/!?][^>]*(>|\Z)")


class NotFromAws(Exception):
    """The response does not come from AWS, or is incomplete."""

    def __init__(self, operation: str, status: int, problem: str) -> None:
        super().__init__(f"something other than AWS answered {operation}: HTTP {status}, {problem}")
        self.status = status


def check_responses(events: Any) -> None:
    """Check every response to clients that are created with this botocore event emitter from now on.

    A call whose response does not come from AWS raises NotFromAws.
    """
    events.register("before-parse", _check_format)
    events.register("after-call", _check_members)


def one_line(text: str) -> str:
    """Return the text as one line of at most 300 characters, without HTML tags and control characters."""
    if _MARKUP.search(text):
        text = html.unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", text)))
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 3].rstrip()}..."


def _check_format(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **ignored: Any
) -> None:
    body, status = response_dict["body"], response_dict["status_code"]
    if not isinstance(body, bytes) or operation_model.has_streaming_output:
        return
    problem = _format_problem(operation_model, response_dict["headers"], body, status)
    if not problem:
        return
    # A body that looks like JSON may be a truncated response of AWS with secrets in it: do not show it.
    page = "" if body.lstrip().startswith((b"{", b"[", b'"')) else one_line(body.decode("utf-8", "replace"))
    error = NotFromAws(operation_model.name, status, f"{problem}: {page}" if page else problem)
    if status < 500:
        raise error
    # Let botocore make its own retries first. Without a body it decides by the HTTP status.
    response_dict["body"] = b""
    customized_response_dict[_ERROR] = error


def _format_problem(operation: Any, headers: Mapping[str, str], body: bytes, status: int) -> str:
    """Describe what is wrong with the format of the response; empty if nothing is."""
    if 300 <= status < 400:
        return f"a redirection to {one_line(headers.get('location', 'nowhere'))}"
    if status >= 500 and not body.strip():
        # AWS's load balancers send such responses without a body.
        return ""
    if _HTML.match(body):
        return "an HTML page"
    protocol = operation.service_model.resolved_protocol
    if protocol in ("json", "rest-json"):
        return _json_problem(operation, headers, body, status)
    if protocol == "query":
        return _xml_problem(operation, body, status)
    return ""


def _json_problem(operation: Any, headers: Mapping[str, str], body: bytes, status: int) -> str:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return "no JSON or only a part of it"
    if not isinstance(document, dict) and (document is not None or operation.output_shape):
        return "JSON that is no object"
    names = {*(document or {}), *(name.lower() for name in headers)}
    if status >= 400 and not names & {"__type", "code", "Code", "x-amzn-errortype", "x-amzn-requestid"}:
        return "an error without a code of AWS's"
    return ""


def _xml_problem(operation: Any, body: bytes, status: int) -> str:
    if status >= 400:
        return "" if b"<Error" in body else "an error without a code of AWS's"
    shape = operation.output_shape
    expected = (shape.serialization.get("resultWrapper") if shape else None) or f"{operation.name}Response"
    return "" if f"<{expected}".encode() in body else f"no {expected}"


def _check_members(http_response: Any, parsed: Mapping[str, Any], model: Any, **ignored: Any) -> None:
    if error := parsed.get(_ERROR):
        raise error
    if http_response.status_code >= 300:
        return
    required = REQUIRED.get(model.service_model.service_name, {}).get(model.name, ())
    if missing := [each for each in required if each not in parsed]:
        raise NotFromAws(model.name, http_response.status_code, f"an answer without {', '.join(missing)}")
