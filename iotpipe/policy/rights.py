"""Which IAM actions each kind of resource needs, by group of commands: data alone.

The actions, the resources that they can be narrowed to and their condition keys are those of AWS's Service
Authorization Reference (https://docs.aws.amazon.com/service-authorization/latest/reference/), one page per service.
Where AWS asks for more than the action that is named like the call, or names the resource otherwise than that
reference, a comment says so.

Of sts:GetCallerIdentity nobody need be given the right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iotpipe.names import DEAD_LETTER_QUEUE, READING_QUEUE

GROUPS = ("plan", "up", "down", "operate")
"""plan: what only reads. Every other group can do what `plan` can: each command first looks at what there is.

up: creates, updates, and deletes what is no longer declared, but no table. down: deletes. operate: sends readings,
asks the API, reads logs, looks at dead letters and sends them back.
"""

Condition = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Right:
    """Actions of one service on resources of one form.

    In `on` and `when` stand {partition}, {region}, {account}, {environment}, {api} (the API's id, * where it is not
    known yet), {known_api} (nothing then), {boundary}, {key} and {acl} for each KMS key and web ACL, {name} of the
    resource, and {kind} for the name of each resource of that kind that it needs.
    """

    sid: str
    service: str
    on: tuple[str, ...]
    plan: str = ""
    up: str = ""
    down: str = ""
    operate: str = ""
    when: Condition = field(default_factory=dict)
    only: str = "*"
    """The names of the resources that this is about, with wildcards."""
    of: str = ""
    """Only asked for where there is one: `key` or `acl`, declared or still to be taken off, or `known_api`."""
    bounded: bool | None = None
    """True where only roles with a permissions boundary may be made, False where none is asked for, None for both."""


def _arn(service: str, resource: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{resource}"


_TAG = "iotpipe:environment"
_OURS: Condition = {"StringEquals": {f"aws:ResourceTag/{_TAG}": "{environment}"}}
_OF_NOBODY: Condition = {"Null": {f"aws:ResourceTag/{_TAG}": "true"}}
_TO_BE_OURS: Condition = {"StringEquals": {f"aws:RequestTag/{_TAG}": "{environment}"}}
_BOUND: Condition = {"StringEquals": {"iam:PermissionsBoundary": "{boundary}"}}
_ITS_ARN = {"lambda:FunctionArn": _arn("lambda", "function:{function}")}
_OF_FUNCTION: Condition = {"ArnEquals": _ITS_ARN}
_OF_THIS_FUNCTION: Condition = {"ArnEqualsIfExists": {"lambda:FunctionArn": _arn("lambda", "function:{name}")}}
# Of a mapping that is gone IAM knows no function: without `IfExists` AWS would deny what it should say is not there.
_OF_FUNCTION_OR_GONE: Condition = {"ArnEqualsIfExists": _ITS_ARN}


def _use_key(service: str, plan: str = "", up: str = "", operate: str = "") -> Right:
    """What somebody does with the key by way of a service. The end of the service's name differs by partition."""
    via = {"StringLike": {"kms:ViaService": f"{service}.{{region}}.*"}}
    return Right("UseKey", "kms", ("{key}",), plan=plan, up=up, operate=operate, when=via, of="key")


def _passed_to(service: str) -> Condition:
    return {"StringEquals": {"iam:PassedToService": service}}


_TABLE = (_arn("dynamodb", "table/{name}"),)
_QUEUE = (_arn("sqs", "{name}"),)
_TOPIC = (_arn("sns", "{name}"),)
_PARAMETER = (_arn("ssm", "parameter{name}"),)
_ROLE = ("arn:{partition}:iam::{account}:role/{name}",)
_LOGGING_ROLE = ("arn:{partition}:iam::{account}:role/iotpipe-api-gateway-logging-{name}",)
_FUNCTION = (_arn("lambda", "function:{name}"),)
_ITS_FUNCTION = (_arn("lambda", "function:{function}"),)
# The id is only known once AWS has assigned it.
_MAPPING = (_arn("lambda", "event-source-mapping:*"),)
_ALARM = (_arn("cloudwatch", "alarm:{name}"),)
_MUTE_RULES = (_arn("cloudwatch", "alarm-mute-rule:*"),)
# Dashboards belong to no region.
_DASHBOARD = ("arn:{partition}:cloudwatch::{account}:dashboard/{name}",)
# AWS asks about a group's tags without, about all else with the `:*` of its streams.
_LOG_GROUP = (_arn("logs", "log-group:{name}"), _arn("logs", "log-group:{name}:*"))
_STAGE_LOG_GROUP = tuple(
    _arn("logs", f"log-group:API-Gateway-Execution-Logs_{{api}}/{{name}}{streams}") for streams in ("", ":*")
)
_ALL_LOG_GROUPS = (_arn("logs", "log-group:*"),)

# API Gateway's actions are the verbs of HTTP, its resources the paths. An API's id is only known once it is there, but
# all that is inside an API inherits its tags where access is concerned:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
_GATEWAY = "arn:{partition}:apigateway:{region}::"
_APIS, _IN_APIS = f"{_GATEWAY}/restapis", f"{_GATEWAY}/restapis/*"
_STAGE = f"{_GATEWAY}/restapis/{{api}}/stages/{{name}}"
# AWS asks for PUT here also when an API or a stage is made with tags. Of what is tagged it knows no tags here: who may
# tag any API could make it one of this environment's, so that the API's id is named as soon as it is known.
_ITS_TAGS = f"{_GATEWAY}/tags/arn%3A{{partition}}%3Aapigateway%3A{{region}}%3A%3A%2Frestapis%2F{{api}}"
_API_TAGS = (_ITS_TAGS, f"{_ITS_TAGS}%2Fstages%2F*")
_ITS_API = (f"{_GATEWAY}/restapis/{{api}}", f"{_GATEWAY}/restapis/{{api}}/*")
_READ_APIS = Right("ReadApis", "apigateway", (_APIS, _IN_APIS), plan="GET")

_PARAMETERS = Right(
    "Parameters",
    "ssm",
    _PARAMETER,
    plan="ListTagsForResource",
    up="PutParameter AddTagsToResource RemoveTagsFromResource",
    down="DeleteParameter",
)

# It tells types and names, never a value, and knows no single parameter.
_FIND_PARAMETERS = Right("FindParameters", "ssm", (_arn("ssm", "*"),), plan="DescribeParameters")

TRACING_ROLE = Right(
    "TracingRole",
    "iam",
    ("arn:{partition}:iam::{account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",),
    up="CreateServiceLinkedRole",
    when={"StringEquals": {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}},
)
"""To let API Gateway make its own role, with which it sends traces; one per account, made with the first stage that
traces: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-enabling-xray.html"""

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "table": (
        Right(
            "Tables",
            "dynamodb",
            _TABLE,
            plan="DescribeTable DescribeContinuousBackups ListTagsOfResource"
            " GetResourcePolicy DescribeTimeToLive DescribeKinesisStreamingDestination",
            up="CreateTable UpdateTable UpdateContinuousBackups TagResource UntagResource"
            " PutResourcePolicy DeleteResourcePolicy UpdateTimeToLive DisableKinesisStreamingDestination",
            down="DeleteTable",
        ),
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
        _use_key("dynamodb", up="CreateGrant DescribeKey Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey"),
    ),
    "queue": (
        Right(
            "Queues",
            "sqs",
            _QUEUE,
            plan="GetQueueAttributes ListQueueTags",
            up="CreateQueue SetQueueAttributes TagQueue UntagQueue",
            down="DeleteQueue",
            operate="GetQueueUrl",
        ),
        # Redriving asks for all of these at the dead-letter queue, and for SendMessage at the other.
        Right(
            "DeadLetters",
            "sqs",
            _QUEUE,
            only=f"{DEAD_LETTER_QUEUE}-*",
            operate="ReceiveMessage DeleteMessage ChangeMessageVisibility PurgeQueue"
            " StartMessageMoveTask ListMessageMoveTasks",
        ),
        Right("Readings", "sqs", _QUEUE, only=f"{READING_QUEUE}-*", operate="SendMessage"),
        _use_key("sqs", operate="Decrypt GenerateDataKey"),
        # Metrics have no ARN.
        Right("Anywhere", "cloudwatch", ("*",), plan="GetMetricData"),
    ),
    "topic": (
        Right(
            "Topics",
            "sns",
            _TOPIC,
            plan="GetTopicAttributes ListTagsForResource ListSubscriptionsByTopic",
            up="CreateTopic SetTopicAttributes TagResource UntagResource",
            down="DeleteTopic",
        ),
        # The key and its policy are looked at before anything is encrypted with it.
        Right("ReadKey", "kms", ("{key}",), plan="DescribeKey GetKeyPolicy", of="key"),
        # The reference lists no resource for what is done to a subscription; AWS's refusals name the topic.
        Right("Subscriptions", "sns", _TOPIC, up="Unsubscribe"),
    ),
    "subscription": (
        Right(
            "Subscriptions",
            "sns",
            (_arn("sns", "{topic}"),),
            plan="GetSubscriptionAttributes",
            up="Subscribe Unsubscribe SetSubscriptionAttributes",
        ),
    ),
    "parameter": (
        _PARAMETERS,
        _FIND_PARAMETERS,
        Right("ReadParameters", "ssm", _PARAMETER, plan="GetParameter"),
    ),
    "secret": (
        # The AWS managed key aws/ssm lets in whoever SSM lets in: no right of KMS is needed.
        _PARAMETERS,
        _FIND_PARAMETERS,
        # SSM encrypts with another key only what is written anew.
        Right("EncryptApiKey", "ssm", _PARAMETER, up="GetParameter", of="key"),
        _use_key("ssm", up="Encrypt Decrypt", operate="Decrypt"),
    ),
    "layer": (
        Right(
            "Layers", "lambda", (_arn("lambda", "layer:{name}"),), plan="ListLayerVersions", up="PublishLayerVersion"
        ),
        Right("Anywhere", "lambda", ("*",), plan="ListLayers"),
        # A function may only be given a layer by whoever may get that.
        Right(
            "LayerVersions",
            "lambda",
            (_arn("lambda", "layer:{name}:*"),),
            plan="GetLayerVersionPolicy",
            up="GetLayerVersion RemoveLayerVersionPermission",
            down="DeleteLayerVersion",
        ),
    ),
    "role": (
        Right(
            "Roles",
            "iam",
            _ROLE,
            plan="GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
            up="TagRole UntagRole UpdateAssumeRolePolicy UpdateRoleDescription",
            down="DeleteRole DeleteRolePolicy DetachRolePolicy ListInstanceProfilesForRole",
        ),
        Right("Roles", "iam", _ROLE, up="CreateRole PutRolePolicy DeleteRolePermissionsBoundary", bounded=False),
        Right(
            "MakeRoles",
            "iam",
            _ROLE,
            up="CreateRole PutRolePolicy PutRolePermissionsBoundary",
            when=_BOUND,
            bounded=True,
        ),
        # What was left behind is found among all roles.
        Right("Anywhere", "iam", ("*",), plan="ListRoles"),
        Right("PassRoles", "iam", _ROLE, up="PassRole", when=_passed_to("lambda.amazonaws.com")),
        # Only needed where somebody has put a role of the environment into one. AWS knows no condition for whose role
        # it is; the console names a profile like its role.
        Right(
            "TakeRolesOut",
            "iam",
            ("arn:{partition}:iam::{account}:instance-profile/{name}",),
            down="RemoveRoleFromInstanceProfile",
        ),
    ),
    "log-group": (
        Right(
            "LogGroups",
            "logs",
            _LOG_GROUP,
            plan="ListTagsForResource DescribeSubscriptionFilters",
            up="CreateLogGroup PutRetentionPolicy TagResource UntagResource DeleteSubscriptionFilter"
            " DisassociateKmsKey DeleteDataProtectionPolicy PutLogGroupDeletionProtection",
            down="DeleteLogGroup",
            operate="FilterLogEvents",
        ),
        # AWS asks about a group without a name.
        Right("FindLogGroups", "logs", _ALL_LOG_GROUPS, plan="DescribeLogGroups"),
        Right("LogGroups", "logs", _LOG_GROUP, up="AssociateKmsKey", of="key"),
    ),
    "function": (
        Right(
            "Functions",
            "lambda",
            _FUNCTION,
            # GetFunction answers with tags only to who may list them.
            plan="GetFunction ListTags GetPolicy ListFunctionUrlConfigs ListVersionsByFunction ListAliases",
            up="CreateFunction UpdateFunctionCode UpdateFunctionConfiguration GetFunctionConfiguration"
            " PutFunctionConcurrency DeleteFunctionConcurrency TagResource UntagResource"
            " RemovePermission DeleteFunctionUrlConfig ListAliases DeleteAlias",
            down="DeleteFunction",
        ),
        # Versions that others published; AWS asks about them by their number.
        Right("FunctionVersions", "lambda", (_arn("lambda", "function:{name}:*"),), up="DeleteFunction"),
        # Of what else feeds a function. Nobody is given the right to delete mappings of functions that are not the
        # pipeline's: a queue that is emptied into one of those is for whoever may delete any mapping.
        Right("Feeds", "lambda", _MAPPING, up="DeleteEventSourceMapping", when=_OF_THIS_FUNCTION),
        # Without Decrypt Lambda does not tell the environment:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        _use_key("lambda", plan="Decrypt", up="CreateGrant Encrypt"),
        # Asked for where a reservation is to be made or raised.
        Right("Anywhere", "lambda", ("*",), plan="GetAccountSettings"),
    ),
    "permission": (
        Right("Functions", "lambda", _ITS_FUNCTION, plan="GetPolicy", up="RemovePermission"),
        Right(
            "LetApiInvoke",
            "lambda",
            _ITS_FUNCTION,
            up="AddPermission",
            when={"StringEquals": {"lambda:Principal": "apigateway.amazonaws.com"}},
        ),
    ),
    "event-source-mapping": (
        # Both know no single mapping.
        Right("Anywhere", "lambda", ("*",), plan="ListEventSourceMappings"),
        Right("MakeMappings", "lambda", ("*",), up="CreateEventSourceMapping", when=_OF_FUNCTION),
        Right(
            "Mappings",
            "lambda",
            _MAPPING,
            up="UpdateEventSourceMapping",
            down="DeleteEventSourceMapping GetEventSourceMapping",
            when=_OF_FUNCTION_OR_GONE,
        ),
        Right("ReadMappingTags", "lambda", _MAPPING, plan="ListTags"),
        Right("MappingTags", "lambda", _MAPPING, up="TagResource UntagResource", when=_OURS),
        # Only on what bears no environment's tag: whose mapping it is, IAM knows from nothing else here.
        Right("NewMappingTags", "lambda", _MAPPING, up="TagResource", when={**_TO_BE_OURS, **_OF_NOBODY}),
    ),
    "rest-api": (
        _READ_APIS,
        Right("MakeApis", "apigateway", (_APIS,), up="POST", when=_TO_BE_OURS),
        Right("Apis", "apigateway", (_IN_APIS,), up="PATCH", down="DELETE", when=_OURS),
        # AWS asks for it besides PATCH where the resource policy is taken off.
        Right("ApiPolicy", "apigateway", (_IN_APIS,), up="UpdateRestApiPolicy", when=_OURS),
        Right("ApiTags", "apigateway", _API_TAGS, up="PUT DELETE"),
        # As these AWS has refused the tags of a stage's, where a policy names its resources:
        # https://github.com/mattclay/aws-terminator/pull/284
        Right("ApiTagging", "apigateway", _ITS_API, up="TagResource UntagResource"),
        # API Gateway makes these groups itself: they bear the API's id and no tag.
        Right("FindLogGroups", "logs", _ALL_LOG_GROUPS, plan="DescribeLogGroups"),
        Right(
            "ApiLogGroups",
            "logs",
            (_arn("logs", "log-group:API-Gateway-Execution-Logs_{api}/*"),),
            down="DeleteLogGroup",
        ),
    ),
    "route": (
        _READ_APIS,
        Right("Apis", "apigateway", (_IN_APIS,), up="POST PUT DELETE", when=_OURS),
    ),
    "stage": (
        _READ_APIS,
        Right("Apis", "apigateway", (_IN_APIS,), up="POST PATCH DELETE", when=_OURS),
        TRACING_ROLE,
        # The API's id is part of the name, and an API that is made anew has another.
        Right("FindLogGroups", "logs", _ALL_LOG_GROUPS, plan="DescribeLogGroups"),
        Right(
            "StageLogGroups",
            "logs",
            _STAGE_LOG_GROUP,
            plan="DescribeSubscriptionFilters",
            up="CreateLogGroup PutRetentionPolicy DeleteSubscriptionFilter DisassociateKmsKey"
            " DeleteDataProtectionPolicy PutLogGroupDeletionProtection",
        ),
        Right("StageLogGroups", "logs", _STAGE_LOG_GROUP, up="AssociateKmsKey", of="key"),
        # AWS asks about the web ACL, about the stage, and API Gateway whether the stage may be put behind one:
        # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
        Right("UseWebAcl", "wafv2", ("{acl}", _STAGE), up="AssociateWebACL", of="acl"),
        Right("LeaveWebAcl", "wafv2", (_STAGE,), up="DisassociateWebACL", of="acl"),
        Right("Protect", "apigateway", (_STAGE,), up="SetWebACL", of="acl"),
        Right(
            "Invoke",
            "execute-api",
            (_arn("execute-api", "{known_api}/{name}/{route}"),),
            operate="Invoke",
            of="known_api",
        ),
    ),
    "api-gateway-account": (
        Right("Account", "apigateway", (f"{_GATEWAY}/account",), plan="GET", up="PATCH"),
        Right(
            "LoggingRole",
            "iam",
            _LOGGING_ROLE,
            plan="GetRole GetRolePolicy ListRolePolicies ListAttachedRolePolicies",
            up="TagRole UpdateAssumeRolePolicy DeleteRolePolicy DetachRolePolicy",
        ),
        Right(
            "LoggingRole",
            "iam",
            _LOGGING_ROLE,
            up="CreateRole PutRolePolicy DeleteRolePermissionsBoundary",
            bounded=False,
        ),
        Right(
            "MakeLoggingRole",
            "iam",
            _LOGGING_ROLE,
            up="CreateRole PutRolePolicy PutRolePermissionsBoundary",
            when=_BOUND,
            bounded=True,
        ),
        Right("PassLoggingRole", "iam", _LOGGING_ROLE, up="PassRole", when=_passed_to("apigateway.amazonaws.com")),
    ),
    "alarm": (
        Right(
            "Alarms",
            "cloudwatch",
            _ALARM,
            plan="ListTagsForResource",
            up="PutMetricAlarm TagResource UntagResource",
            down="DeleteAlarms",
        ),
        # AWS asks about all alarms, whichever are named.
        Right("FindAlarms", "cloudwatch", (_arn("cloudwatch", "alarm:*"),), plan="DescribeAlarms"),
        Right("Anywhere", "tag", ("*",), plan="GetResources"),
        Right("Anywhere", "cloudwatch", ("*",), plan="ListMetrics ListAlarmMuteRules"),
        # Which alarms a rule mutes only the rule itself tells.
        Right("MuteRules", "cloudwatch", _MUTE_RULES, plan="GetAlarmMuteRule", up="DeleteAlarmMuteRule"),
    ),
    "dashboard": (
        Right(
            "Dashboards",
            "cloudwatch",
            _DASHBOARD,
            plan="GetDashboard ListTagsForResource",
            up="PutDashboard TagResource UntagResource",
            down="DeleteDashboards",
        ),
        # What was left behind is found among all dashboards.
        Right("Anywhere", "cloudwatch", ("*",), plan="ListDashboards"),
        Right(
            "AllDashboards",
            "cloudwatch",
            ("arn:{partition}:cloudwatch::{account}:dashboard/*",),
            plan="ListTagsForResource",
        ),
    ),
}
"""By kind of resource."""

DOCTOR = (
    # Of whoever gets the policy, and of the role with which the account's APIs log. Only users have a name to put here.
    Right(
        "Examine",
        "iam",
        ("arn:{partition}:iam::{account}:role/*", "arn:{partition}:iam::{account}:user/${{aws:username}}"),
        plan="SimulatePrincipalPolicy GetRole",
    ),
)
"""Of no kind of resource: what is looked at before anything is made."""

API_KEY = Right("ApiKey", "ssm", _PARAMETER, operate="GetParameter")
"""Of the kind secret, where readings are only taken with the key in a header."""
