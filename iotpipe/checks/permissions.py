"""Whether the caller may do what `up` does, as IAM's own simulator sees it."""

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
_AT_ONCE = 4
_SHOWN = 8
_BY_HAND = "`iotpipe policy` says what is needed: compare it with what the caller has"


def check(run: Run, env: Environment) -> list[Finding]:
    """Ask the simulator about the policy of `up`, but for what only these checks ask.

    Raises ResourceError where the caller may not ask it.

    It knows the policies of users, groups and roles, permissions boundaries and the organization's policies, but
    neither session policies nor conditions on what it is not told.
    """
    kind = _caller(run)[0]
    if kind == "root":
        return [ok(CHECK, "the account's root user may do everything")]
    if kind not in ("user", "assumed-role"):
        return [unknown(CHECK, f"IAM simulates users and roles, and the caller is a {kind}", _BY_HAND)]
    own = {right.sid for right in DOCTOR}
    principal, statements = _principal(run), [s for s in document(env, ["up"])["Statement"] if s["Sid"] not in own]
    # Whoever may not ask, or asks somebody who does not know the simulator, learns it from one question.
    answers = _asked(run, principal, statements[0])
    if _has_tracing_role(run):
        statements = [each for each in statements if each["Sid"] != TRACING_ROLE.sid]
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="iotpipe-doctor") as pool:
        asked = [pool.submit(_asked, run, principal, each) for each in statements[1:]]
        answers += [answer for each in asked for answer in each.result()]
    return _judged(principal, answers)


def _has_tracing_role(run: Run) -> bool:
    """Whether API Gateway need not make its role any more; where that cannot be read, it is taken for needed."""
    iam, name = run.client("iam"), TRACING_ROLE.on[0].rpartition("/")[2]

    def look(attempt: int) -> bool:
        try:
            iam.get_role(RoleName=name)
        except iam.exceptions.NoSuchEntityException:
            return False
        return True

    return run.with_retries("read", f"role/{name}", look)


def _caller(run: Run) -> list[str]:
    """The parts of what the caller's ARN says after the account: user and name, or assumed-role, role and session."""
    return run.aws.caller.split(":", 5)[5].split("/")


def _principal(run: Run) -> str:
    """The user or role whose policies count: the simulator takes no sessions."""
    kind, name, *_ = _caller(run)
    if kind == "user":
        return run.aws.caller
    iam = run.client("iam")
    # The session's name does not tell the role's path, and single sign-on puts its roles on one.
    found = run.with_retries("read", f"role/{name}", lambda attempt: iam.get_role(RoleName=name)["Role"]["Arn"])
    return str(found)


@dataclass(frozen=True)
class _Answer:
    """What the simulator says of one action on one resource; `decision` is its own word, or empty where it has none."""

    what: str
    decision: str
    forbidden: str = ""
    open: bool = False
    """Conditions ask for what the simulator was not told."""


_NAMELESS = ("lambda:ListLayerVersions", "logs:DescribeLogGroups", "sns:Unsubscribe", "ssm:DescribeParameters")
"""Actions for which the service authorization reference lists no resource. AWS asks about what they name, the
simulator about `*`."""


def _asked(run: Run, principal: str, statement: Mapping[str, Any]) -> list[_Answer]:
    """The answers for each action of a statement on each of its resources."""
    named = [each for each in statement["Action"] if each not in _NAMELESS]
    answers = _simulated(run, principal, statement, named) if named else []
    for action in statement["Action"]:
        if action in _NAMELESS:
            anywhere = {**statement, "Resource": [*statement["Resource"], "*"]}
            answers.append(_best(_simulated(run, principal, anywhere, [action])))
    return answers


def _best(answers: Sequence[_Answer]) -> _Answer:
    """The answer that allows it; where none does, AWS may still do so, and the simulator cannot tell."""
    allowed = [each for each in answers if each.decision == "allowed"]
    return allowed[0] if allowed else replace(answers[0], open=True)


def _simulated(run: Run, principal: str, statement: Mapping[str, Any], actions: Sequence[str]) -> list[_Answer]:
    """The answers for these actions of a statement on each of its resources."""
    asking = run.client("iam").get_paginator("simulate_principal_policy")

    def ask(attempt: int) -> list[_Answer]:
        pages = asking.paginate(
            PolicySourceArn=principal,
            ActionNames=actions,
            ResourceArns=statement["Resource"],
            ContextEntries=_context(statement.get("Condition", {})),
        )
        return [answer for page in pages for each in page["EvaluationResults"] for answer in _answers(each)]

    try:
        return run.with_retries("simulate", f"the policies of {principal}", ask)
    except ResourceError as error:
        if error.code != "InvalidInput":
            raise
    # Actions that "require different authorization information" cannot be asked about in one question.
    if len(actions) > 1:
        return [answer for each in actions for answer in _simulated(run, principal, statement, [each])]
    return [_Answer(f"{actions[0]} on {resource}", "") for resource in statement["Resource"]]


def _answers(result: Mapping[str, Any]) -> list[_Answer]:
    """One answer per resource: where there are several, IAM tells them apart below the answer for all of them."""
    action, forbidden = result["EvalActionName"], _forbidden(result)
    each = result.get("ResourceSpecificResults") or [{**result, "EvalResourceDecision": result["EvalDecision"]}]
    return [
        _Answer(
            f"{action} on {one.get('EvalResourceName', '*')}",
            one["EvalResourceDecision"],
            forbidden,
            bool(one.get("MissingContextValues")),
        )
        for one in each
    ]


def _forbidden(result: Mapping[str, Any]) -> str:
    if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return " (the organization forbids it)"
    if result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return " (its permissions boundary forbids it)"
    return " (a policy denies it)" if result["EvalDecision"] == "explicitDeny" else ""


def _context(conditions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What AWS will know when it is asked in earnest: just what the conditions want."""
    wanted = {key: value for tests in conditions.values() for key, value in tests.items()}
    return [
        {
            "ContextKeyName": key,
            "ContextKeyType": "string",
            "ContextKeyValues": [value if isinstance(value, str) else value[0]],
        }
        for key, value in wanted.items()
    ]


def _judged(principal: str, answers: Sequence[_Answer]) -> list[Finding]:
    # A condition on something that the simulator was not told may well hold when `up` asks.
    certain = [each for each in answers if each.decision not in ("allowed", "") and not each.open]
    conditional = [each for each in answers if each.decision not in ("allowed", "") and each.open]
    untold = [each for each in answers if not each.decision]
    found = []
    if certain:
        text = f"{principal} may not do {len(certain)} of the {len(answers)} things that `up` needs: {_listed(certain)}"
        found.append(problem(CHECK, text, "Let it have the policy that `iotpipe policy` prints"))
    if conditional:
        text = f"IAM's simulator cannot tell whether {principal} may do this: {_listed(conditional)}"
        found.append(unknown(CHECK, text, _BY_HAND))
    if untold:
        found.append(unknown(CHECK, f"IAM's simulator does not take these questions: {_listed(untold)}", _BY_HAND))
    return found or [ok(CHECK, f"{principal} may do all that `up` does, as far as IAM's simulator sees")]


def _listed(answers: Sequence[_Answer]) -> str:
    said = [f"{each.what}{each.forbidden}" for each in answers]
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return ", ".join(said[:_SHOWN]) + more
