"""Check that the configured KMS key is usable and that its policy allows every principal that needs it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from iotpipe.checks import former_kms_keys
from iotpipe.checks.finding import Finding, ok, problem, unknown, warning
from iotpipe.checks.kms_key_policy import LOG_GROUP, User
from iotpipe.pipeline.functions import USE_KEY
from iotpipe.provision.foreign.statements import Document, statements
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.execution_logs import execution_logs
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.role import Role
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run

CHECK = "KMS key"
_IAM = "LetIamDecide"
_ENCRYPTED = (Function, LogGroup, Queue, Secret, Stage, Table, Topic)
_REMOVE_DENY = "Remove the statement that denies it from the key's policy"
_DEFAULT_POLICY = "default"
"""The name of a key's only policy."""


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Check the key. Raises ResourceError if AWS does not answer."""
    key = _declared(resources)
    unset = "kms_key is not set: everything is encrypted with AWS's own keys"
    return refusal(run, resources) or [ok(CHECK, f"all principals that need {key} may use it" if key else unset)]


def refusal(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """The problems of the key; KMS is not called if no key is declared.

    Raises ResourceError if AWS does not answer.
    """
    if needed := [problem(CHECK, message, remedy) for message, remedy in former_kms_keys.needed(run, resources)]:
        return needed
    key, former = _declared(resources), former_kms_keys.usable(resources)
    findings = _check_key(run, key, resources, _users(run, resources)) if key else []
    for former_key in sorted(former - {key}):
        # A warning only: data of the former key may be lost already, which must not block a repair of the rest.
        findings += [
            warning(CHECK, f"{each.found}. Pending messages may be encrypted with it", each.remedy)
            for each in _check_key(run, former_key, resources, [_iam(run)])
        ]
    return findings


def too_early(run: Run, plan: Plan, resources: Sequence[Resource]) -> list[Finding]:
    """Resources that a partial adoption would encrypt with the key before the roles that need it may use it."""
    key, later = _declared(resources), {step.address for step in plan.later}
    encrypted = [
        step.address
        for step in plan.steps
        if key and any(former_kms_keys.contains_key(each.after, key) for each in step.changes)
    ]
    used = [
        each for each in resources if isinstance(each, former_kms_keys.USED_BY_FUNCTIONS) and each.address in encrypted
    ]
    roles = [each for each in resources if isinstance(each, Role) and used and each.address in later]
    lacking = [each for each in roles if former_kms_keys.usable([each]) and former_kms_keys.lacks(run, each, str(key))]
    if not lacking:
        return []
    text = f"{', '.join(each.address for each in used)} would be encrypted with the KMS key {key} before "
    text += f"{', '.join(each.address for each in lacking)} may use it"
    return [problem(CHECK, text, f"Add {' '.join(f'--adopt {each.address}' for each in lacking)}")]


def _check_key(run: Run, key: str, resources: Sequence[Resource], users: Iterable[User]) -> list[Finding]:
    region = key.split(":")[3]
    if region != run.aws.region:
        text = f"the KMS key {key} is in {region}, and the environment in {run.aws.region}"
        return [problem(CHECK, text, f"Use a key of {run.aws.region}")]
    kms = run.client("kms")

    def read(attempt: int) -> tuple[Mapping[str, Any], Document]:
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
        return described, json.loads(kms.get_key_policy(KeyId=key, PolicyName=_DEFAULT_POLICY)["Policy"])

    try:
        described, document = run.with_retries(
            "read", f"the KMS key {key}", lambda attempt: _unless_missing(kms, read, attempt)
        )
    except _NoKey:
        return [problem(CHECK, f"there is no KMS key {key}", "Correct its ARN, or use another key")]
    return [*_unusable(key, described), *_denied(key, document, users, _roles(run, resources))]


class _NoKey(Exception):
    """KMS has no such key."""


def _unless_missing(kms: Any, read: Any, attempt: int) -> Any:
    try:
        return read(attempt)
    except kms.exceptions.NotFoundException as error:
        raise _NoKey from error


def _declared(resources: Sequence[Resource]) -> str | None:
    return next((each.kms_key for each in resources if isinstance(each, _ENCRYPTED)), None)


_REMEDIES = {
    "Disabled": "Enable it with `aws kms enable-key --key-id {key}`",
    "PendingDeletion": "Keep it with `aws kms cancel-key-deletion --key-id {key}`, then enable it with `aws kms "
    "enable-key --key-id {key}`",
    "PendingImport": "Import its key material",
}
"""By KeyState."""


def _unusable(key: str, described: Mapping[str, Any]) -> Iterator[Finding]:
    state = described.get("KeyState")
    if state != "Enabled":
        text = f"the KMS key {key} is in the state {state} and cannot encrypt anything"
        remedy = _REMEDIES.get(str(state), "Wait until it is enabled").format(key=key)
        yield problem(CHECK, text, f"{remedy}, or use another key")
    spec, usage = described.get("KeySpec", "SYMMETRIC_DEFAULT"), described.get("KeyUsage", "ENCRYPT_DECRYPT")
    if (spec, usage) != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        text = f"the KMS key {key} is for {usage} ({spec}), and AWS's services encrypt with symmetric keys only"
        yield problem(CHECK, text, "Use a symmetric key for ENCRYPT_DECRYPT")
    if described.get("KeyManager") == "AWS":
        text = f"the KMS key {key} is managed by AWS: its policy cannot be changed and allows only one service"
        yield problem(CHECK, text, "Use a customer managed key")


def _denied(key: str, document: Document, users: Iterable[User], roles: Sequence[User]) -> Iterator[Finding]:
    """The users whom the policy does not allow. If it does not delegate to IAM, it may name the functions' roles."""
    for user in users:
        decisions = {action: user.is_allowed(document, action) for action in user.actions}
        missing = [action for action, allowed in decisions.items() if allowed is False]
        unsure = [action for action, allowed in decisions.items() if allowed is None]
        if missing and user.sid == _IAM and roles and _are_allowed(document, roles):
            text = f"the policy of the KMS key {key} allows the functions' roles; only AWS can tell if it allows you"
            yield unknown(CHECK, text, f"Make sure that iotpipe's caller may do {', '.join(user.actions)}")
        elif missing:
            text = f"the policy of the KMS key {key} does not let {user.names[0]} do {', '.join(missing)}: {user.why}"
            yield problem(CHECK, text, _remedy(document, user))
        elif unsure:
            text = (
                f"whether the policy of the KMS key {key} lets {user.names[0]} do {', '.join(unsure)} depends on "
                f"conditions that only AWS can judge; if not, {user.why}"
            )
            yield unknown(CHECK, text, f"Make sure that it does; this statement would: {user.statement()}")
        if user.sid == _IAM and not missing:
            yield from _denied_roles(key, document, user, roles)


def _denied_roles(key: str, document: Document, iam: User, roles: Sequence[User]) -> Iterator[Finding]:
    """The functions' roles that a statement denies the key, although the policy delegates to IAM."""
    others = {"Statement": [each for each in statements(document) if iam.is_concerned(each) is False]}
    for role in roles:
        decisions = {action: role.is_denied(others, action) for action in role.actions}
        if denied := [action for action, decision in decisions.items() if decision]:
            text = f"the policy of the KMS key {key} denies {role.names[0]} {', '.join(denied)}: {role.why}"
            yield problem(CHECK, text, _REMOVE_DENY)
        elif unsure := [action for action, decision in decisions.items() if decision is None]:
            text = (
                f"whether the policy of the KMS key {key} denies {role.names[0]} {', '.join(unsure)} only AWS can tell"
            )
            yield unknown(CHECK, f"{text}; if so, {role.why}", "Make sure that it does not")


def _remedy(document: Document, user: User) -> str:
    extended = {"Statement": [*statements(document), json.loads(user.statement())]}
    if any(user.is_allowed(extended, action) is False for action in user.actions):
        return _REMOVE_DENY
    return f"Add this statement to the key's policy: {user.statement()}"


def _are_allowed(document: Document, users: Iterable[User]) -> bool:
    return all(user.is_allowed(document, action) for user in users for action in user.actions)


def _users(run: Run, resources: Iterable[Resource]) -> Iterator[User]:
    """The principals that the policy must allow, each according to AWS's documentation of the service."""
    yield _iam(run)
    account, region = run.aws.account, run.aws.region
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    logs = f"arn:{run.aws.partition}:logs:{region}:{account}:log-group:*"
    yield User(
        "LetLogsEncrypt",
        "Service",
        # In China, AWS's documentation names the second.
        (f"logs.{region}.amazonaws.com", f"logs.{region}.amazonaws.com.cn"),
        (
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
            "kms:GenerateDataKey",
            "kms:DescribeKey",
        ),
        ("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"),
        "CloudWatch Logs refuses to encrypt the log groups with it",
        account,
        {"ArnLike": {LOG_GROUP: logs}},
        tuple(_log_groups(run, resources)),
    )
    # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
    yield User(
        "LetAlarmsPublish",
        "Service",
        ("cloudwatch.amazonaws.com",),
        ("kms:Decrypt", "kms:GenerateDataKey"),
        ("kms:Decrypt", "kms:GenerateDataKey*"),
        "alarms cannot publish to the topic",
        account,
        {"StringEquals": {"aws:SourceAccount": account}},
    )


def _iam(run: Run) -> User:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"""
    account = run.aws.account
    return User(
        _IAM,
        "AWS",
        (f"arn:{run.aws.partition}:iam::{account}:root", account),
        ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant"),
        ("kms:*",),
        "the permissions of IAM roles on the key have no effect, including the functions' and yours",
        account,
        {},
    )


def _roles(run: Run, resources: Iterable[Resource]) -> list[User]:
    """The functions' roles: the policy may name each of them instead of delegating to IAM, or deny one of them."""
    account, why = _iam(run).names, "its function cannot read or write what is encrypted with it"
    arns = [each.arn(run) for each in resources if isinstance(each, Role) and former_kms_keys.usable([each])]
    return [User("", "AWS", (arn,), USE_KEY, (), why, run.aws.account, {}, denied_as=account) for arn in arns]


def _log_groups(run: Run, resources: Iterable[Resource]) -> Iterator[str]:
    """The ARNs of all log groups. The API's id may not be known yet: any id will do to test the ARN's prefix."""
    for each in resources:
        if isinstance(each, LogGroup):
            yield each.arn(run)
        elif isinstance(each, Stage) and each.logs:
            api = run.recorded(each.api).get("RestApiId", "0123456789")
            yield run.aws.arn("logs", f"log-group:{execution_logs(api)}{each.name}")
