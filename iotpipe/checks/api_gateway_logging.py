"""Check the role with which API Gateway writes its logs: one per account and region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iotpipe.checks.finding import Finding, ok, problem, unknown, warning
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.run import Run

CHECK = "API logging role"
WEB_ACL = "web ACL"
_SERVICE = "apigateway.amazonaws.com"


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Check the logging role. Raises ResourceError if AWS does not answer."""
    account = next((each for each in resources if isinstance(each, ApiGatewayAccount)), None)
    if account is None:
        return [ok(CHECK, "api.logging is OFF: none is needed")]
    observed = run.with_retries("read", account.address, lambda attempt: run.look(account))
    if observed is None:
        return [ok(CHECK, f"none is set in {run.aws.region}: `up` creates and sets one")]
    return [_check_role(run, str(observed["cloudwatchRoleArn"]))]


def refusal(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Find a web ACL of another region, which WAF cannot associate with the stage. Makes no calls."""
    acls = (each.web_acl for each in resources if isinstance(each, Stage) and each.web_acl)
    return [
        problem(
            WEB_ACL,
            f"the web ACL {acl} is in {acl.split(':')[3]}, and the environment in {run.aws.region}",
            f"Set api.web_acl to a regional web ACL of {run.aws.region}",
        )
        for acl in acls
        if acl.split(":")[3] != run.aws.region
    ]


def _check_role(run: Run, arn: str) -> Finding:
    name = arn.rpartition("/")[2]
    if f":{run.aws.account}:" not in arn:
        return unknown(
            CHECK, f"{arn} is set, a role of another account", "Ask its owner whether API Gateway may use it"
        )
    iam = run.client("iam")

    def get_role(attempt: int) -> dict[str, Any] | None:
        try:
            role: dict[str, Any] = iam.get_role(RoleName=name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            return None
        return role

    role = run.with_retries("read", f"role/{name}", get_role)
    if role is None:
        return warning(CHECK, f"{arn} is set but does not exist: API Gateway writes no logs", _unset_remedy(run))
    if not _trusts_api_gateway(role["AssumeRolePolicyDocument"]):
        text = f"{arn} is set and does not let {_SERVICE} assume it: API Gateway writes no logs"
        return warning(CHECK, text, f"Allow sts:AssumeRole to {_SERVICE} in its trust policy")
    return ok(CHECK, f"{arn} is set, and {_SERVICE} may assume it; `up` does not change it")


def _trusts_api_gateway(document: dict[str, Any]) -> bool:
    value = document.get("Statement", [])
    statements = value if isinstance(value, list) else [value]
    return any(
        each.get("Effect") == "Allow"
        and "sts:AssumeRole" in _listed(each.get("Action"))
        and _SERVICE in _listed((each.get("Principal") or {}).get("Service"))
        for each in statements
    )


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


def _unset_remedy(run: Run) -> str:
    unset = "op=replace,path=/cloudwatchRoleArn,value="
    command = f"aws apigateway update-account --region {run.aws.region} --patch-operations {unset}"
    return f"Unset it with `{command}`: the next `up` creates one"
