"""What follows from new code and from a new API definition, and what becomes of changes that somebody else made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iotpipe.packaging.archive import archive
from iotpipe.provision.plan import Plan
from tests.support.account_inventory import Things, client, inventory, pages
from tests.support.pipeline_world import Declared, World, declare, with_a_changed_route, without_a_route

Declare = Callable[..., Declared]


def named(plan: Plan) -> dict[str, list[str]]:
    return {step.address: [change.property for change in step.changes] for step in plan.pending}


@pytest.mark.matrix
@pytest.mark.parametrize("handler", ["ingestion", "processor", "query"])
def test_a_handlers_new_code_goes_to_that_function_alone(world: World, tmp_path: Path, handler: str) -> None:
    code = archive({f"iotpipe/handlers/{handler}.py": b"def lambda_handler(event, context): ..."})
    world.bring_up(declare(tmp_path, {}))
    changed = declare(tmp_path, {}, **{handler: code})
    assert named(world.planned(changed)) == {f"function/data-{handler}-dev": ["CodeSha256"]}
    world.bring_up(changed)
    assert world.writes == ["UpdateFunctionCode"]
    function = client("lambda").get_function(FunctionName=f"data-{handler}-dev")
    assert function["Configuration"]["CodeSha256"] == code.sha256


def api_id() -> str:
    return str(client("apigateway").get_rest_apis()["items"][0]["id"])


def deployments() -> list[str]:
    return [each["id"] for each in pages("apigateway", "get_deployments", "items", restApiId=api_id())]


def served() -> str:
    return str(client("apigateway").get_stage(restApiId=api_id(), stageName="dev")["deploymentId"])


@pytest.mark.matrix
def test_a_changed_api_is_deployed_anew_and_the_old_deployment_goes(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    before = deployments()
    changed = with_a_changed_route(declared())
    assert named(world.planned(changed)) == {
        "route/GET /query": ["integration.uri"],
        "stage/dev": ["Deployment"],
    }
    world.bring_up(changed)
    assert world.writes == ["PutIntegration", "CreateDeployment", "UpdateStage", "DeleteDeployment"]
    assert deployments() == [served()]
    assert served() not in before


def test_an_unchanged_api_is_not_deployed_again(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    before = deployments()
    world.bring_up(declared({"functions": {"query": {"memory": 512}}, "api": {"throttle": {"rate": 5}}}))
    assert Counter(world.writes) == {"UpdateFunctionConfiguration": 1, "UpdateStage": 1}
    assert deployments() == before == [served()]


@pytest.mark.matrix
def test_a_route_that_is_given_up_is_not_served_any_longer(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    world.bring_up(without_a_route(declared(), "GET /query"))
    at = {call: number for number, call in enumerate(world.writes)}
    assert at["DeleteResource"] < at["CreateDeployment"] < at["UpdateStage"]
    assert not world.planned(without_a_route(declared(), "GET /query")).pending


@pytest.fixture
def live(world: World, declared: Declare) -> Things:
    world.bring_up(declared())
    return inventory()


def paths() -> dict[str, dict[str, Any]]:
    found = pages("apigateway", "get_resources", "items", restApiId=api_id(), embed=["methods"])
    return {each["path"]: {"restApiId": api_id(), "resourceId": each["id"]} for each in found}


def open_to_everybody() -> None:
    where = {**paths()["/ingest"], "httpMethod": "POST"}
    client("apigateway").delete_method(**where)
    client("apigateway").put_method(**where, authorizationType="NONE")


def without_integration() -> None:
    client("apigateway").delete_integration(**paths()["/query"], httpMethod="GET")


def without_path() -> None:
    client("apigateway").delete_resource(**paths()["/process"])


def elsewhere() -> None:
    where = {**paths()["/query"], "httpMethod": "GET"}
    function = "arn:aws:lambda:us-east-1:210987654321:function:theirs"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    client("apigateway").put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)


def without_permission() -> None:
    client("lambda").remove_permission(FunctionName="data-query-dev", StatementId="iotpipe-query")


OUTSIDE: dict[Callable[[], None], str] = {
    open_to_everybody: "route/POST /ingest",
    without_integration: "route/GET /query",
    without_path: "route/POST /process",
    elsewhere: "route/GET /query",
    without_permission: "permission/iotpipe-query",
}


@pytest.mark.matrix
@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", OUTSIDE)
def test_a_route_that_somebody_else_changed_is_put_back(
    world: World, declared: Declare, live: Things, change: Callable[[], None]
) -> None:
    change()
    plan = world.planned(declared())
    assert [step.address for step in plan.pending] == [OUTSIDE[change]]
    assert plan.of(OUTSIDE[change]).drifted
    world.bring_up(declared())
    assert inventory() == live
    assert not world.planned(declared()).pending


@pytest.mark.matrix
def test_what_somebody_else_deployed_is_not_served_any_longer(world: World, declared: Declare, live: Things) -> None:
    ours = served()
    open_to_everybody()
    theirs = client("apigateway").create_deployment(restApiId=api_id())["id"]
    change = {"op": "replace", "path": "/deploymentId", "value": theirs}
    client("apigateway").update_stage(restApiId=api_id(), stageName="dev", patchOperations=[change])
    world.bring_up(declared())
    assert served() == ours
    assert not world.planned(declared()).pending
