"""Whether the KMS key that everything is to be encrypted with lets everybody use it who has to."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from iotpipe.doctor.findings import Finding, ok, problem
from iotpipe.pipeline import USES_KEY
from iotpipe.provision.foreign.statements import Document, Statement, covers, denies, listed, principals, statements
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.resources import Function, LogGroup, Queue, Role, Secret, Stage, Table, Topic
from iotpipe.provision.resources.apigateway import execution_logs
from iotpipe.provision.resources.iam import POLICY
from iotpipe.provision.run import Run

CHECK = "KMS key"
_CONTEXT = "kms:EncryptionContext:aws:logs:arn"
_ENCRYPTED = (Function, LogGroup, Queue, Secret, Stage, Table, Topic)
_DEFAULT_POLICY = "default"
"""The name of a key's only policy."""


@dataclass(frozen=True)
class _User:
    """Somebody whom the key's policy has to let in: `names` are those by which it may, the first is shown.

    `actions` are the calls of KMS, `granted` how AWS's documentation writes them into a policy, `why` what fails
    otherwise. `contexts` are the ARNs of the log groups for which it must hold.
    """

    sid: str
    kind: str
    names: tuple[str, ...]
    actions: tuple[str, ...]
    granted: tuple[str, ...]
    why: str
    condition: Mapping[str, Any]
    contexts: tuple[str, ...] = ()

    def statement(self) -> str:
        """What to add to the key's policy."""
        wanted: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Principal": {self.kind: self.names[0]}}
        wanted |= {"Action": list(self.granted), "Resource": "*"}
        return json.dumps(wanted | ({"Condition": self.condition} if self.condition else {}))

    def is_let_in(self, document: Document, action: str) -> bool:
        """Whether the policy allows the action, for each log group that it is about."""
        about = [each for each in statements(document) if covers(each, action) and self._is_named(each)]
        if any(denies(each) and not each.get("Condition") for each in about):
            return False
        allowed = [each for each in about if not denies(each)]
        return all(any(_fits(each, context) for each in allowed) for context in self.contexts or ("",))

    def _is_named(self, statement: Statement) -> bool:
        return "NotPrincipal" not in statement and any(
            value == "*" or (kind, value) in ((self.kind, name) for name in self.names)
            for kind, value in principals(statement)
        )


def _fits(statement: Statement, context: str) -> bool:
    """Whether the statement holds for this log group. What other conditions ask for only AWS can tell."""
    patterns = [
        str(pattern)
        for tests in (statement.get("Condition") or {}).values()
        for key, values in tests.items()
        if key.lower() == _CONTEXT.lower()
        for pattern in listed(values)
    ]
    return not context or not patterns or any(fnmatchcase(context, pattern) for pattern in patterns)


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """What there is to say of the key. Raises ResourceError where AWS does not say."""
    key = _declared(resources)
    unset = "kms_key is not set: everything is encrypted with AWS's own keys"
    return refusal(run, resources) or [ok(CHECK, f"{key} can be used by all who have to" if key else unset)]


def refusal(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Why AWS could not work with the key; KMS is only asked where one is declared.

    Raises ResourceError where AWS does not say.
    """
    key = _declared(resources)
    if other := _keys_in_use(run, resources) - {key}:
        return [_exchanged(other, key)]
    if key is None:
        return []
    region = key.split(":")[3]
    if region != run.aws.region:
        told = f"the KMS key {key} is in {region}, and the environment in {run.aws.region}"
        return [problem(CHECK, told, f"Set kms_key to a key of {run.aws.region}")]
    kms = run.client("kms")

    def ask(attempt: int) -> tuple[Mapping[str, Any], Document]:
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
        return described, json.loads(kms.get_key_policy(KeyId=key, PolicyName=_DEFAULT_POLICY)["Policy"])

    try:
        described, document = run.trying("read", f"the KMS key {key}", lambda attempt: _or_none(kms, ask, attempt))
    except _NoKey:
        return [problem(CHECK, f"there is no KMS key {key}", "Correct kms_key")]
    return [*_unfit(key, described), *_shut_out(run, key, document, resources)]


def _keys_in_use(run: Run, resources: Sequence[Resource]) -> set[str]:
    """The keys that the functions' roles may use: what is encrypted with one cannot be read without that right."""
    found: set[str] = set()
    for role in (each for each in resources if isinstance(each, Role)):
        observed = run.trying("read", role.address, _look(run, role)) or {}
        statements = observed.get("Policies", {}).get(POLICY, {}).get("Statement", {})
        found |= set(listed(statements.get(USES_KEY, {}).get("Resource", [])))
    return found


def _look(run: Run, role: Role) -> Callable[[int], Properties | None]:
    return lambda attempt: run.look(role)


def _exchanged(used: Collection[str], key: str | None) -> Finding:
    """Messages that wait in the queues can only be read with the key with which they were sent."""
    old, wanted = ", ".join(sorted(used)), f"is {key}" if key else "is not set"
    told = (
        f"the environment is encrypted with the KMS key {old}, and kms_key {wanted}: iotpipe neither takes a key off "
        "nor exchanges it, because the functions could not read what waits in the queues any more"
    )
    return problem(CHECK, told, f"Set kms_key to {old}; KMS itself can rotate what the key is made of")


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
    "Disabled": "Enable it with `aws kms enable-key --key-id {key}`, or name another in kms_key",
    "PendingDeletion": "Keep it with `aws kms cancel-key-deletion --key-id {key}`, then enable it with `aws kms "
    "enable-key --key-id {key}`, or name another in kms_key",
    "PendingImport": "Import its key material, or name another in kms_key",
}
"""By state of a key."""


def _unfit(key: str, described: Mapping[str, Any]) -> Iterator[Finding]:
    state = described.get("KeyState")
    if state != "Enabled":
        told = f"the KMS key {key} is in the state {state}, and nothing can be encrypted with it"
        yield problem(CHECK, told, _REMEDIES.get(str(state), "Name another in kms_key").format(key=key))
    spec, usage = described.get("KeySpec", "SYMMETRIC_DEFAULT"), described.get("KeyUsage", "ENCRYPT_DECRYPT")
    if (spec, usage) != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        told = f"the KMS key {key} is one for {usage} ({spec}), and AWS's services encrypt with symmetric keys alone"
        yield problem(CHECK, told, "Name a symmetric key for ENCRYPT_DECRYPT in kms_key")
    if described.get("KeyManager") == "AWS":
        told = f"the KMS key {key} is managed by AWS, and its policy, which nobody can change, lets one service use it"
        yield problem(CHECK, told, "Name a key of your own in kms_key")


def _shut_out(run: Run, key: str, document: Document, resources: Sequence[Resource]) -> Iterator[Finding]:
    for user in _users(run, resources):
        missing = [each for each in user.actions if not user.is_let_in(document, each)]
        if missing:
            told = f"the policy of the KMS key {key} does not let {user.names[0]} do {', '.join(missing)}: {user.why}"
            yield problem(CHECK, told, f"Add this statement to the key's policy: {user.statement()}")


def _users(run: Run, resources: Iterable[Resource]) -> Iterator[_User]:
    """Who has to be let in, each as AWS's documentation of the service says."""
    account, region = run.aws.account, run.aws.region
    # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    root = f"arn:{run.aws.partition}:iam::{account}:root"
    use = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant")
    yield _User(
        "LetIamDecide",
        "AWS",
        (root, account),
        use,
        ("kms:*",),
        "no role's rights on the key count then, the functions' and yours among them",
        {},
    )
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    logs = f"arn:{run.aws.partition}:logs:{region}:{account}:log-group:*"
    yield _User(
        "LetLogsEncrypt",
        "Service",
        (f"logs.{run.aws.region}.amazonaws.com",),
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
        {"ArnLike": {_CONTEXT: logs}},
        tuple(_log_groups(run, resources)),
    )
    # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
    yield _User(
        "LetAlarmsPublish",
        "Service",
        ("cloudwatch.amazonaws.com",),
        ("kms:Decrypt", "kms:GenerateDataKey"),
        ("kms:Decrypt", "kms:GenerateDataKey*"),
        "no alarm can tell the topic anything",
        {"StringEquals": {"aws:SourceAccount": account}},
    )


def _log_groups(run: Run, resources: Iterable[Resource]) -> Iterator[str]:
    """The ARNs of all that is logged to; whatever id the API will have, API Gateway's group begins with the same."""
    for each in resources:
        if isinstance(each, LogGroup):
            yield each.arn(run)
        elif isinstance(each, Stage) and each.logs:
            api = run.recorded(each.api).get("RestApiId", "0123456789")
            yield run.aws.arn("logs", f"log-group:{execution_logs(api)}{each.name}")
