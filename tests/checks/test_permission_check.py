"""What the caller may not do is found by IAM's simulator, and what that cannot know is not made up."""

from __future__ import annotations

import itertools
from typing import Any

import boto3
import pytest

from iotpipe.checks import permissions
from iotpipe.checks.finding import OK, PROBLEM, UNKNOWN, Finding
from iotpipe.errors import ResourceError
from iotpipe.policy import Environment, document
from iotpipe.policy.rights import DOCTOR
from tests.support.checks_world import ACCOUNT, Answer, Clinic, declare, settings
from tests.support.engine_world import refusal

ASKS = "SimulatePrincipalPolicy"
ANN = f"arn:aws:iam::{ACCOUNT}:user/team/ann"


def environment(clinic: Clinic) -> Environment:
    return Environment("dev", ACCOUNT, "us-east-1", declare(settings("", clinic.directory)))


def listed(body: dict[str, Any], key: str) -> list[str]:
    """A list as the query protocol sends it."""
    return [
        value for name, value in body.items() if name.startswith(f"{key}.member.") and "." not in name[len(key) + 8 :]
    ]


class Simulator:
    """Answers as IAM does: allowed, but for what `verdicts` says of an action."""

    def __init__(self, **verdicts: dict[str, Any]) -> None:
        self.verdicts = {name.replace("_", ":", 1): verdict for name, verdict in verdicts.items()}
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.once_per_action = False

    def __call__(self, params: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(params["body"])
        pairs = list(itertools.product(listed(params["body"], "ActionNames"), listed(params["body"], "ResourceArns")))
        self.asked += pairs
        if self.once_per_action:
            pairs = [(action, "*") for action in listed(params["body"], "ActionNames")]
        return {"EvaluationResults": [self._judged(*pair) for pair in pairs], "IsTruncated": False}

    def _judged(self, action: str, resource: str) -> dict[str, Any]:
        answer = {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
        return answer | {"MissingContextValues": []} | self.verdicts.get(action, {})


def checked(clinic: Clinic, answer: Answer, caller: str = ANN) -> list[Finding]:
    clinic.answers[ASKS], clinic.caller = answer, caller
    return permissions.check(clinic.run("doctor"), environment(clinic))


def test_everything_that_the_policy_of_up_allows_is_asked_once_with_what_its_conditions_want(clinic: Clinic) -> None:
    simulator = Simulator()
    assert [each.result for each in checked(clinic, simulator)] == [OK]
    own = {right.sid for right in DOCTOR}
    wanted = [
        pair
        for statement in document(environment(clinic), ["up"])["Statement"]
        if statement["Sid"] not in own
        for pair in itertools.product(statement["Action"], statement["Resource"])
    ]
    assert set(simulator.asked) >= set(wanted)
    assert {on for _, on in set(simulator.asked) - set(wanted)} == {"*"}
    assert {body["PolicySourceArn"] for body in simulator.bodies} == {ANN}
    (passing,) = [body for body in simulator.bodies if "iam:PassRole" in body.values() and "lambda" in str(body)]
    assert passing["ContextEntries.member.1.ContextKeyName"] == "iam:PassedToService"
    assert passing["ContextEntries.member.1.ContextKeyValues.member.1"] == "lambda.amazonaws.com"


def test_what_is_denied_is_named_with_its_resource_and_who_denies_it(clinic: Clinic) -> None:
    by_organization = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}
    by_boundary = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
    simulator = Simulator(
        sns_CreateTopic={"EvalDecision": "implicitDeny"},
        dynamodb_CreateTable={"EvalDecision": "explicitDeny"},
        lambda_CreateFunction={"EvalDecision": "implicitDeny"} | by_organization,
        sqs_CreateQueue={"EvalDecision": "implicitDeny"} | by_boundary,
    )
    (found,) = checked(clinic, simulator)
    assert found.result == PROBLEM
    assert f"{ANN} may not do 8 of the" in found.found
    for said in (
        f"sns:CreateTopic on arn:aws:sns:us-east-1:{ACCOUNT}:iot-alerts-dev,",
        "table/raw-sensor-data-dev (a policy denies it)",
        "function:data-query-dev (the organization forbids it)",
        "iot-dlq-dev (its permissions boundary forbids it)",
    ):
        assert said in f"{found.found},"
    assert "`iotpipe policy`" in found.remedy


NAMELESS = ("sns:Unsubscribe", "lambda:ListLayerVersions", "ssm:DescribeParameters", "logs:DescribeLogGroups")


@pytest.mark.parametrize("action", NAMELESS)
@pytest.mark.parametrize("everywhere", [True, False])
def test_what_the_simulator_only_knows_of_everything_is_no_problem(
    clinic: Clinic, action: str, everywhere: bool
) -> None:
    """Who may do it on everything may do it; of who may do it on what is named, the simulator cannot tell."""

    class AsIam(Simulator):
        def _judged(self, asked: str, resource: str) -> dict[str, Any]:
            denied = asked == action and not (everywhere and resource == "*")
            return super()._judged(asked, resource) | ({"EvalDecision": "implicitDeny"} if denied else {})

    (found,) = checked(clinic, AsIam())
    assert found.result == (OK if everywhere else UNKNOWN)
    assert everywhere or f"IAM's simulator cannot tell whether {ANN} may do this: {action} on " in found.found


@pytest.mark.parametrize("there", [True, False])
def test_the_right_to_make_the_tracing_role_is_needed_where_there_is_none(clinic: Clinic, there: bool) -> None:
    role = {"RoleName": "AWSServiceRoleForAPIGateway", "Path": "/", "RoleId": "AROA", "Arn": "arn", "CreateDate": "x"}
    gone = refusal("GetRole", "NoSuchEntity", "The role with name AWSServiceRoleForAPIGateway cannot be found.")
    clinic.answers["GetRole"] = lambda params: {"Role": role} if there else gone
    simulator = Simulator(iam_CreateServiceLinkedRole={"EvalDecision": "implicitDeny"})
    (found,) = checked(clinic, simulator)
    assert found.result == (OK if there else PROBLEM)
    assert there or "AWSServiceRoleForAPIGateway" in found.found


def test_of_many_denials_the_first_are_named_and_the_others_counted(clinic: Clinic) -> None:
    denied = {"EvalDecision": "implicitDeny"}
    (found,) = checked(clinic, Simulator(lambda_CreateFunction=denied, iam_CreateRole=denied, sqs_CreateQueue=denied,
                                         dynamodb_CreateTable=denied))  # fmt: skip
    assert found.found.count(" on arn:") == 8
    assert found.found.endswith(" and 3 more")


def test_of_several_resources_each_is_judged_by_itself(clinic: Clinic) -> None:
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table"
    verdict = {
        "EvalDecision": "implicitDeny",
        "ResourceSpecificResults": [
            {"EvalResourceName": f"{table}/raw-sensor-data-dev", "EvalResourceDecision": "allowed"},
            {"EvalResourceName": f"{table}/processed-data-dev", "EvalResourceDecision": "implicitDeny"},
        ],
    }
    simulator = Simulator(dynamodb_CreateTable=verdict)
    simulator.once_per_action = True
    (found,) = checked(clinic, simulator)
    assert f"dynamodb:CreateTable on {table}/processed-data-dev" in found.found
    assert "raw-sensor-data" not in found.found


def test_actions_that_cannot_be_asked_about_together_are_asked_about_one_by_one(clinic: Clinic) -> None:
    """And what the simulator takes in no form is said to be open, without taking the rest away."""
    simulator = Simulator(sns_CreateTopic={"EvalDecision": "implicitDeny"})

    def refuse(params: dict[str, Any]) -> Any:
        actions = listed(params["body"], "ActionNames")
        if "iam:PassRole" in actions or ("sns:CreateTopic" in actions and len(actions) > 1):
            said = f"Invalid Input Actions: [{actions[0]}] and [{actions[-1]}] require different authorization"
            return refusal(ASKS, "InvalidInput", f"{said} information.")
        return simulator(params)

    denied, untold = checked(clinic, refuse)
    assert denied.result == PROBLEM
    assert "may not do 1 of the" in denied.found
    assert untold.result == UNKNOWN
    assert "cannot simulate these: iam:PassRole on arn:aws:iam::" in untold.found
    assert ("sns:TagResource", f"arn:aws:sns:us-east-1:{ACCOUNT}:iot-alerts-dev") in simulator.asked


def test_what_depends_on_a_condition_that_nobody_told_the_simulator_cannot_be_told(clinic: Clinic) -> None:
    verdict = {"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:SourceIp"]}
    (found,) = checked(clinic, Simulator(sqs_CreateQueue=verdict))
    assert found.result == UNKNOWN
    assert "sqs:CreateQueue on" in found.found


def test_of_an_assumed_role_the_role_is_simulated_wherever_its_path_leads(clinic: Clinic) -> None:
    made = boto3.client("iam").create_role(
        RoleName="AWSReservedSSO_Admin_1", Path="/aws-reserved/sso.amazonaws.com/", AssumeRolePolicyDocument="{}"
    )["Role"]["Arn"]
    simulator = Simulator()
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_1/ann@example.org"
    assert [each.result for each in checked(clinic, simulator, caller)] == [OK]
    assert {body["PolicySourceArn"] for body in simulator.bodies} == {made}


@pytest.mark.parametrize(
    ("caller", "result"),
    [(f"arn:aws:iam::{ACCOUNT}:root", OK), (f"arn:aws:sts::{ACCOUNT}:federated-user/ann", UNKNOWN)],
)
def test_nobody_is_simulated_who_cannot_be(clinic: Clinic, caller: str, result: str) -> None:
    simulator = Simulator()
    assert [each.result for each in checked(clinic, simulator, caller)] == [result]
    assert simulator.asked == []


def test_who_may_not_ask_the_simulator_is_told_so_after_one_question(clinic: Clinic) -> None:
    denied = refusal(ASKS, "AccessDenied", "User: ann is not authorized to perform: iam:SimulatePrincipalPolicy")
    with pytest.raises(ResourceError, match="not authorized to perform: iam:SimulatePrincipalPolicy") as refused:
        checked(clinic, lambda params: denied)
    assert "permission for SimulatePrincipalPolicy" in refused.value.hint
    assert clinic.calls == [ASKS]
