"""Whether it was AWS that answered: a proxy, a captive portal or any other server may do so in its place.

botocore does not notice. It reads a JSON service's answer that is no JSON as one without members, and code that then
looks up a member fails far from the cause, or takes a missing list for an empty one.
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
"""The members, by service and operation, that an answer must have: because they are looked up without a default, or
because nothing else tells that AWS has done what it was asked."""

_ERROR = "NotFromAws"
"""Where an answer that is not AWS's bears its error until the last try of botocore's own."""

_LONGEST = 300
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(?:!doctype|html|head|body|title|h[1-6]|p|div|span|a|br|hr|center|table|script|style)\b", re.IGNORECASE
)
_UNSEEN = re.compile(r"<(script|style)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z/!?][^>]*(>|\Z)")


class NotFromAws(Exception):
    """Something other than AWS has answered, or the answer was cut off on its way."""

    def __init__(self, operation: str, status: int, said: str) -> None:
        super().__init__(f"something other than AWS answered {operation}: HTTP {status}, {said}")
        self.status = status


def check_answers(events: Any) -> None:
    """Have every answer checked that comes to the clients which are made with these events (botocore's) from now on.

    What is no answer of AWS's raises NotFromAws from the call.
    """
    events.register("before-parse", _check_form)
    events.register("after-call", _check_members)


def one_line(text: str) -> str:
    """The text of a message as one short line: no tags of a page, no control characters, at most 300 characters."""
    if _MARKUP.search(text):
        text = html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text)))
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3].rstrip()}..."


def _check_form(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **ignored: Any
) -> None:
    body, status = response_dict["body"], response_dict["status_code"]
    if not isinstance(body, bytes) or operation_model.has_streaming_output:
        return
    wrong = _wrong_form(operation_model, response_dict["headers"], body, status)
    if not wrong:
        return
    # What begins like an answer may be the beginning of one, with secrets in it.
    page = "" if body.lstrip().startswith((b"{", b"[", b'"')) else one_line(body.decode("utf-8", "replace"))
    error = NotFromAws(operation_model.name, status, f"{wrong}: {page}" if page else wrong)
    if status < 500:
        raise error
    # botocore may ask again by itself before it hands the answer on: without a body it goes by the status.
    response_dict["body"] = b""
    customized_response_dict[_ERROR] = error


def _wrong_form(operation: Any, headers: Mapping[str, str], body: bytes, status: int) -> str:
    """What is wrong about the answer's form; empty if nothing is."""
    if 300 <= status < 400:
        return f"a redirection to {one_line(headers.get('location', 'nowhere'))}"
    if status >= 500 and not body.strip():
        # A load balancer of AWS's has no more to say.
        return ""
    if _HTML.match(body):
        return "an HTML page"
    protocol = operation.service_model.resolved_protocol
    if protocol in ("json", "rest-json"):
        return _wrong_json(operation, headers, body, status)
    if protocol == "query":
        return _wrong_xml(operation, body, status)
    return ""


def _wrong_json(operation: Any, headers: Mapping[str, str], body: bytes, status: int) -> str:
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


def _wrong_xml(operation: Any, body: bytes, status: int) -> str:
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
