"""Which answers of AWS are worth another try, how often and how long: one table.

The unit that is tried again is a resource's whole read, compare and act, so that a try after a lost answer or half a
change starts from what AWS really has. Only a throttled call, which had no effect, is made again by itself (see
throttling): in a busy account a unit of eight calls that begins anew at each of them hardly ever comes to its end.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from iotpipe.provision.response_check import NotFromAws

Failure: TypeAlias = ClientError | BotoCoreError | ResponseParserError | NotFromAws
FAILED = (ClientError, BotoCoreError, ResponseParserError, NotFromAws)
"""What a call raises that does not succeed. The last two mean that something other than AWS answered."""


@dataclass(frozen=True)
class Schedule:
    """Delays in seconds, the last one repeated, until `budget` seconds have gone by since the first failure."""

    delays: tuple[float, ...]
    budget: float
    jitter: bool = False

    def wait(self, tries: int, spent: float) -> float | None:
        """Seconds until the next try, after as many and `spent` seconds; None when the budget is spent."""
        if spent >= self.budget:
            return None
        delay = self.delays[min(tries, len(self.delays) - 1)]
        return delay * random.uniform(0.5, 1.0) if self.jitter else delay


@dataclass(frozen=True)
class Rule:
    """One row: an answer, by operation, code and part of the message, and what is waited for."""

    reason: str
    schedule: Schedule
    codes: tuple[str, ...]
    operations: tuple[str, ...] = ()
    message: str = ""
    throttled: bool = False
    """AWS has not even begun with the call: it can be made again by itself."""
    in_new_api: bool = False
    """Only for what is part of a REST API that the same command has made."""

    def covers(self, operation: str, code: str, message: str) -> bool:
        return (
            code in self.codes
            and (not self.operations or operation in self.operations)
            and self.message.lower() in message.lower()
        )


class Patience:
    """What of each row's schedule one unit has used up: its pauses, and the time that its further tries took."""

    def __init__(self) -> None:
        self._tries: dict[Rule, int] = {}
        self._spent: dict[Rule, float] = {}
        self._failed = 0.0

    def wait(self, rule: Rule, now: float) -> float | None:
        """Seconds until the next try, now that the unit has failed as the rule says; None if there is to be none."""
        tries = self._tries.get(rule, 0)
        # The first failure costs nothing, however long its try took: the others count from the last failure on.
        spent = self._spent[rule] + now - self._failed if tries else 0.0
        self._tries[rule], self._spent[rule], self._failed = tries + 1, spent, now
        return rule.schedule.wait(tries, spent)


# IAM takes seconds to tell the other services: poll densely, a late poll costs more than an early one.
PROPAGATION = Schedule((0.25, 0.5, 1, 2), budget=300)
LOAD = Schedule((0.25, 0.5, 1, 2, 4, 8), budget=90, jitter=True)
STATE = Schedule((0.5, 1, 2), budget=600)
THERE = Schedule((0, 0.5, 1, 2), budget=12)
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
_BACKUPS = ("UpdateContinuousBackups", "DescribeContinuousBackups")
_MAPPING_WRITES = ("CreateEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping")
_IN_API = (
    *("CreateResource", "PutMethod", "PutIntegration", "CreateDeployment", "CreateStage", "UpdateStage"),
    "UpdateRestApi",
    *("GetResources", "GetStages", "GetDeployments"),
)
_INVALID = ("InvalidParameterValueException",)
_CONFLICT = ("ResourceConflictException",)
_ROLE = "waiting for IAM to propagate the role"
_FEWER = "throttled by AWS"
_API_BUSY = "another change of the API is under way"
_EXISTS = "it already exists: reading it again"

RULES: tuple[Rule, ...] = (
    # Lambda. ResourceConflictException means three different things: only the message tells.
    Rule(_ROLE, PROPAGATION, _INVALID, (*_FUNCTION_WRITES, *_MAPPING_WRITES), "cannot be assumed"),
    Rule(
        _ROLE,
        PROPAGATION,
        _INVALID,
        (*_FUNCTION_WRITES, *_MAPPING_WRITES),
        "does not have permissions to call",
    ),
    Rule(_ROLE, PROPAGATION, _INVALID, _FUNCTION_WRITES, "KMS key is invalid for CreateGrant"),
    Rule(_ROLE, PROPAGATION, _INVALID, _MAPPING_WRITES, "Please ensure the role can perform"),
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
    Rule(_EXISTS, THERE, _CONFLICT, ("CreateFunction",), "already exist"),
    Rule(_EXISTS, THERE, _CONFLICT, ("AddPermission",), "already exists"),
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
    # Of a mapping's function it is said in these words, though the documentation has ResourceNotFoundException.
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
    # By its documentation only: "another operation is in progress". A mapping is changing for seconds.
    Rule("another change of it is under way", STATE, _CONFLICT, ("TagResource", "UntagResource")),
    # IAM
    Rule(_EXISTS, THERE, ("EntityAlreadyExists",)),
    Rule("waiting until IAM sees the role", LOAD, ("NoSuchEntity",), ("PutRolePolicy", "TagRole", "UntagRole")),
    Rule("another change of the role is under way", LOAD, ("ConcurrentModification",)),
    Rule("waiting until IAM sees the role's policies gone", LOAD, ("DeleteConflict",), ("DeleteRole",)),
    # SQS. Its codes come with and without the old query protocol's prefix.
    Rule(
        "SQS lets a name be reused 60 s after the queue's deletion",
        QUEUE_NAME,
        ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
    ),
    Rule(_EXISTS, THERE, ("QueueNameExists", "QueueAlreadyExists")),
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
    Rule(_EXISTS, THERE, ("ResourceInUseException",), ("CreateTable",), "already exists"),
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
    Rule("waiting until the table is seen", LOAD, ("TableNotFoundException",), _BACKUPS),
    # API Gateway. Its quotas per account and region are small and cannot be raised.
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
    # Rights on an API depend on its tags, which may be seen a little later than the API.
    Rule(
        "waiting until AWS lets the new API be changed",
        Schedule((0.5, 1, 2), budget=30),
        ("AccessDeniedException",),
        _IN_API,
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
        THERE,
        ("ConflictException",),
        ("CreateResource", "PutMethod", "PutIntegration", "CreateStage"),
        "already exists",
    ),
    Rule(_EXISTS, THERE, ("ConflictException",), ("CreateResource",), "already has this name"),
    Rule(
        "waiting until WAF sees the stage",
        PROPAGATION,
        ("WAFUnavailableEntityException",),
        ("AssociateWebACL",),
    ),
    # CloudWatch Logs, SSM, SNS
    Rule(_EXISTS, THERE, ("ResourceAlreadyExistsException",), ("CreateLogGroup",)),
    Rule("another change of the log group is under way", LOAD, ("OperationAbortedException",)),
    Rule(_EXISTS, THERE, ("ParameterAlreadyExists",)),
    Rule("another change of the parameter is under way", LOAD, ("TooManyUpdates",)),
    Rule(_EXISTS, THERE, ("InvalidParameter",), ("CreateTopic",), "already exists with different"),
    Rule("another change of the topic's tags is under way", LOAD, ("StaleTag", "ConcurrentAccess")),
    # Any service: throttled, or broken for a moment. Throttling often comes as HTTP 400.
    Rule(
        _FEWER,
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
    Rule(_FEWER, LOAD, ("LimitExceededException", "UnknownError"), (), "Too Many Requests", throttled=True),
    Rule(_FEWER, LOAD, ("ValidationException", "ValidationError"), (), "Rate exceeded", throttled=True),
    Rule(
        "the service is failing temporarily",
        LOAD,
        (
            "InternalError",
            "InternalFailure",
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


def rule_for(error: Failure, in_new_api: bool = False) -> Rule | None:
    """The row that covers the error; None where another try would be no use.

    `in_new_api` says that it came up on a part of a REST API that the same command has made.
    """
    rules = [rule for rule in RULES if in_new_api or not rule.in_new_api]
    if isinstance(error, NotFromAws) and error.status >= 500:
        # AWS's own load balancers answer with a page as well when a service fails.
        return _row(rules, "", str(error.status), "")
    if not isinstance(error, ClientError):
        return _CONNECTION if isinstance(error, _CONNECTION_ERRORS) else None
    code, message = code_and_message(error)
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    # The name says more than the status: throttling often comes as HTTP 400.
    operation = error.operation_name
    return _row(rules, operation, code, message) or _row(rules, operation, status, message)


def _row(rules: Sequence[Rule], operation: str, code: str, message: str) -> Rule | None:
    return next((rule for rule in rules if rule.covers(operation, code, message)), None)


def code_and_message(error: ClientError) -> tuple[str, str]:
    """AWS's own code and message; a bodiless answer has only its HTTP status."""
    found = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(found.get("Code") or status), str(found.get("Message") or "")
