"""Whether the caller may do what `up` does, as IAM's own simulator sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from iotpipe.doctor.findings import Finding, ok, problem, unknown
from iotpipe.policy import Environment, document
from iotpipe.policy.rights import DOCTOR
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
    answers = _simulated(run, principal, statements[0])
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="iotpipe-doctor") as pool:
        answers += [each for found in pool.map(partial(_simulated, run, principal), statements[1:]) for each in found]
    return _judged(principal, answers)


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
    found = run.trying("read", f"role/{name}", lambda attempt: iam.get_role(RoleName=name)["Role"]["Arn"])
    return str(found)


def _simulated(run: Run, principal: str, statement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The simulator's answers for every action of a statement on each of its resources."""
    asking = run.client("iam").get_paginator("simulate_principal_policy")

    def ask(attempt: int) -> list[Mapping[str, Any]]:
        pages = asking.paginate(
            PolicySourceArn=principal,
            ActionNames=statement["Action"],
            ResourceArns=statement["Resource"],
            ContextEntries=_context(statement.get("Condition", {})),
        )
        return [each for page in pages for each in page["EvaluationResults"]]

    return run.trying("simulate", f"the policies of {principal}", ask)


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


def _judged(principal: str, answers: Sequence[Mapping[str, Any]]) -> list[Finding]:
    denied = [each for each in answers if each["EvalDecision"] != "allowed"]
    # A condition on something that the simulator was not told may well hold when `up` asks.
    open_ = [each for each in denied if each.get("MissingContextValues")]
    certain = [each for each in denied if each not in open_]
    found = []
    if certain:
        text = f"{principal} may not do {len(certain)} of the {len(answers)} things that `up` needs: {_listed(certain)}"
        found.append(problem(CHECK, text, "Let it have the policy that `iotpipe policy` prints"))
    if open_:
        text = f"whether {principal} may do this depends on conditions: {_listed(open_)}"
        found.append(unknown(CHECK, text, _BY_HAND))
    return found or [ok(CHECK, f"{principal} may do all that `up` does, as far as IAM's simulator sees")]


def _listed(answers: Sequence[Mapping[str, Any]]) -> str:
    said = [f"{each['EvalActionName']} on {each.get('EvalResourceName', '*')}{_reason(each)}" for each in answers]
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return ", ".join(said[:_SHOWN]) + more


def _reason(answer: Mapping[str, Any]) -> str:
    if answer.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        return " (the organization forbids it)"
    if answer.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        return " (its permissions boundary forbids it)"
    return " (a policy denies it)" if answer["EvalDecision"] == "explicitDeny" else ""
