"""The calls that iotpipe makes, and what IAM asks about each: action, resource, and what it knows besides.

By https://docs.aws.amazon.com/service-authorization/latest/reference/, independently of what iotpipe/policy says.
A call that is not in the table fails the test that meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.client import BaseClient
from moto.apigateway.models import apigateway_backends
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from iotpipe.readings.api_client import Api, Response
from tests.support.samples.sample import KMS_KEY

ACCOUNT, REGION = "123456789012", "us-east-1"
TRACING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One decision of IAM. `context` is what conditions may ask for."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def recorded(into: list[Asked]) -> Iterator[None]:
    """What IAM would be asked for the calls that iotpipe's own clients make; those of the tests are nobody's."""
    call = BaseClient._make_api_call

    def noted(self: Any, operation: str, parameters: Parameters) -> Any:
        if self.meta.config.user_agent_extra == "iotpipe":
            into.extend(asked(self.meta.service_model, operation, parameters))
        return call(self, operation, parameters)

    def invoked(self: Api, method: str, url: str, body: bytes, reasons: Any) -> Response:
        _, _, stage, *path = (
            urlsplit(url).path.split("/") if "/_aws/" in url else ("", "", *urlsplit(url).path.split("/")[1:])
        )
        into.append(Asked("execute-api:Invoke", _arn("execute-api", f"abcdefghij/{stage}/{method}/{'/'.join(path)}")))
        return Response(400, {}, "validation_failed", 0.0) if body else Response(200, {}, '{"items": []}', 0.0)

    with patch.object(BaseClient, "_make_api_call", noted), patch.object(Api, "_once", invoked):
        yield


def asked(service: Any, operation: str, parameters: Parameters) -> list[Asked]:
    """Everything that IAM decides on before it lets the call through."""
    if service.service_name == "apigateway":
        return _gateway(service.operation_model(operation), parameters)
    return TABLE[service.service_name, operation](parameters)


def _arn(service: str, resource: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def _tags(found: Any) -> dict[str, str]:
    """Tags of a request or of a thing, in any of the forms in which the services have them."""
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, str):
        return dict(parse_qsl(found))
    return {each.get("Key", each.get("TagKey")): each.get("Value", each.get("TagValue")) for each in found or []}


def _requested(parameters: Parameters) -> dict[str, str]:
    tags = _tags(parameters.get("Tags") or parameters.get("tags"))
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def _owned(tags: Any) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in _tags(tags).items()}


# API Gateway: the verb is the action, the path is the resource, and what is in an API inherits its tags.


def _gateway(model: Any, parameters: Parameters) -> list[Asked]:
    verb, uri = model.http["method"], model.http["requestUri"].split("?")[0]
    for name, member in model.input_shape.members.items():
        if member.serialization.get("location") == "uri" and name in parameters:
            place = member.serialization.get("name", name)
            uri = uri.replace(f"{{{place}}}", quote(str(parameters[name]), safe=""))
    context = _requested(parameters)
    if identifier := parameters.get("restApiId"):
        api = apigateway_backends[ACCOUNT][REGION].apis.get(identifier)
        context |= _owned(api.tags if api else {})
    # Of what is tagged, nothing is known where its tags are the resource.
    found = [Asked(f"apigateway:{verb}", f"arn:aws:apigateway:{REGION}::{uri}", {} if "/tags/" in uri else context)]
    if model.name == "UpdateRestApi" and any(each["path"] == "/policy" for each in parameters["patchOperations"]):
        found.append(Asked("apigateway:UpdateRestApiPolicy", found[0].resource, context))
    if model.name in ("CreateRestApi", "CreateStage") and parameters.get("tags"):
        which = f"{parameters['restApiId']}/stages/{parameters['stageName']}" if "restApiId" in parameters else "new"
        tagged = f"arn:aws:apigateway:{REGION}::/restapis/{which}"
        found.append(Asked("apigateway:PUT", f"arn:aws:apigateway:{REGION}::/tags/{quote(tagged, safe='')}"))
        found.append(Asked("apigateway:TagResource", tagged))
    if model.name in ("TagResource", "UntagResource"):
        found.append(Asked(f"apigateway:{model.name}", parameters["resourceArn"]))
    if _traces(parameters):
        made = {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}
        found.append(Asked("iam:CreateServiceLinkedRole", TRACING_ROLE, made))
    if model.name == "UpdateAccount":
        found += [_passed(each["value"], "apigateway") for each in parameters["patchOperations"]]
    return found


def _traces(parameters: Parameters) -> bool:
    """Whether it makes a stage trace, for which API Gateway makes a role of its own if there is none."""
    patches = {each["path"]: each.get("value") for each in parameters.get("patchOperations", ())}
    return bool(parameters.get("tracingEnabled")) or patches.get("/tracingEnabled") == "true"


def _passed(role: str, service: str) -> Asked:
    return Asked("iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"})


# All others: one line per call.

Ask = Callable[[Parameters], list[Asked]]
TABLE: dict[tuple[str, str], Ask] = {("sts", "GetCallerIdentity"): lambda parameters: []}


def _on(service: str, place: Callable[[Parameters], list[str]], *operations: str, action: str = "") -> None:
    prefix = {"iot-data": "iot", "resourcegroupstaggingapi": "tag"}.get(service, service)
    for each in operations:

        def ask(parameters: Parameters, name: str = action or each) -> list[Asked]:
            return [Asked(f"{prefix}:{name}", on, _requested(parameters)) for on in place(parameters)]

        TABLE[service, each] = ask


def _also(service: str, operation: str, more: Ask) -> None:
    first = TABLE[service, operation]
    TABLE[service, operation] = lambda parameters: [*first(parameters), *more(parameters)]


def _tagging(service: str, operation: str, action: str) -> None:
    """With tags, making a thing is tagging it as well."""

    def more(parameters: Parameters) -> list[Asked]:
        if not (parameters.get("Tags") or parameters.get("tags")):
            return []
        return [Asked(f"{service}:{action}", each.resource, each.context) for each in made(parameters)]

    made = TABLE[service, operation]
    _also(service, operation, more)


def _nowhere(parameters: Parameters) -> list[str]:
    return ["*"]


def _named(service: str, form: str, *names: str) -> Callable[[Parameters], list[str]]:
    """An ARN made of whichever of these parameters is there: a name, a list of names, or an ARN already."""

    def place(parameters: Parameters) -> list[str]:
        value = next(parameters[name] for name in names if name in parameters)
        values = value if isinstance(value, list) else [value]
        return [each if each.startswith("arn:") else _arn(service, form.format(each)) for each in values]

    return place


_table = _named("dynamodb", "table/{}", "TableName", "ResourceArn")
_on(
    "dynamodb", _table, "DescribeTable", "DescribeContinuousBackups", "ListTagsOfResource", "CreateTable", "UpdateTable"
)
_on("dynamodb", _table, "UpdateContinuousBackups", "TagResource", "UntagResource", "DeleteTable")
_on("dynamodb", _table, "Query", "Scan")
_on("dynamodb", _table, "GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy")
_on("dynamodb", _table, "DescribeTimeToLive", "UpdateTimeToLive")
_on("dynamodb", _table, "DescribeKinesisStreamingDestination", "DisableKinesisStreamingDestination")
_tagging("dynamodb", "CreateTable", "TagResource")


def _queue(parameters: Parameters) -> list[str]:
    return [_arn("sqs", (parameters.get("QueueName") or parameters["QueueUrl"]).rpartition("/")[2])]


_on("sqs", _queue, "GetQueueAttributes", "ListQueueTags", "CreateQueue", "SetQueueAttributes", "TagQueue", "UntagQueue")
_on("sqs", _queue, "DeleteQueue", "GetQueueUrl", "ReceiveMessage", "PurgeQueue")
for batch in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility"):
    _on("sqs", _queue, f"{batch}Batch", action=batch)
_on("sqs", lambda parameters: [parameters["SourceArn"]], "StartMessageMoveTask", "ListMessageMoveTasks")
_also(
    "sqs",
    "StartMessageMoveTask",
    lambda p: [
        *(Asked(f"sqs:{each}", p["SourceArn"]) for each in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")),
        Asked("sqs:SendMessage", p["DestinationArn"]),
    ],
)
_tagging("sqs", "CreateQueue", "TagQueue")


_ACL_OF = _named("wafv2", "{}", "ResourceArn")
_on("wafv2", lambda p: [p["WebACLArn"], *_ACL_OF(p)], "AssociateWebACL")
_on("wafv2", _ACL_OF, "DisassociateWebACL")
for each in ("AssociateWebACL", "DisassociateWebACL"):
    _also("wafv2", each, lambda p: [Asked("apigateway:SetWebACL", p["ResourceArn"], _of_api(p["ResourceArn"]))])


def _of_api(stage: str) -> dict[str, str]:
    api = apigateway_backends[ACCOUNT][REGION].apis.get(stage.split("/")[2])
    return _owned(api.tags if api else {})


# KMS: what services do on the caller's behalf is the caller's to be allowed, as if everything were encrypted.


def _by_way_of(service: str, *actions: str) -> list[Asked]:
    via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
    return [Asked(f"kms:{each}", KMS_KEY, via) for each in actions]


_on("kms", lambda p: [p["KeyId"]], "DescribeKey", "GetKeyPolicy")
_OF_TABLES = ("CreateGrant", "DescribeKey", "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey")
for each in ("CreateTable", "UpdateTable"):
    _also("dynamodb", each, lambda p: _by_way_of("dynamodb", *_OF_TABLES) if "SSESpecification" in p else [])
for each in ("Query", "Scan"):
    _also("dynamodb", each, lambda p: _by_way_of("dynamodb", "Decrypt"))
_also("sqs", "ReceiveMessage", lambda p: _by_way_of("sqs", "Decrypt"))
_also("sqs", "SendMessageBatch", lambda p: _by_way_of("sqs", "Decrypt", "GenerateDataKey"))
_also("sqs", "StartMessageMoveTask", lambda p: _by_way_of("sqs", "Decrypt", "GenerateDataKey"))

_topic = _named("sns", "{}", "TopicArn", "ResourceArn", "Name")
_on("sns", _topic, "GetTopicAttributes", "ListTagsForResource", "ListSubscriptionsByTopic", "CreateTopic", "Subscribe")
_on("sns", _topic, "SetTopicAttributes", "TagResource", "UntagResource", "DeleteTopic")
_on(
    "sns",
    lambda p: [p["SubscriptionArn"].rpartition(":")[0]],
    *("Unsubscribe", "GetSubscriptionAttributes", "SetSubscriptionAttributes"),
)
_tagging("sns", "CreateTopic", "TagResource")

_parameter = _named("ssm", "parameter{}", "Name", "ResourceId")
_on("ssm", _parameter, "GetParameter", "PutParameter", "ListTagsForResource", "AddTagsToResource", "DeleteParameter")
_on("ssm", _parameter, "RemoveTagsFromResource")
_on("ssm", lambda p: [_arn("ssm", "*")], "DescribeParameters")
_tagging("ssm", "PutParameter", "AddTagsToResource")
_also("ssm", "GetParameter", lambda p: _by_way_of("ssm", "Decrypt") if p.get("WithDecryption") else [])
_also("ssm", "PutParameter", lambda p: _by_way_of("ssm", "Encrypt") if "KeyId" in p else [])


def _role(parameters: Parameters) -> list[str]:
    return [f"arn:aws:iam::{ACCOUNT}:role/{parameters['RoleName']}"]


_on("iam", _role, "GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies", "TagRole", "UntagRole")
_on("iam", _role, "UpdateAssumeRolePolicy", "DeleteRole", "DeleteRolePolicy", "DetachRolePolicy")
_on("iam", _role, "ListInstanceProfilesForRole", "UpdateRoleDescription")
_on("iam", lambda p: ["*"], "ListRoles")
_on(
    "iam",
    lambda p: [f"arn:aws:iam::{ACCOUNT}:instance-profile/{p['InstanceProfileName']}"],
    "RemoveRoleFromInstanceProfile",
)
_on("iam", lambda p: [p["PolicySourceArn"]], "SimulatePrincipalPolicy")


def _boundary(parameters: Parameters) -> dict[str, str]:
    """The boundary that is being set, or that the role has."""
    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    has = {each.name: each.permissions_boundary_arn for each in roles}.get(parameters["RoleName"])
    found = parameters.get("PermissionsBoundary") or has
    return {"iam:PermissionsBoundary": found} if found else {}


for each in ("CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"):
    TABLE["iam", each] = lambda p, name=each: [
        Asked(f"iam:{name}", on, _boundary(p) | _requested(p)) for on in _role(p)
    ]
_tagging("iam", "CreateRole", "TagRole")

_group = _named("logs", "log-group:{}", "logGroupName", "resourceArn", "logGroupIdentifier")
_on("logs", _group, "ListTagsForResource", "TagResource", "UntagResource")
_on("logs", lambda p: [f"{_group(p)[0]}:log-stream:"], "CreateLogGroup", "PutRetentionPolicy", "DeleteLogGroup")
_on(
    "logs",
    lambda p: [f"{_group(p)[0]}:log-stream:"],
    *("FilterLogEvents", "DescribeSubscriptionFilters", "DeleteSubscriptionFilter", "DisassociateKmsKey"),
    *("AssociateKmsKey", "DeleteDataProtectionPolicy", "PutLogGroupDeletionProtection"),
)
_on("logs", lambda p: [_arn("logs", "log-group::log-stream:")], "DescribeLogGroups")
_also("logs", "CreateLogGroup", lambda p: [Asked("logs:TagResource", _group(p)[0])] if p.get("tags") else [])

_function = _named("lambda", "function:{}", "FunctionName", "Resource")
_layer = _named("lambda", "layer:{}", "LayerName")
_on("lambda", _function, "GetFunction", "GetFunctionConfiguration", "GetPolicy", "CreateFunction", "UpdateFunctionCode")
_on("lambda", _function, "UpdateFunctionConfiguration", "PutFunctionConcurrency", "DeleteFunctionConcurrency")
_on("lambda", _function, "RemovePermission", "ListFunctionUrlConfigs", "DeleteFunctionUrlConfig")
_on("lambda", _function, "ListVersionsByFunction", "ListAliases", "DeleteAlias")
_on(
    "lambda",
    lambda p: [f"{on}:{p['Qualifier']}" if "Qualifier" in p else on for on in _function(p)],
    "DeleteFunction",
)
_on("lambda", _layer, "ListLayerVersions", "PublishLayerVersion")
_on("lambda", _nowhere, "ListLayers")
_on(
    "lambda",
    lambda p: [f"{_layer(p)[0]}:{p['VersionNumber']}"],
    *("DeleteLayerVersion", "GetLayerVersionPolicy", "RemoveLayerVersionPermission"),
)
_on("lambda", _nowhere, "ListEventSourceMappings", "GetAccountSettings")
_also("lambda", "GetFunction", lambda p: _by_way_of("lambda", "Decrypt"))
_also("lambda", "GetFunction", lambda p: [Asked("lambda:ListTags", on) for on in _function(p)])
_tagging("lambda", "CreateFunction", "TagResource")
for each in ("CreateFunction", "UpdateFunctionConfiguration"):
    _also("lambda", each, lambda p: [_passed(p["Role"], "lambda")] if "Role" in p else [])
    _also("lambda", each, lambda p: _by_way_of("lambda", "CreateGrant", "Encrypt") if p.get("KMSKeyArn") else [])
    _also("lambda", each, lambda p: [Asked("lambda:GetLayerVersion", on) for on in p.get("Layers", [])])
TABLE["lambda", "AddPermission"] = lambda p: [
    Asked("lambda:AddPermission", on, {"lambda:Principal": p["Principal"]}) for on in _function(p)
]


def _mapping(identifier: str) -> tuple[str, dict[str, str]]:
    """A mapping's ARN, and what IAM knows of it: its function and its tags."""
    on = _arn("lambda", f"event-source-mapping:{identifier}")
    backend = lambda_backends[ACCOUNT][REGION]
    known = backend.get_event_source_mapping(identifier)
    if known is None:
        return on, {}
    return on, {"lambda:FunctionArn": known.function_arn} | _owned(backend.list_tags(on))


def _of_mapping(parameters: Parameters, action: str) -> list[Asked]:
    on, context = _mapping(parameters["UUID"])
    return [Asked(f"lambda:{action}", on, context)]


for each in ("GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"):
    TABLE["lambda", each] = lambda p, name=each: _of_mapping(p, name)
TABLE["lambda", "CreateEventSourceMapping"] = lambda p: [
    Asked("lambda:CreateEventSourceMapping", "*", {"lambda:FunctionArn": p["FunctionName"]} | _requested(p)),
    Asked("lambda:TagResource", _arn("lambda", "event-source-mapping:new"), _requested(p)),
]


def _lambda_tags(parameters: Parameters, action: str) -> list[Asked]:
    on = parameters["Resource"]
    context = _mapping(on.rpartition(":")[2])[1] if ":event-source-mapping:" in on else {}
    return [Asked(f"lambda:{action}", on, context | _requested(parameters))]


for each in ("ListTags", "TagResource", "UntagResource"):
    TABLE["lambda", each] = lambda p, name=each: _lambda_tags(p, name)

_iot_policy = _named("iot", "policy/{}", "policyName")
_on("iot", _iot_policy, "GetPolicy", "CreatePolicy", "CreatePolicyVersion", "ListPolicyVersions", "DeletePolicyVersion")
_on("iot", _iot_policy, "DeletePolicy", "ListTargetsForPolicy")
_rule = _named("iot", "rule/{}", "ruleName")
_on("iot", _rule, "GetTopicRule", "CreateTopicRule", "ReplaceTopicRule", "DeleteTopicRule")
_on("iot", _nowhere, "ListTopicRules", "GetV2LoggingOptions")
_thing = _named("iot", "thing/{}", "thingName")
_on("iot", _thing, "CreateThing", "DescribeThing", "UpdateThing", "DeleteThing", "ListThingPrincipals")
_certificate = _named("iot", "cert/{}", "certificateId", "target", "principal")
_on("iot", _certificate, "DescribeCertificate", "UpdateCertificate", "DeleteCertificate", "ListPrincipalThings")
_on("iot", _certificate, "AttachPolicy", "DetachPolicy")
_on("iot", _nowhere, "CreateCertificateFromCsr", "DescribeEndpoint", "ListThings", "ListCertificates")
for each in ("AttachThingPrincipal", "DetachThingPrincipal"):
    TABLE["iot", each] = lambda p, name=each: [
        Asked(f"iot:{name}", on, {"iot:thingArn": _thing(p)[0]}) for on in _certificate(p)
    ]
_client = _named("iot", "client/{}", "clientId")
_on("iot-data", _client, "DeleteConnection", "GetConnection")
_on("iot-data", lambda p: [_arn("iot", f"topic/{p['topic']}")], "Publish")

_on("iot", lambda p: [p["resourceArn"]], "ListTagsForResource", "TagResource", "UntagResource")
_tagging("iot", "CreatePolicy", "TagResource")
_tagging("iot", "CreateTopicRule", "TagResource")


def _roles_of(parameters: Parameters) -> list[Asked]:
    """The rules engine assumes the role of each action."""
    payload = parameters["topicRulePayload"]
    roles = {each["sqs"]["roleArn"] for each in (*payload["actions"], payload["errorAction"])}
    return [_passed(role, "iot") for role in sorted(roles)]


for each in ("CreateTopicRule", "ReplaceTopicRule"):
    _also("iot", each, _roles_of)

_alarm = _named("cloudwatch", "alarm:{}", "AlarmName", "AlarmNames", "ResourceARN")
_dashboard = _named("cloudwatch", "dashboard/{}", "DashboardName", "DashboardNames", "ResourceARN")
_on("cloudwatch", _alarm, "PutMetricAlarm", "DeleteAlarms", "ListTagsForResource", "TagResource", "UntagResource")
_on("cloudwatch", lambda p: [_arn("cloudwatch", "alarm:*")], "DescribeAlarms")
_on(
    "cloudwatch",
    lambda p: [on.replace(f":{REGION}:", "::") for on in _dashboard(p)],
    *("GetDashboard", "PutDashboard", "DeleteDashboards"),
)
_on("cloudwatch", _nowhere, "GetMetricData", "ListMetrics", "ListDashboards", "ListAlarmMuteRules")
_mute_rule = _named("cloudwatch", "alarm-mute-rule:{}", "AlarmMuteRuleName")
_on("cloudwatch", _mute_rule, "GetAlarmMuteRule", "DeleteAlarmMuteRule")
_on("resourcegroupstaggingapi", _nowhere, "GetResources")
_tagging("cloudwatch", "PutMetricAlarm", "TagResource")
_tagging("cloudwatch", "PutDashboard", "TagResource")
