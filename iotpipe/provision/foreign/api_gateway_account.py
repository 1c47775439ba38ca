"""What others changed on API Gateway's logging role. The plan itself covers the execution roles of the functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import HIDES, OPENS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.statements import (
    Document,
    condition,
    covers,
    denies,
    describe_principals,
    listed,
    principals,
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


# Reads beyond GetAccount


def _role(run: Run, account: ApiGatewayAccount) -> dict[str, Any]:
    iam = run.client("iam")
    try:
        live: dict[str, Any] = iam.get_role(RoleName=account.role_name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return {}
    return live


def _logging_policy(run: Run, account: ApiGatewayAccount) -> Document:
    """Return iotpipe's inline policy of the role."""
    iam = run.client("iam")
    try:
        live: Document = iam.get_role_policy(RoleName=account.role_name, PolicyName=LOGGING_POLICY)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return {}
    return live


def _inline_policies(run: Run, account: ApiGatewayAccount) -> list[str]:
    """Return the names of the role's other inline policies."""
    iam = run.client("iam")
    try:
        names: list[str] = iam.list_role_policies(RoleName=account.role_name)["PolicyNames"]
    except iam.exceptions.NoSuchEntityException:
        return []
    return [each for each in names if each != LOGGING_POLICY]


def _managed_policies(run: Run, account: ApiGatewayAccount) -> list[str]:
    """Return the ARNs of the role's managed policies."""
    iam = run.client("iam")
    try:
        live = iam.list_attached_role_policies(RoleName=account.role_name)["AttachedPolicies"]
    except iam.exceptions.NoSuchEntityException:
        return []
    return [each["PolicyArn"] for each in live]


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    account: ApiGatewayAccount = checked.resource
    if checked.observed["cloudwatchRoleArn"] != checked.run.aws.role_arn(account.role_name):
        # The account uses a logging role that iotpipe did not create.
        return
    role = checked.read(_role)
    if not role:
        text = f"the role {account.role_name} is gone: API Gateway cannot write the logs of any API in {account.name}"
        yield checked.finding("role", HIDES, text, partial(_create_role, checked))
        return
    yield from _trust(checked, role)
    yield from _permissions(checked)
    yield from _boundary(checked, role)


def _boundary(checked: CheckedResource, role: dict[str, Any]) -> Iterator[Foreign]:
    account: ApiGatewayAccount = checked.resource
    bound = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if bound == account.boundary:
        return
    if bound is None:
        risk, text = OPENS, f"the role {account.role_name} no longer has the permissions boundary {account.boundary}"
    else:
        risk = HIDES
        text = f"the role {account.role_name} can write logs only as far as the permissions boundary {bound} lets it"
    yield checked.finding("permissions boundary", risk, text, partial(_set_boundary, checked))


def _trust(checked: CheckedResource, role: dict[str, Any]) -> Iterator[Foreign]:
    name, trusted = checked.resource.role_name, statements(role["AssumeRolePolicyDocument"])
    remove = partial(_set_trust, checked)
    strangers = [each for each in trusted if not denies(each) and principals(each) != [_GATEWAY]]
    if strangers:
        text = " and ".join(
            f"{describe_principals(each, checked.run.aws.account)}{condition(each)}" for each in strangers
        )
        yield checked.finding("trust", OPENS, f"the role {name} can be assumed by {text}", remove)
    elif any(denies(each) for each in trusted) or not any(_GATEWAY in principals(each) for each in trusted):
        text = f"API Gateway cannot assume the role {name} any more, nor write the logs of any API"
        yield checked.finding("trust", HIDES, text, remove)


def _permissions(checked: CheckedResource) -> Iterator[Foreign]:
    name, iam = checked.resource.role_name, checked.run.client("iam")
    for arn in checked.read(_managed_policies):
        text = f"the role {name} has the permissions of the policy {arn}, which API Gateway does not need to write logs"
        remove = partial(_call_if_exists, checked, iam.detach_role_policy, RoleName=name, PolicyArn=arn)
        yield checked.finding(f"policy {arn}", OPENS, text, remove)
    for policy in checked.read(_inline_policies):
        text = (
            f"the role {name} has the permissions of its inline policy {policy}, "
            "which API Gateway does not need to write logs"
        )
        remove = partial(_call_if_exists, checked, iam.delete_role_policy, RoleName=name, PolicyName=policy)
        yield checked.finding(f"inline policy {policy}", OPENS, text, remove)
    yield from _logging(checked)


def _logging(checked: CheckedResource) -> Iterator[Foreign]:
    name, live = checked.resource.role_name, statements(checked.read(_logging_policy))
    if same(live, statements(LOGGING_RIGHTS)):
        return
    [wanted] = LOGGING_RIGHTS["Statement"]
    on_everything = [each for each in live if listed(each.get("Resource")) == ["*"] and "Condition" not in each]
    allowed = [action for action in wanted["Action"] if any(covers(each, action) for each in on_everything)]
    policy, said = f"inline policy {LOGGING_POLICY}", json.dumps(live)
    if allowed != wanted["Action"] or any(denies(each) for each in live):
        text = f"the {policy} of the role {name} does not let API Gateway write the logs of any API any more: {said}"
        yield checked.finding(policy, HIDES, text, partial(_set_logging_policy, checked))
    else:
        text = f"the {policy} of the role {name} allows more than API Gateway needs to write logs: {said}"
        yield checked.finding(policy, OPENS, text, partial(_set_logging_policy, checked))


# Removals


def _call_if_exists(checked: CheckedResource, call: Any, **parameters: Any) -> None:
    try:
        call(**parameters)
    except checked.run.client("iam").exceptions.NoSuchEntityException:
        return


def _create_role(checked: CheckedResource) -> None:
    checked.resource.make_role(checked.run)


def _set_boundary(checked: CheckedResource) -> None:
    iam, name, boundary = checked.run.client("iam"), checked.resource.role_name, checked.resource.boundary
    if boundary:
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    else:
        _call_if_exists(checked, iam.delete_role_permissions_boundary, RoleName=name)


def _set_trust(checked: CheckedResource) -> None:
    checked.run.client("iam").update_assume_role_policy(
        RoleName=checked.resource.role_name, PolicyDocument=json.dumps(LOGGING_TRUST)
    )


def _set_logging_policy(checked: CheckedResource) -> None:
    checked.run.client("iam").put_role_policy(
        RoleName=checked.resource.role_name, PolicyName=LOGGING_POLICY, PolicyDocument=json.dumps(LOGGING_RIGHTS)
    )


CHECK = Check(_check, (_role, _logging_policy, _inline_policies, _managed_policies))
