"""Check with IAM's policy simulator whether the caller has the permissions that `up` needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from iotpipe.checks.finding import Finding, ok, problem, unknown
from iotpipe.errors import ResourceError
from iotpipe.policy import Environment, document
from iotpipe.policy.rights import DOCTOR
from iotpipe.provision.resources.stage import TRACING_ROLE
from iotpipe.provision.run import Run

CHECK = "permissions"
_CONCURRENCY = 4
_MAX_SHOWN = 8
_BY_HAND = "Compare the caller's permissions with what `iotpipe policy` prints"


def check(run: Run, env: Environment) -> list[Finding]:
    """Simulate the policy of `up`, without the statements that only `doctor` needs.

    Raises ResourceError if the caller may not use the simulator.

    The simulator evaluates the policies of users, groups, roles and the organization, and permissions boundaries. It
    does not know session policies, nor condition keys that it is not given.
    """
    kind = _caller(run)[0]
    if kind == "root":
        return [ok(CHECK, "the account's root user may do everything")]
    if kind not in ("user", "assumed-role"):
        return [unknown(CHECK, f"IAM simulates users and roles, and the caller is a {kind}", _BY_HAND)]
    own = {right.sid for right in DOCTOR}
    principal, statements = _principal(run), [s for s in document(env, ["up"])["Statement"] if s["Sid"] not in own]
    # One statement first, so that a missing permission or simulator costs only one call.
    results = _simulate(run, principal, statements[0])
    if _has_tracing_role(run):
        statements = [each for each in statements if each["Sid"] != TRACING_ROLE.sid]
    with ThreadPoolExecutor(max_workers=_CONCURRENCY, thread_name_prefix="iotpipe-doctor") as pool:
        running = [pool.submit(_simulate, run, principal, each) for each in statements[1:]]
        results += [result for each in running for result in each.result()]
    return _findings(principal, results)


def _has_tracing_role(run: Run) -> bool:
    """Whether API Gateway's service-linked role for tracing exists, so that `up` need not create it."""
    iam, name = run.client("iam"), TRACING_ROLE.on[0].rpartition("/")[2]

    def exists(attempt: int) -> bool:
        try:
            iam.get_role(RoleName=name)
        except iam.exceptions.NoSuchEntityException:
            return False
        return True

    return run.with_retries("read", f"role/{name}", exists)


def _caller(run: Run) -> list[str]:
    """The parts of the caller's ARN after the account: user and name, or assumed-role, role and session."""
    return run.aws.caller.split(":", 5)[5].split("/")


def _principal(run: Run) -> str:
    """The ARN of the caller's user or role; the simulator does not accept sessions."""
    kind, name, *_ = _caller(run)
    if kind == "user":
        return run.aws.caller
    iam = run.client("iam")
    # The session's ARN lacks the role's path, and IAM Identity Center creates its roles with one.
    arn = run.with_retries("read", f"role/{name}", lambda attempt: iam.get_role(RoleName=name)["Role"]["Arn"])
    return str(arn)


@dataclass(frozen=True)
class _Result:
    """The simulator's decision about one action on one resource, in IAM's words; empty if it has none."""

    action_on: str
    decision: str
    denied_by: str = ""
    is_conditional: bool = False
    """The policies have conditions on keys that the simulator was not given."""


_WITHOUT_RESOURCE = ("lambda:ListLayerVersions", "logs:DescribeLogGroups", "sns:Unsubscribe", "ssm:DescribeParameters")
"""Actions without resource types in the service authorization reference. AWS authorizes them on the ARN in the call,
the simulator on `*`."""


def _simulate(run: Run, principal: str, statement: Mapping[str, Any]) -> list[_Result]:
    """The results for each action of a statement on each of its resources."""
    with_resource = [action for action in statement["Action"] if action not in _WITHOUT_RESOURCE]
    results = _simulate_actions(run, principal, statement, with_resource) if with_resource else []
    for action in statement["Action"]:
        if action in _WITHOUT_RESOURCE:
            anywhere = {**statement, "Resource": [*statement["Resource"], "*"]}
            results.append(_best(_simulate_actions(run, principal, anywhere, [action])))
    return results


def _best(results: Sequence[_Result]) -> _Result:
    """The result that allows the action; without one, AWS may still allow it, which the simulator cannot tell."""
    allowed = [each for each in results if each.decision == "allowed"]
    return allowed[0] if allowed else replace(results[0], is_conditional=True)


def _simulate_actions(run: Run, principal: str, statement: Mapping[str, Any], actions: Sequence[str]) -> list[_Result]:
    """The results for these actions on each resource of the statement."""
    paginator = run.client("iam").get_paginator("simulate_principal_policy")

    def simulate(attempt: int) -> list[_Result]:
        pages = paginator.paginate(
            PolicySourceArn=principal,
            ActionNames=actions,
            ResourceArns=statement["Resource"],
            ContextEntries=_context(statement.get("Condition", {})),
        )
        return [result for page in pages for each in page["EvaluationResults"] for result in _results(each)]

    try:
        return run.with_retries("simulate", f"the policies of {principal}", simulate)
    except ResourceError as error:
        if error.code != "InvalidInput":
            raise
    # Actions that "require different authorization information" cannot share one call.
    if len(actions) > 1:
        return [result for each in actions for result in _simulate_actions(run, principal, statement, [each])]
    return [_Result(f"{actions[0]} on {resource}", "") for resource in statement["Resource"]]


def _results(evaluation: Mapping[str, Any]) -> list[_Result]:
    """One result per resource: of several resources, IAM lists each below the result for all of them."""
    action, denied_by = evaluation["EvalActionName"], _denied_by(evaluation)
    overall = {**evaluation, "EvalResourceDecision": evaluation["EvalDecision"]}
    return [
        _Result(
            f"{action} on {each.get('EvalResourceName', '*')}",
            each["EvalResourceDecision"],
            denied_by,
            bool(each.get("MissingContextValues")),
        )
        for each in evaluation.get("ResourceSpecificResults") or [overall]
    ]


def _denied_by(result: Mapping[str, Any]) -> str:
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return " (the organization forbids it)"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return " (its permissions boundary forbids it)"
    return " (a policy denies it)" if result["EvalDecision"] == "explicitDeny" else ""


def _context(conditions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The condition keys with values that meet the conditions, as in the calls of `up`."""
    wanted = {key: value for tests in conditions.values() for key, value in tests.items()}
    return [
        {
            "ContextKeyName": key,
            "ContextKeyType": "string",
            "ContextKeyValues": [value if isinstance(value, str) else value[0]],
        }
        for key, value in wanted.items()
    ]


def _findings(principal: str, results: Sequence[_Result]) -> list[Finding]:
    # A condition on a key that the simulator was not given may be met in the calls of `up`.
    denied = [each for each in results if each.decision not in ("allowed", "") and not each.is_conditional]
    conditional = [each for each in results if each.decision not in ("allowed", "") and each.is_conditional]
    undecided = [each for each in results if not each.decision]
    findings = []
    if denied:
        text = f"{principal} may not do {len(denied)} of the {len(results)} things that `up` needs: {_listed(denied)}"
        findings.append(problem(CHECK, text, "Attach the policy that `iotpipe policy` prints"))
    if conditional:
        text = f"IAM's simulator cannot tell whether {principal} may do this: {_listed(conditional)}"
        findings.append(unknown(CHECK, text, _BY_HAND))
    if undecided:
        findings.append(unknown(CHECK, f"IAM's simulator cannot simulate these: {_listed(undecided)}", _BY_HAND))
    return findings or [ok(CHECK, f"{principal} has all permissions that `up` needs, according to IAM's simulator")]


def _listed(results: Sequence[_Result]) -> str:
    texts = [f"{each.action_on}{each.denied_by}" for each in results]
    more = f" and {len(texts) - _MAX_SHOWN} more" if len(texts) > _MAX_SHOWN else ""
    return ", ".join(texts[:_MAX_SHOWN]) + more
