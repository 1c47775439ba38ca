"""What others changed on the role with which API Gateway logs. Of the functions' roles the plan tells everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import HIDES, OPENS, Check, Foreign, Seen
from iotpipe.provision.foreign.statements import (
    Document,
    condition,
    covers,
    denies,
    listed,
    principals,
    principals_told,
    same,
    statements,
)
from iotpipe.provision.resources.api_gateway_account import (
    LOGGING_POLICY,
    LOGGING_RIGHTS,
    LOGGING_TRUST,
    ApiGatewayAccount,
)
from iotpipe.provision.run import Run

_GATEWAY = ("Service", "apigateway.amazonaws.com")


# What GetAccount does not return


def _role(run: Run, account: ApiGatewayAccount) -> dict[str, Any]:
    iam = run.client("iam")
    try:
        found: dict[str, Any] = iam.get_role(RoleName=account.role_name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return {}
    return found


def _rights(run: Run, account: ApiGatewayAccount) -> Document:
    """What its inline policy lets the role do."""
    iam = run.client("iam")
    try:
        found: Document = iam.get_role_policy(RoleName=account.role_name, PolicyName=LOGGING_POLICY)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return {}
    return found


def _inline(run: Run, account: ApiGatewayAccount) -> list[str]:
    """The names of the role's other inline policies."""
    iam = run.client("iam")
    try:
        names: list[str] = iam.list_role_policies(RoleName=account.role_name)["PolicyNames"]
    except iam.exceptions.NoSuchEntityException:
        return []
    return [each for each in names if each != LOGGING_POLICY]


def _attached(run: Run, account: ApiGatewayAccount) -> list[str]:
    """The ARNs of the managed policies that the role has."""
    iam = run.client("iam")
    try:
        found = iam.list_attached_role_policies(RoleName=account.role_name)["AttachedPolicies"]
    except iam.exceptions.NoSuchEntityException:
        return []
    return [each["PolicyArn"] for each in found]


def _judge(seen: Seen) -> Iterator[Foreign]:
    account: ApiGatewayAccount = seen.resource
    if seen.observed["cloudwatchRoleArn"] != seen.run.aws.role_arn(account.role_name):
        # The account has a role of its own: iotpipe does not check it.
        return
    role = seen.read(_role)
    if not role:
        told = f"the role {account.role_name} is gone: API Gateway cannot write the logs of any API in {account.name}"
        yield seen.foreign("role", HIDES, told, partial(_make, seen))
        return
    yield from _trust(seen, role)
    yield from _allowed(seen)
    yield from _bounds(seen, role)


def _bounds(seen: Seen, role: dict[str, Any]) -> Iterator[Foreign]:
    account: ApiGatewayAccount = seen.resource
    bound = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if bound == account.boundary:
        return
    if bound is None:
        risk, told = OPENS, f"the role {account.role_name} is not held within {account.boundary} any more"
    else:
        risk = HIDES
        told = f"the role {account.role_name} can write logs only as far as the permissions boundary {bound} lets it"
    yield seen.foreign("permissions boundary", risk, told, partial(_bind, seen))


def _trust(seen: Seen, role: dict[str, Any]) -> Iterator[Foreign]:
    name, trusted = seen.resource.role_name, statements(role["AssumeRolePolicyDocument"])
    remove = partial(_set_trust, seen)
    strangers = [each for each in trusted if not denies(each) and principals(each) != [_GATEWAY]]
    if strangers:
        told = " and ".join(f"{principals_told(each, seen.run.aws.account)}{condition(each)}" for each in strangers)
        yield seen.foreign("trust", OPENS, f"the role {name} can be assumed by {told}", remove)
    elif any(denies(each) for each in trusted) or not any(_GATEWAY in principals(each) for each in trusted):
        told = f"API Gateway cannot assume the role {name} any more, nor write the logs of any API"
        yield seen.foreign("trust", HIDES, told, remove)


def _allowed(seen: Seen) -> Iterator[Foreign]:
    name, iam = seen.resource.role_name, seen.run.client("iam")
    for arn in seen.read(_attached):
        told = f"the role {name} may do whatever the policy {arn} allows, where API Gateway needs it to log only"
        remove = partial(_tolerant, seen, iam.detach_role_policy, RoleName=name, PolicyArn=arn)
        yield seen.foreign(f"policy {arn}", OPENS, told, remove)
    for policy in seen.read(_inline):
        told = f"the role {name} may do whatever its inline policy {policy} allows, where it is to log only"
        remove = partial(_tolerant, seen, iam.delete_role_policy, RoleName=name, PolicyName=policy)
        yield seen.foreign(f"inline policy {policy}", OPENS, told, remove)
    yield from _logging(seen)


def _logging(seen: Seen) -> Iterator[Foreign]:
    name, found = seen.resource.role_name, statements(seen.read(_rights))
    if same(found, statements(LOGGING_RIGHTS)):
        return
    [wanted] = LOGGING_RIGHTS["Statement"]
    on_everything = [each for each in found if listed(each.get("Resource")) == ["*"] and "Condition" not in each]
    allowed = [action for action in wanted["Action"] if any(covers(each, action) for each in on_everything)]
    policy, said = f"inline policy {LOGGING_POLICY}", json.dumps(found)
    if allowed != wanted["Action"] or any(denies(each) for each in found):
        told = f"the {policy} of the role {name} does not let API Gateway write the logs of any API any more: {said}"
        yield seen.foreign(policy, HIDES, told, partial(_set_rights, seen))
    else:
        told = f"the {policy} of the role {name} allows more than API Gateway needs to write logs: {said}"
        yield seen.foreign(policy, OPENS, told, partial(_set_rights, seen))


# Removals


def _tolerant(seen: Seen, call: Any, **parameters: Any) -> None:
    try:
        call(**parameters)
    except seen.run.client("iam").exceptions.NoSuchEntityException:
        return


def _make(seen: Seen) -> None:
    seen.resource.make_role(seen.run)


def _bind(seen: Seen) -> None:
    iam, name, boundary = seen.run.client("iam"), seen.resource.role_name, seen.resource.boundary
    if boundary:
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    else:
        _tolerant(seen, iam.delete_role_permissions_boundary, RoleName=name)


def _set_trust(seen: Seen) -> None:
    seen.run.client("iam").update_assume_role_policy(
        RoleName=seen.resource.role_name, PolicyDocument=json.dumps(LOGGING_TRUST)
    )


def _set_rights(seen: Seen) -> None:
    seen.run.client("iam").put_role_policy(
        RoleName=seen.resource.role_name, PolicyName=LOGGING_POLICY, PolicyDocument=json.dumps(LOGGING_RIGHTS)
    )


CHECK = Check(_judge, (_role, _rights, _inline, _attached))
