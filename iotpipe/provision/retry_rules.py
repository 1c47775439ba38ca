"""The retry rules: which AWS errors are retried, how often and for how long.

iotpipe retries a resource's whole read, compare and apply, so that each attempt after a lost response or a half-made
change starts from the live state. Only a throttled call, which had no effect, is retried on its own (see throttling):
in a busy account, an operation of eight calls that restarts at each throttled call would hardly ever complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from iotpipe.provision.call_errors import CallError, code_and_message
from iotpipe.provision.response_check import NotFromAws
from iotpipe.provision.retry_schedule import Rule, Schedule

# IAM changes reach other services within seconds: poll often, a late poll costs more than an early one.
PROPAGATION = Schedule((0.25, 0.5, 1, 2), budget=300)
LOAD = Schedule((0.25, 0.5, 1, 2, 4, 8), budget=90, jitter=True)
STATE = Schedule((0.5, 1, 2), budget=600)
ALREADY_EXISTS = Schedule((0, 0.5, 1, 2), budget=12)
QUEUE_NAME = Schedule((2,), budget=75)
# UpdateAccount is allowed once in 20 s, DeleteRestApi once in 30 s, per account and region.
ACCOUNT_UPDATE = Schedule((20,), budget=180)
API_DELETE = Schedule((31,), budget=200)

_FUNCTION_WRITES = ("CreateFunction", "UpdateFunctionConfiguration", "UpdateFunctionCode")
_FUNCTION_CHANGES = (
    *_FUNCTION_WRITES,
    "PutFunctionConcurrency",
    "DeleteFunctionConcurrency",
    "DeleteFunction",
)
_BACKUP_CALLS = ("UpdateContinuousBackups", "DescribeContinuousBackups")
_MAPPING_WRITES = ("CreateEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping")
_API_CONTENT_CALLS = (
    *("CreateResource", "PutMethod", "PutIntegration", "CreateDeployment", "CreateStage", "UpdateStage"),
    "UpdateRestApi",
    *("GetResources", "GetStages", "GetDeployments"),
)
_INVALID = ("InvalidParameterValueException",)
_CONFLICT = ("ResourceConflictException",)
_IOT_IN_USE = ("DeleteConflictException",)
_ROLE_PROPAGATION = "waiting for IAM to propagate the role"
_THROTTLED = "throttled by AWS"
_API_BUSY = "another change of the API is under way"
_EXISTS = "it already exists: reading it again"

RULES: tuple[Rule, ...] = (
    # Lambda. ResourceConflictException has three meanings, which only the message distinguishes.
    Rule(_ROLE_PROPAGATION, PROPAGATION, _INVALID, (*_FUNCTION_WRITES, *_MAPPING_WRITES), "cannot be assumed"),
    Rule(
        _ROLE_PROPAGATION,
        PROPAGATION,
        _INVALID,
        (*_FUNCTION_WRITES, *_MAPPING_WRITES),
        "does not have permissions to call",
    ),
    Rule(_ROLE_PROPAGATION, PROPAGATION, _INVALID, _FUNCTION_WRITES, "KMS key is invalid for CreateGrant"),
    Rule(_ROLE_PROPAGATION, PROPAGATION, _INVALID, _MAPPING_WRITES, "Please ensure the role can perform"),
    Rule(
        "waiting until Lambda sees the queue's new visibility timeout",
        Schedule((2,), budget=90),
        _INVALID,
        (*_MAPPING_WRITES, "UpdateFunctionConfiguration"),
        "Queue visibility timeout",
    ),
    Rule("waiting until Lambda sees the new queue", LOAD, _INVALID, _MAPPING_WRITES, "NonExistentQueue"),
    Rule(
        "waiting until the new layer version is seen",
        LOAD,
        ("InvalidParameterValueException", "ResourceNotFoundException"),
        _FUNCTION_WRITES,
        "Layer version",
    ),
    Rule("the function is being updated", STATE, _CONFLICT, _FUNCTION_CHANGES, "update is in progress"),
    Rule("the function is being created", STATE, _CONFLICT, _FUNCTION_CHANGES, "Pending"),
    Rule(_EXISTS, ALREADY_EXISTS, _CONFLICT, ("CreateFunction",), "already exist"),
    Rule(_EXISTS, ALREADY_EXISTS, _CONFLICT, ("AddPermission",), "already exists"),
    Rule(
        "another change of the function is under way",
        LOAD,
        _CONFLICT,
        ("AddPermission", "RemovePermission", *_FUNCTION_CHANGES),
        "concurrent update",
    ),
    Rule(
        "waiting until the function is seen",
        LOAD,
        ("ResourceNotFoundException",),
        ("AddPermission", "PutFunctionConcurrency", "CreateEventSourceMapping"),
    ),
    # Lambda answers so although its documentation has ResourceNotFoundException for a missing function.
    Rule(
        "waiting until the function is seen",
        LOAD,
        _INVALID,
        ("CreateEventSourceMapping",),
        "Function does not exist",
    ),
    Rule(
        "the queue has such a mapping: reading it again, or waiting until it is deleted",
        STATE,
        _CONFLICT,
        ("CreateEventSourceMapping",),
        "already exists",
    ),
    Rule(
        "the event source mapping is changing state",
        STATE,
        ("ResourceInUseException", "ResourceConflictException"),
        _MAPPING_WRITES,
        "in use",
    ),
    # From the documentation only: "another operation is in progress". A mapping changes within seconds.
    Rule("another change of it is under way", STATE, _CONFLICT, ("TagResource", "UntagResource")),
    # IAM
    Rule(_EXISTS, ALREADY_EXISTS, ("EntityAlreadyExists",)),
    Rule("waiting until IAM sees the role", LOAD, ("NoSuchEntity",), ("PutRolePolicy", "TagRole", "UntagRole")),
    Rule("another change of the role is under way", LOAD, ("ConcurrentModification",)),
    Rule("waiting until IAM sees the role's policies gone", LOAD, ("DeleteConflict",), ("DeleteRole",)),
    # SQS. Codes may have the prefix of the old query protocol.
    Rule(
        "SQS lets a name be reused 60 s after the queue's deletion",
        QUEUE_NAME,
        ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
    ),
    Rule(_EXISTS, ALREADY_EXISTS, ("QueueNameExists", "QueueAlreadyExists")),
    Rule(
        "waiting until the queue is seen",
        LOAD,
        ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
        ("SetQueueAttributes", "TagQueue", "UntagQueue"),
    ),
    Rule(
        "waiting until SQS sees the dead-letter queue",
        LOAD,
        ("InvalidParameterValue", "InvalidAttributeValue"),
        ("CreateQueue", "SetQueueAttributes"),
        "Dead letter target",
    ),
    # DynamoDB
    Rule(_EXISTS, ALREADY_EXISTS, ("ResourceInUseException",), ("CreateTable",), "already exists"),
    Rule(
        "the table is changing state",
        STATE,
        ("ResourceInUseException",),
        ("CreateTable", "UpdateTable", "DeleteTable"),
    ),
    Rule("too many tables are changing", LOAD, ("LimitExceededException",), (), "simultaneously"),
    Rule(
        "DynamoDB is enabling backups for the table",
        Schedule((2,), budget=1200),
        ("ContinuousBackupsUnavailableException",),
    ),
    Rule("waiting until the table is seen", LOAD, ("TableNotFoundException",), _BACKUP_CALLS),
    # API Gateway. Its quotas of control plane calls per account and region are low and cannot be raised.
    Rule(
        "API Gateway deletes one API per 30 s",
        API_DELETE,
        ("TooManyRequestsException",),
        ("DeleteRestApi",),
        throttled=True,
    ),
    Rule(
        "API Gateway lets the account be updated once in 20 s",
        ACCOUNT_UPDATE,
        ("TooManyRequestsException",),
        ("UpdateAccount",),
        throttled=True,
    ),
    Rule(
        "waiting for IAM to propagate the logging role",
        ACCOUNT_UPDATE,
        ("BadRequestException",),
        ("UpdateAccount",),
        "The role ARN does not have required permissions",
    ),
    Rule(
        "waiting for IAM to propagate the logging role",
        ACCOUNT_UPDATE,
        ("BadRequestException",),
        ("UpdateAccount",),
        "could not successfully write to CloudWatch Logs",
    ),
    Rule(
        "waiting until API Gateway sees the account's logging role",
        LOAD,
        ("BadRequestException",),
        ("CreateStage", "UpdateStage"),
        "CloudWatch Logs role ARN must be set",
    ),
    Rule(_API_BUSY, LOAD, ("ConflictException",), (), "concurrent modification"),
    Rule(_API_BUSY, STATE, ("BadRequestException",), (), "already an update in progress"),
    # Permissions on an API depend on its tags, which may become visible later than the API.
    Rule(
        "waiting until AWS lets the new API be changed",
        Schedule((0.5, 1, 2), budget=30),
        ("AccessDeniedException",),
        _API_CONTENT_CALLS,
        "no identity-based policy allows",
        in_new_api=True,
    ),
    Rule(
        "waiting until the stages that serve the deployment are seen",
        LOAD,
        ("BadRequestException",),
        ("DeleteDeployment",),
        "Active stages",
    ),
    Rule(
        _EXISTS,
        ALREADY_EXISTS,
        ("ConflictException",),
        ("CreateResource", "PutMethod", "PutIntegration", "CreateStage"),
        "already exists",
    ),
    Rule(_EXISTS, ALREADY_EXISTS, ("ConflictException",), ("CreateResource",), "already has this name"),
    Rule(
        "waiting until WAF sees the stage",
        PROPAGATION,
        ("WAFUnavailableEntityException",),
        ("AssociateWebACL",),
    ),
    # AWS IoT. Its rules engine assumes the rule's role when the rule is made or replaced:
    # https://github.com/hashicorp/terraform-provider-aws/issues/33433
    Rule(
        _ROLE_PROPAGATION,
        PROPAGATION,
        ("InvalidRequestException",),
        ("CreateTopicRule", "ReplaceTopicRule"),
        "unable to assume role",
    ),
    Rule("another change of the rule is under way", LOAD, ("ConflictingResourceUpdateException",)),
    # AWS takes some seconds to detach a certificate: https://github.com/aws/aws-connected-device-framework/issues/76
    Rule(
        "waiting until AWS IoT sees the certificates detached",
        Schedule((0.5, 1, 2, 4), budget=120),
        ("InvalidRequestException",),
        ("DeleteThing",),
        "still attached",
    ),
    Rule(
        "waiting until AWS IoT sees the certificate detached",
        Schedule((0.5, 1, 2, 4), budget=120),
        _IOT_IN_USE,
        ("DeleteCertificate",),
    ),
    # For up to five minutes after the last certificate was detached from it.
    Rule(
        "waiting until AWS IoT sees the policy detached",
        Schedule((2, 5, 10), budget=330),
        _IOT_IN_USE,
        ("DeletePolicy",),
    ),
    Rule(
        "the policy has no room for another version: reading it again",
        ALREADY_EXISTS,
        ("VersionsLimitExceededException",),
        ("CreatePolicyVersion",),
    ),
    # CloudWatch Logs, SSM, SNS
    Rule(
        _EXISTS,
        ALREADY_EXISTS,
        ("ResourceAlreadyExistsException",),
        ("CreateLogGroup", "CreateTopicRule", "CreatePolicy"),
    ),
    Rule("another change of the log group is under way", LOAD, ("OperationAbortedException",)),
    Rule(_EXISTS, ALREADY_EXISTS, ("ParameterAlreadyExists",)),
    Rule("another change of the parameter is under way", LOAD, ("TooManyUpdates",)),
    Rule(_EXISTS, ALREADY_EXISTS, ("InvalidParameter",), ("CreateTopic",), "already exists with different"),
    Rule("another change of the topic's tags is under way", LOAD, ("StaleTag", "ConcurrentAccess")),
    # Any service: throttled, or failing temporarily. Throttling often has the HTTP status 400.
    Rule(
        _THROTTLED,
        LOAD,
        (
            "Throttled",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "ProvisionedThroughputExceededException",
            "TooManyRequestsException",
            "SlowDown",
            "429",
        ),
        throttled=True,
    ),
    Rule(_THROTTLED, LOAD, ("LimitExceededException", "UnknownError"), (), "Too Many Requests", throttled=True),
    Rule(_THROTTLED, LOAD, ("ValidationException", "ValidationError"), (), "Rate exceeded", throttled=True),
    Rule(
        "the service is failing temporarily",
        LOAD,
        (
            "InternalError",
            "InternalException",
            "InternalFailure",
            "InternalFailureException",
            "InternalServerError",
            "InternalServerErrorException",
            "InternalServiceError",
            "ServiceException",
            "ServiceFailure",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            "RequestTimeoutException",
            "500",
            "502",
            "503",
            "504",
        ),
    ),
)

_CONNECTION = Rule("the connection failed: reading again what AWS has", Schedule((0.5, 1, 2, 4), budget=30), ())
_CONNECTION_ERRORS = (exceptions.ConnectionError, exceptions.HTTPClientError, ResponseParserError, NotFromAws)


def rule_for(error: CallError, in_new_api: bool = False) -> Rule | None:
    """Return the rule that covers the error; None if a retry cannot succeed.

    `in_new_api` says that the failed resource is part of a REST API that the same command has created.
    """
    rules = [rule for rule in RULES if in_new_api or not rule.in_new_api]
    if isinstance(error, NotFromAws) and error.status >= 500:
        # AWS's load balancers also answer with an HTML page when a service fails.
        return _covering(rules, "", str(error.status), "")
    if not isinstance(error, ClientError):
        return _CONNECTION if isinstance(error, _CONNECTION_ERRORS) else None
    code, message = code_and_message(error)
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    # The code comes before the status: throttling often has the HTTP status 400.
    operation = error.operation_name
    return _covering(rules, operation, code, message) or _covering(rules, operation, status, message)


def _covering(rules: Sequence[Rule], operation: str, code: str, message: str) -> Rule | None:
    return next((rule for rule in rules if rule.covers(operation, code, message)), None)
