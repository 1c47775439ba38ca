"""What AWS answers when it is not in the mood, in its own words, and how often it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.support.engine_world import refusal

FOREVER = 1_000_000


@dataclass
class Fault:
    """Answers the first `times` calls of an operation with an error. `at` is when each call of it was made."""

    operation: str
    code: str
    message: str
    times: int = 2
    now: Callable[[], float] = lambda: 0.0
    at: list[float] = field(default_factory=list)

    def __call__(self, operation: str, parameters: dict[str, Any]) -> ClientError | None:
        if operation != self.operation:
            return None
        self.at.append(self.now())
        if len(self.at) > self.times:
            return None
        return refusal(self.operation, self.code, self.message)


@dataclass(frozen=True)
class Answer:
    """One row of the table of what AWS does: `kind` is the sample that meets it, `when` create, update or delete;
    `tampering` is what must be repaired for the operation to be called; `reason` is part of what the user is told."""

    row: str
    kind: str
    operation: str
    code: str
    message: str
    reason: str = ""
    when: str = "create"
    tampering: str = ""

    @property
    def id(self) -> str:
        return f"{self.row} {self.operation} {self.code}"

    def fault(self, times: int, now: Callable[[], float] = lambda: 0.0) -> Fault:
        return Fault(self.operation, self.code, self.message, times, now)


_INVALID, _CONFLICT = "InvalidParameterValueException", "ResourceConflictException"
_CANNOT_ASSUME = "The role defined for the function cannot be assumed by Lambda."
_NO_SEND = "The provided execution role does not have permissions to call SendMessage on SQS"
_NO_RECEIVE = "The provided execution role does not have permissions to call ReceiveMessage on SQS"
_KMS = (
    "Lambda was unable to configure your environment variables because the KMS key is invalid for CreateGrant. "
    "Please check your KMS key settings. KMS Exception: InvalidArnException KMS Message: ARN does not refer to a "
    "valid principal"
)
_UPDATING = (
    "The operation cannot be performed at this time. An update is in progress for resource: "
    "arn:aws:lambda:us-east-1:123456789012:function:sample-function"
)
_NO_ENTITY = "AWS WAF couldn\u2019t retrieve the resource that you requested. Retry your request."
_PENDING = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
_BESIDE = "The function could not be updated due to a concurrent update operation"
_IN_USE = "Cannot {} the event source mapping because it is in use."
_VISIBILITY = "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
_MAPPED = (
    'An event source mapping with SQS arn (" arn:aws:sqs:us-east-1:123456789012:sample-queue ") and function '
    '(" sample-function ") already exists. Please update or delete the existing mapping with UUID '
    "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
)
_NO_SUCH_QUEUE = "The specified queue does not exist."
_QUEUE_UNSEEN = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: "
    "The specified queue does not exist."
)
_DELETED_RECENTLY = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
_DEAD_LETTER_GONE = "Value {...} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist."
_NO_PERMISSIONS = (
    "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and "
    "add the required role policy."
)
_CANNOT_WRITE = "API Gateway could not successfully write to CloudWatch Logs using the ARN specified"
_NO_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"
_CONCURRENT = "Unable to complete operation due to concurrent modification. Please try again later."
_UPDATE_UNDER_WAY = "There is already an update in progress"
NOT_YET = (
    "User: arn:aws:iam::123456789012:user/x is not authorized to perform: apigateway:{0} on resource: "
    "arn:aws:apigateway:us-east-1::/restapis/abcdefghij/resources/klmnop because no identity-based policy allows the "
    "apigateway:{0} action"
)
_ABORTED = "A conflicting operation is currently in progress against this resource. Please try again."
_PARAMETER_THERE = (
    "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
)
_STALE = "A tag has been added to a resource with the same ARN as a deleted resource."

_RULE_ROLE = (
    "iot.amazonaws.com is unable to assume role (sts:AssumeRole) on resource: "
    "arn:aws:iam::123456789012:role/sample-rule-role"
)
_RULE_THERE = "Rule with name sample_rule already exists."
_POLICY_THERE = "Policy cannot be created - name already exists (name=sample-policy)"
_ATTACHED = "The policy cannot be deleted as the policy is attached to one or more principals (name=sample-policy)"

PASSING = (
    # Lambda: functions
    Answer("L1", "function", "CreateFunction", _INVALID, _CANNOT_ASSUME, "IAM to propagate"),
    Answer("L1", "function", "UpdateFunctionConfiguration", _INVALID, _CANNOT_ASSUME, "IAM", "update", "another role"),
    Answer("L2", "function", "CreateFunction", _INVALID, _NO_SEND, "IAM to propagate"),
    Answer("L2", "function", "UpdateFunctionConfiguration", _INVALID, _NO_SEND, "IAM", "update", "no dead letters"),
    Answer("L3", "function", "CreateFunction", _INVALID, _KMS, "IAM to propagate"),
    Answer("L4", "function", "UpdateFunctionCode", _CONFLICT, _UPDATING, "being updated", "update", "another code"),
    Answer("L4", "function", "UpdateFunctionConfiguration", _CONFLICT, _UPDATING, "updated", "update", "more time"),
    Answer("L4", "function", "PutFunctionConcurrency", _CONFLICT, _UPDATING, "updated", "update", "fewer at once"),
    Answer("L5", "function", "PutFunctionConcurrency", _CONFLICT, _PENDING, "being created"),
    Answer("L5", "function", "UpdateFunctionCode", _CONFLICT, _PENDING, "being created", "update", "another code"),
    Answer("L6", "function", "CreateFunction", _CONFLICT, "Function already exist: sample-function", "already exists"),
    Answer("L14", "function", "DeleteFunction", _CONFLICT, _PENDING, "being created", "delete"),
    Answer(
        "Y3",
        "function",
        "CreateFunction",
        _INVALID,
        "Layer version arn:aws:lambda:us-east-1:123456789012:layer:sample-layer:1 does not exist.",
        "layer version",
    ),
    # Lambda: permissions
    Answer(
        "L8",
        "permission",
        "AddPermission",
        _CONFLICT,
        "The statement id (iotpipe-ingest) provided already exists. Please provide a new statement id, or remove "
        "the existing statement.",
        "already exists",
    ),
    Answer(
        "L9",
        "permission",
        "AddPermission",
        _CONFLICT,
        _BESIDE,
        "another change of the function",
    ),
    Answer(
        "L9",
        "permission",
        "RemovePermission",
        _CONFLICT,
        _BESIDE,
        "another change of the function",
        "update",
        "for anybody",
    ),
    Answer(
        "L10",
        "permission",
        "AddPermission",
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:sample-function",
        "until the function is seen",
    ),
    Answer("S11", "function", "CreateFunction", _CONFLICT, _BESIDE, "another change of the function"),
    Answer("S11", "function", "UpdateFunctionCode", _CONFLICT, _BESIDE, "of the function", "update", "another code"),
    Answer("S11", "function", "PutFunctionConcurrency", _CONFLICT, _BESIDE, "another change of the function"),
    Answer("S12", "function", "TagResource", _CONFLICT, "", "another change of it", "update", "tags"),
    Answer("S12", "event-source-mapping", "TagResource", _CONFLICT, "", "another change of it", "update", "tags"),
    # Lambda: event source mappings
    Answer(
        "S2",
        "event-source-mapping",
        "CreateEventSourceMapping",
        _INVALID,
        "Function does not exist",
        "until the function is seen",
    ),
    Answer("E1", "event-source-mapping", "CreateEventSourceMapping", _INVALID, _NO_RECEIVE, "IAM to propagate"),
    Answer(
        "E1",
        "event-source-mapping",
        "CreateEventSourceMapping",
        _INVALID,
        "Cannot access queue sample-queue. Please ensure the role can perform the ReceiveMessage, DeleteMessage, "
        "GetQueueAttributes Actions on your queue in IAM.",
        "IAM to propagate",
    ),
    Answer("E2", "event-source-mapping", "CreateEventSourceMapping", _INVALID, _VISIBILITY, "visibility timeout"),
    Answer("Q3", "event-source-mapping", "CreateEventSourceMapping", _INVALID, _QUEUE_UNSEEN, "the new queue"),
    Answer("E2", "function", "UpdateFunctionConfiguration", _INVALID, _VISIBILITY, "visibility", "update", "more time"),
    Answer("E3", "event-source-mapping", "CreateEventSourceMapping", _CONFLICT, _MAPPED, "such a mapping"),
    Answer(
        "E4",
        "event-source-mapping",
        "UpdateEventSourceMapping",
        "ResourceInUseException",
        _IN_USE.format("update"),
        "changing state",
        "update",
        "one at a time",
    ),
    Answer(
        "E4",
        "event-source-mapping",
        "DeleteEventSourceMapping",
        "ResourceInUseException",
        _IN_USE.format("delete"),
        "changing state",
        "delete",
    ),
    # IAM
    Answer("I1", "role", "CreateRole", "EntityAlreadyExists", "Role with name sample-role already exists.", "exists"),
    Answer(
        "I2",
        "role",
        "DeleteRole",
        "DeleteConflict",
        "Cannot delete entity, must detach all policies first.",
        "policies gone",
        "delete",
    ),
    Answer(
        "I3",
        "role",
        "PutRolePolicy",
        "ConcurrentModification",
        "The request was rejected because multiple requests to change this object were submitted simultaneously.",
        "another change of the role",
    ),
    Answer(
        "I4",
        "role",
        "PutRolePolicy",
        "NoSuchEntity",
        "The role with name sample-role cannot be found.",
        "until IAM sees the role",
    ),
    # SQS
    Answer("Q1", "queue", "CreateQueue", "QueueDeletedRecently", _DELETED_RECENTLY, "60 s"),
    Answer("Q1", "queue", "CreateQueue", "AWS.SimpleQueueService.QueueDeletedRecently", _DELETED_RECENTLY, "60 s"),
    Answer(
        "Q2",
        "queue",
        "CreateQueue",
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute VisibilityTimeout",
        "already exists",
    ),
    Answer(
        "Q3",
        "queue",
        "SetQueueAttributes",
        "AWS.SimpleQueueService.NonExistentQueue",
        _NO_SUCH_QUEUE,
        "until the queue is seen",
        "update",
        "forgets",
    ),
    Answer("Q3", "queue", "CreateQueue", "InvalidParameterValue", _DEAD_LETTER_GONE, "dead-letter queue"),
    # DynamoDB
    Answer("D1", "table", "CreateTable", "ResourceInUseException", "Table already exists: sample-table", "exists"),
    Answer(
        "D1",
        "table",
        "CreateTable",
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table is being deleted: sample-table",
        "changing state",
    ),
    Answer(
        "D2",
        "table",
        "CreateTable",
        "LimitExceededException",
        "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously",
        "too many tables",
    ),
    Answer(
        "D3",
        "table",
        "UpdateContinuousBackups",
        "ContinuousBackupsUnavailableException",
        "Backups are being enabled for the table: sample-table. Please retry later",
        "enabling backups",
    ),
    Answer(
        "D3",
        "table",
        "UpdateContinuousBackups",
        "TableNotFoundException",
        "Table not found: sample-table",
        "until the table is seen",
    ),
    Answer(
        "D4",
        "table",
        "UpdateTable",
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table is being updated: sample-table",
        "changing state",
        "update",
        "protected",
    ),
    Answer(
        "D8",
        "table",
        "DeleteTable",
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table is being created: sample-table",
        "changing state",
        "delete",
    ),
    # API Gateway
    Answer("A1", "rest-api", "CreateRestApi", "TooManyRequestsException", "Too Many Requests", "throttled by AWS"),
    Answer("A1", "rest-api", "CreateRestApi", "LimitExceededException", "Too Many Requests", "throttled by AWS"),
    Answer("A1", "rest-api", "DeleteRestApi", "TooManyRequestsException", "Too Many Requests", "30 s", "delete"),
    Answer("A1", "stage", "CreateDeployment", "TooManyRequestsException", "Too Many Requests", "throttled by AWS"),
    Answer(
        "A2",
        "route",
        "CreateResource",
        "ConflictException",
        "Another resource with the same parent already has this name: ingest",
        "already exists",
    ),
    Answer(
        "S10", "rest-api", "UpdateRestApi", "BadRequestException", _UPDATE_UNDER_WAY, "of the API", "update", "renamed"
    ),
    Answer("A3", "route", "PutMethod", "ConflictException", _CONCURRENT, "another change of the API"),
    Answer("A3", "route", "PutIntegration", "ConflictException", _CONCURRENT, "another change of the API"),
    Answer("A3", "stage", "CreateDeployment", "ConflictException", _CONCURRENT, "another change of the API"),
    Answer(
        "A6",
        "stage",
        "DeleteDeployment",
        "BadRequestException",
        "Active stages pointing to this deployment must be moved or deleted",
        "stages that serve the deployment",
        "update",
        "an older deployment left over",
    ),
    Answer("A7", "stage", "UpdateStage", "BadRequestException", _NO_ROLE, "sees the account's logging role"),
    Answer("A8", "api-gateway-account", "UpdateAccount", "BadRequestException", _NO_PERMISSIONS, "logging role"),
    Answer("A8", "api-gateway-account", "UpdateAccount", "BadRequestException", _CANNOT_WRITE, "logging role"),
    Answer("A1", "api-gateway-account", "UpdateAccount", "TooManyRequestsException", "Too Many Requests", "20 s"),
    Answer("A16", "stage", "AssociateWebACL", "WAFUnavailableEntityException", _NO_ENTITY, "WAF sees the stage"),
    Answer("A10", "stage", "CreateStage", "ConflictException", "Stage already exists", "already exists"),
    # CloudWatch Logs
    Answer(
        "G1",
        "log-group",
        "CreateLogGroup",
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
        "already exists",
    ),
    Answer("G2", "log-group", "CreateLogGroup", "OperationAbortedException", _ABORTED, "another change"),
    Answer("G2", "log-group", "PutRetentionPolicy", "OperationAbortedException", _ABORTED, "another change"),
    Answer("G2", "log-group", "DeleteLogGroup", "OperationAbortedException", _ABORTED, "another change", "delete"),
    # SSM
    Answer("S1", "parameter", "PutParameter", "ParameterAlreadyExists", _PARAMETER_THERE, "already exists"),
    Answer("S1", "secret", "PutParameter", "ParameterAlreadyExists", _PARAMETER_THERE, "already exists"),
    Answer(
        "S4",
        "parameter",
        "PutParameter",
        "TooManyUpdates",
        "There are concurrent updates for a resource that supports one update at a time.",
        "another change of the parameter",
        "update",
        "another value",
    ),
    Answer("S4", "parameter", "PutParameter", "ThrottlingException", "Rate exceeded", "throttled by AWS"),
    # SNS
    Answer(
        "N1",
        "topic",
        "CreateTopic",
        "InvalidParameter",
        "Invalid parameter: Tags Reason: Topic already exists with different tags",
        "already exists",
    ),
    Answer("N4", "topic", "TagResource", "StaleTag", _STALE, "the topic's tags", "update", "tags"),
    Answer("N5", "topic", "TagResource", "ConcurrentAccess", "Can't perform multiple", "tags", "update", "tags"),
    # Any service
    Answer("X1", "alarm", "DescribeAlarms", "ValidationError", "Rate exceeded", "throttled by AWS"),
    Answer("X1", "alarm", "PutMetricAlarm", "Throttling", "Rate exceeded", "throttled by AWS"),
    Answer("X1", "dashboard", "PutDashboard", "InternalServiceError", "Internal failure", "failing temporarily"),
    Answer("X1", "layer", "PublishLayerVersion", "ServiceException", "Service failure", "failing temporarily"),
    Answer("X1", "subscription", "Subscribe", "Throttled", "Rate exceeded", "throttled by AWS"),
    Answer("X1", "topic", "DeleteTopic", "InternalError", "Internal error", "failing temporarily", "delete"),
    Answer("X1", "queue", "DeleteQueue", "ServiceUnavailable", "", "failing temporarily", "delete"),
    Answer("X1", "role", "GetRole", "Throttling", "Rate exceeded", "throttled by AWS"),
    # AWS IoT: rules and policies
    Answer("T1", "topic-rule", "CreateTopicRule", "InvalidRequestException", _RULE_ROLE, "IAM to propagate"),
    Answer(
        "T1",
        "topic-rule",
        "ReplaceTopicRule",
        "InvalidRequestException",
        _RULE_ROLE,
        "IAM to propagate",
        "update",
        "described",
    ),
    Answer(
        "T2",
        "topic-rule",
        "CreateTopicRule",
        "ConflictingResourceUpdateException",
        "A conflicting resource update exception.",
        "another change of the rule",
    ),
    Answer(
        "T2",
        "topic-rule",
        "DeleteTopicRule",
        "ConflictingResourceUpdateException",
        "A conflicting resource update exception.",
        "another change of the rule",
        "delete",
    ),
    Answer("T3", "topic-rule", "CreateTopicRule", "ResourceAlreadyExistsException", _RULE_THERE, "already exists"),
    Answer("T3", "iot-policy", "CreatePolicy", "ResourceAlreadyExistsException", _POLICY_THERE, "already exists"),
    Answer(
        "T4", "iot-policy", "DeletePolicy", "DeleteConflictException", _ATTACHED, "sees the policy detached", "delete"
    ),
    Answer(
        "T5",
        "iot-policy",
        "CreatePolicyVersion",
        "VersionsLimitExceededException",
        "The policy sample-policy already has the maximum number of versions (5)",
        "no room for another version",
        "update",
        "open to everything",
    ),
    Answer("T6", "iot-policy", "CreatePolicy", "ThrottlingException", "Rate exceeded", "throttled"),
    Answer(
        "T7", "iot-policy", "CreatePolicy", "InternalFailureException", "An unexpected error has occurred.", "failing"
    ),
    Answer("T7", "topic-rule", "CreateTopicRule", "InternalException", "Internal error", "failing"),
)

OF_DEVICES = (
    Answer(
        "T8",
        "thing",
        "DeleteThing",
        "InvalidRequestException",
        "Cannot delete. Thing dev:roof is still attached to one or more principals",
        "sees the certificates detached",
        "delete",
    ),
    Answer(
        "T8",
        "certificate",
        "DeleteCertificate",
        "DeleteConflictException",
        "Things must be detached before deletion (arn: arn:aws:iot:us-east-1:123456789012:cert/1)",
        "sees the certificate detached",
        "delete",
    ),
)
"""Of what the commands for devices meet: things and certificates are no kinds of resources."""

FINAL = (
    Answer(
        "L7",
        "function",
        "PutFunctionConcurrency",
        _INVALID,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [10].",
        "reserved_concurrency",
    ),
    Answer("L12", "function", "CreateFunction", "CodeStorageExceededException", "Code storage limit exceeded.", "old"),
    Answer(
        "L12", "layer", "PublishLayerVersion", "CodeStorageExceededException", "Code storage limit exceeded.", "old"
    ),
    Answer("I5", "role", "PutRolePolicy", "MalformedPolicyDocument", "Syntax errors in policy."),
    Answer(
        "I7",
        "role",
        "CreateRole",
        "NoSuchEntity",
        "Scope ARN: arn:aws:iam::123456789012:policy/boundary does not exist or is not attachable.",
        "functions.permissions_boundary",
    ),
    Answer(
        "D2",
        "table",
        "CreateTable",
        "LimitExceededException",
        "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber",
    ),
    Answer(
        "D7",
        "table",
        "DeleteTable",
        "ValidationException",
        "Table 'sample-table' can't be deleted while DeletionProtectionEnabled is set to True",
        "tables.deletion_protection",
        "delete",
    ),
    # Of an API that was made before, this is no matter of time.
    Answer(
        "S4",
        "route",
        "CreateResource",
        "AccessDeniedException",
        NOT_YET.format("POST"),
        "permission for CreateResource",
    ),
    Answer("A1", "rest-api", "CreateRestApi", "LimitExceededException", "Maximum number of APIs reached"),
    Answer("G3", "log-group", "PutRetentionPolicy", "InvalidParameterException", "1 validation error detected"),
    Answer("E6", "event-source-mapping", "CreateEventSourceMapping", _INVALID, "Maximum batch size is 10."),
    Answer(
        "X3",
        "queue",
        "CreateQueue",
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sqs:CreateQueue",
        "permission for CreateQueue",
    ),
    Answer(
        "X3",
        "role",
        "DeleteRole",
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: iam:DeleteRole",
        "permission for DeleteRole",
        "delete",
    ),
)
