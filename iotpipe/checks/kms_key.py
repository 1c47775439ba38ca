"""Whether the KMS key that everything is to be encrypted with lets everybody use it who has to."""

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
_TAKE_OUT = "Take the statement that denies it out of the key's policy"
_DEFAULT_POLICY = "default"
"""The name of a key's only policy."""


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """What there is to say of the key. Raises ResourceError where AWS does not say."""
    key = _declared(resources)
    unset = "kms_key is not set: everything is encrypted with AWS's own keys"
    return refusal(run, resources) or [ok(CHECK, f"{key} can be used by all who have to" if key else unset)]


def refusal(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Why AWS could not work with the key; KMS is only asked where one is declared.

    Raises ResourceError where AWS does not say.
    """
    if needed := [problem(CHECK, told, remedy) for told, remedy in former_kms_keys.needed(run, resources)]:
        return needed
    key, former = _declared(resources), former_kms_keys.usable(resources)
    found = _looked_at(run, key, resources, _users(run, resources)) if key else []
    for each in sorted(former - {key}):
        # What it encrypted may be lost already; that must not keep the rest from being repaired.
        told = _looked_at(run, each, resources, [_iam(run)])
        found += [warning(CHECK, f"{one.found}. Messages may wait that were sent with it", one.remedy) for one in told]
    return found


def too_early(run: Run, plan: Plan, resources: Sequence[Resource]) -> list[Finding]:
    """What an `up` that adopts a part would encrypt with the key while roles that it leaves may not use it yet."""
    key, later = _declared(resources), {step.address for step in plan.later}
    encrypted = [
        step.address
        for step in plan.steps
        if key and any(former_kms_keys.names(each.after, key) for each in step.changes)
    ]
    used = [
        each for each in resources if isinstance(each, former_kms_keys.USED_BY_FUNCTIONS) and each.address in encrypted
    ]
    roles = [each for each in resources if isinstance(each, Role) and used and each.address in later]
    lacking = [each for each in roles if former_kms_keys.usable([each]) and former_kms_keys.lacks(run, each, str(key))]
    if not lacking:
        return []
    told = f"{', '.join(each.address for each in used)} would be encrypted with the KMS key {key} before "
    told += f"{', '.join(each.address for each in lacking)} may use it"
    return [problem(CHECK, told, f"Add {' '.join(f'--adopt {each.address}' for each in lacking)}")]


def _looked_at(run: Run, key: str, resources: Sequence[Resource], users: Iterable[User]) -> list[Finding]:
    region = key.split(":")[3]
    if region != run.aws.region:
        told = f"the KMS key {key} is in {region}, and the environment in {run.aws.region}"
        return [problem(CHECK, told, f"Name a key of {run.aws.region}")]
    kms = run.client("kms")

    def ask(attempt: int) -> tuple[Mapping[str, Any], Document]:
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
        return described, json.loads(kms.get_key_policy(KeyId=key, PolicyName=_DEFAULT_POLICY)["Policy"])

    try:
        described, document = run.with_retries(
            "read", f"the KMS key {key}", lambda attempt: _or_none(kms, ask, attempt)
        )
    except _NoKey:
        return [problem(CHECK, f"there is no KMS key {key}", "Correct its ARN, or name another")]
    return [*_unfit(key, described), *_shut_out(key, document, users, _roles(run, resources))]


class _NoKey(Exception):
    """KMS has no such key."""


def _or_none(kms: Any, ask: Any, attempt: int) -> Any:
    try:
        return ask(attempt)
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
"""By state of a key."""


def _unfit(key: str, described: Mapping[str, Any]) -> Iterator[Finding]:
    state = described.get("KeyState")
    if state != "Enabled":
        told = f"the KMS key {key} is in the state {state}, and nothing can be encrypted with it"
        remedy = _REMEDIES.get(str(state), "Wait until it is enabled").format(key=key)
        yield problem(CHECK, told, f"{remedy}, or name another")
    spec, usage = described.get("KeySpec", "SYMMETRIC_DEFAULT"), described.get("KeyUsage", "ENCRYPT_DECRYPT")
    if (spec, usage) != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        told = f"the KMS key {key} is one for {usage} ({spec}), and AWS's services encrypt with symmetric keys alone"
        yield problem(CHECK, told, "Name a symmetric key for ENCRYPT_DECRYPT")
    if described.get("KeyManager") == "AWS":
        told = f"the KMS key {key} is managed by AWS, and its policy, which nobody can change, lets one service use it"
        yield problem(CHECK, told, "Name a key of your own")


def _shut_out(key: str, document: Document, users: Iterable[User], instead: Sequence[User]) -> Iterator[Finding]:
    """Who is not let in. Where IAM does not decide, it is enough if the functions' roles themselves are."""
    for user in users:
        answers = {action: user.is_let_in(document, action) for action in user.actions}
        missing = [action for action, allowed in answers.items() if allowed is False]
        unsure = [action for action, allowed in answers.items() if allowed is None]
        if missing and user.sid == _IAM and instead and _are_let_in(document, instead):
            told = (
                f"the policy of the KMS key {key} lets in the functions' roles, and whether you too only AWS can tell"
            )
            yield unknown(CHECK, told, f"Make sure that it lets whoever runs iotpipe do {', '.join(user.actions)}")
        elif missing:
            told = f"the policy of the KMS key {key} does not let {user.names[0]} do {', '.join(missing)}: {user.why}"
            yield problem(CHECK, told, _remedy(document, user))
        elif unsure:
            told = (
                f"whether the policy of the KMS key {key} lets {user.names[0]} do {', '.join(unsure)} depends on "
                f"conditions that only AWS can judge; if not, {user.why}"
            )
            yield unknown(CHECK, told, f"Make sure that it does; this statement would: {user.statement()}")
        if user.sid == _IAM and not missing:
            yield from _denied_alone(key, document, user, instead)


def _denied_alone(key: str, document: Document, iam: User, roles: Sequence[User]) -> Iterator[Finding]:
    """The functions' roles that a statement denies the key, where IAM decides for the account."""
    others = {"Statement": [each for each in statements(document) if iam.is_concerned(each) is False]}
    for role in roles:
        answers = {action: role.is_denied(others, action) for action in role.actions}
        if denied := [action for action, answer in answers.items() if answer]:
            told = f"the policy of the KMS key {key} denies {role.names[0]} {', '.join(denied)}: {role.why}"
            yield problem(CHECK, told, _TAKE_OUT)
        elif unsure := [action for action, answer in answers.items() if answer is None]:
            told = (
                f"whether the policy of the KMS key {key} denies {role.names[0]} {', '.join(unsure)} only AWS can tell"
            )
            yield unknown(CHECK, f"{told}; if so, {role.why}", "Make sure that it does not")


def _remedy(document: Document, user: User) -> str:
    extended = {"Statement": [*statements(document), json.loads(user.statement())]}
    if any(user.is_let_in(extended, action) is False for action in user.actions):
        return _TAKE_OUT
    return f"Add this statement to the key's policy: {user.statement()}"


def _are_let_in(document: Document, users: Iterable[User]) -> bool:
    return all(user.is_let_in(document, action) for user in users for action in user.actions)


def _users(run: Run, resources: Iterable[Resource]) -> Iterator[User]:
    """Who has to be let in, each as AWS's documentation of the service says."""
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
        "no alarm can tell the topic anything",
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
        "no role's rights on the key count then, the functions' and yours among them",
        account,
        {},
    )


def _roles(run: Run, resources: Iterable[Resource]) -> list[User]:
    """The functions' roles: the key's policy may name each of them instead of letting IAM decide, or deny it to one."""
    account, why = _iam(run).names, "its function cannot read or write what is encrypted with it"
    arns = [each.arn(run) for each in resources if isinstance(each, Role) and former_kms_keys.usable([each])]
    return [User("", "AWS", (arn,), USE_KEY, (), why, run.aws.account, {}, denied_as=account) for arn in arns]


def _log_groups(run: Run, resources: Iterable[Resource]) -> Iterator[str]:
    """The ARNs of all that is logged to; whatever id the API will have, API Gateway's group begins with the same."""
    for each in resources:
        if isinstance(each, LogGroup):
            yield each.arn(run)
        elif isinstance(each, Stage) and each.logs:
            api = run.recorded(each.api).get("RestApiId", "0123456789")
            yield run.aws.arn("logs", f"log-group:{execution_logs(api)}{each.name}")
