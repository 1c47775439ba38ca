"""What is particular to the API: snapshots, the account's role, and one writer at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import ApplyFailed
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from tests.support.aws_errors import FOREVER, Fault
from tests.support.engine_world import declared, refusal
from tests.support.manual_edits import REGION, account_role, apis, client, paths_of, role_arn
from tests.support.resource_contract import QuickWorld, lose, untouched
from tests.support.samples.api import a_stage
from tests.support.samples.every_kind import SAMPLES
from tests.support.web_acls import WEB_ACL, make_web_acls

HASH_PREFIX = "iotpipe "


def stage(function: str = "sample-function", **changes: Any) -> Stage:
    """The sample's stage; its route calls the function of this name."""
    made = a_stage()
    route = made.routes[0]
    called = replace(route, function=replace(route.function, name=function))
    return replace(made, routes=[called], **changes)


def deployments() -> list[str]:
    (api,) = apis("sample-api")
    found = client("apigateway").get_deployments(restApiId=api["id"])["items"]
    return [each.get("description", "") for each in found]


def add_deployment(description: str) -> str:
    (api,) = apis("sample-api")
    made: str = client("apigateway").create_deployment(restApiId=api["id"], description=description)["id"]
    return made


# The API itself


def test_an_api_that_is_gone_is_no_matter_to_whom_aws_denies_it_for_want_of_tags(world: QuickWorld) -> None:
    world.up([SAMPLES["rest-api"].make()])
    SAMPLES["rest-api"].remove()
    world.before = Fault("DeleteRestApi", "AccessDeniedException", "not authorized to perform: apigateway:DELETE")
    world.down()
    assert not world.path.exists()


def test_an_api_that_is_there_and_may_not_be_deleted_is_told(world: QuickWorld) -> None:
    world.up([SAMPLES["rest-api"].make()])
    world.before = Fault("DeleteRestApi", "AccessDeniedException", "not authorized to perform: apigateway:DELETE")
    with pytest.raises(ApplyFailed, match="AccessDeniedException"):
        world.down()
    assert SAMPLES["rest-api"].count() == 1


# Deployments


def test_an_api_that_did_not_change_is_not_deployed_again(world: QuickWorld) -> None:
    world.up(everything(stage()))
    first = deployments()
    world.up(everything(stage(rate=5, tracing=False)))
    assert world.writes == ["UpdateStage"]
    assert deployments() == first


def test_an_api_that_changed_is_deployed_again_and_the_old_deployment_goes_last(world: QuickWorld) -> None:
    world.up(everything(stage()))
    (old,) = deployments()
    world.parallel = 1
    world.up(everything(stage("another-function")))
    gateway = [call for call in world.writes if call not in ("CreateFunction", "PutFunctionConcurrency")]
    assert gateway == ["PutIntegration", "CreateDeployment", "UpdateStage", "DeleteDeployment", "DeleteFunction"]
    (new,) = deployments()
    assert new != old and new.startswith(HASH_PREFIX)


def test_a_deployment_made_by_hand_is_left_alone(world: QuickWorld) -> None:
    world.up(everything(stage()))
    add_deployment("somebody else's")
    world.up(everything(stage("another-function")))
    assert len(deployments()) == 2 and "somebody else's" in deployments()


def test_a_deployment_that_another_stage_serves_is_left_alone_as_api_gateway_would_refuse(world: QuickWorld) -> None:
    world.up(everything(stage()))
    (api,) = apis("sample-api")
    served = client("apigateway").get_stage(restApiId=api["id"], stageName="prod")["deploymentId"]
    client("apigateway").create_stage(restApiId=api["id"], stageName="byhand", deploymentId=served)
    changed = everything(stage("another-function"))
    world.up(changed)
    assert "DeleteDeployment" not in world.writes
    assert untouched(world.plan(changed))
    client("apigateway").delete_stage(restApiId=api["id"], stageName="byhand")
    world.up(changed)
    assert world.writes == ["DeleteDeployment"]


def test_a_stage_that_is_renamed_serves_the_same_deployment(world: QuickWorld) -> None:
    world.up(everything(stage()))
    renamed = everything(replace(a_stage(), name="live"))
    world.up(renamed)
    assert len(deployments()) == 1
    assert "CreateDeployment" not in world.writes
    (api,) = apis("sample-api")
    assert [each["stageName"] for each in client("apigateway").get_stages(restApiId=api["id"])["item"]] == ["live"]
    assert untouched(world.plan(renamed))


def test_a_deployment_whose_answer_was_lost_is_not_made_twice(world: QuickWorld) -> None:
    lost = [False]

    def once(operation: str, answer: Any) -> None:
        if operation == "CreateDeployment" and not lost[0]:
            lost[0] = True
            lose()

    world.after = once
    world.up(everything(stage()))
    assert lost[0] and len(deployments()) == 1


def test_a_stage_that_was_left_half_made_is_completed_not_made_again(world: QuickWorld) -> None:
    world.before = Fault("UpdateStage", "BadRequestException", "Invalid patch path", FOREVER)
    with pytest.raises(ApplyFailed):
        world.up(everything(stage()))
    world.before = None
    world.up(everything(stage()))
    assert world.writes == ["UpdateStage"]
    assert untouched(world.plan(everything(stage())))


def test_a_stage_that_lost_its_tags_is_known_by_when_it_was_made_in_every_time_zone(world: QuickWorld) -> None:
    zone = UTC

    def answered(operation: str, answer: Any) -> None:
        # Moto does not tell, and botocore tells it in the machine's time zone.
        for each in {"CreateStage": [answer], "GetStages": answer.get("item", [])}.get(operation, []):
            each["createdDate"] = datetime(2027, 1, 15, 8, tzinfo=UTC).astimezone(zone)

    world.after = answered
    wanted = everything(stage())
    world.up(wanted)
    (api,) = apis("sample-api")
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{api['id']}/stages/prod"
    client("apigateway").untag_resource(resourceArn=arn, tagKeys=["iotpipe:environment"])
    zone = timezone(timedelta(hours=9))
    step = world.plan(wanted).of("stage/prod")
    assert (step.action, step.refusal) == ("update", "")


# An API that is being changed


def saying(status: str, times: int = 0) -> Callable[[str, dict[str, Any]], None]:
    """API Gateway says this of an API that was made or changed, and so many times of one that is asked about."""
    left = [0]

    def answered(operation: str, answer: dict[str, Any]) -> None:
        if operation in ("CreateRestApi", "UpdateRestApi"):
            left[0], answer["apiStatus"] = times, status
        elif operation == "GetRestApi":
            answer["apiStatus"] = status if left[0] else "AVAILABLE"
            left[0] -= 1

    return answered


@pytest.mark.parametrize("status", ["UPDATING", "PENDING"])
def test_an_api_that_is_being_made_or_changed_is_waited_for(world: QuickWorld, status: str) -> None:
    sample = SAMPLES["rest-api"]
    wanted = everything(sample.make())
    world.after = saying(status, times=2)
    for operation in ("CreateRestApi", "UpdateRestApi"):
        world.up(wanted)
        assert world.calls[-4:] == [operation, "GetRestApi", "GetRestApi", "GetRestApi"]
        assert any("has applied the change" in event.detail for event in world.events)
        next(each for each in sample.tamperings if each.what == "renamed").act()


def test_an_api_that_is_there_at_once_is_not_asked_about(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["rest-api"].make()))
    assert "GetRestApi" not in world.calls


def test_a_change_of_an_api_that_fails_afterwards_is_told(world: QuickWorld) -> None:
    world.after = saying("FAILED")
    with pytest.raises(ApplyFailed, match="API Gateway reports FAILED"):
        world.up(everything(SAMPLES["rest-api"].make()))


_CONCURRENT = "Unable to complete operation due to concurrent modification. Please try again later."


@pytest.mark.parametrize(("kind", "operation"), [("rest-api", "DeleteRestApi"), ("stage", "DeleteStage")])
def test_what_is_said_to_be_changed_and_is_gone_is_not_waited_for(world: QuickWorld, kind: str, operation: str) -> None:
    """Also of an API that is not there API Gateway says that it is being changed."""
    wanted = everything(SAMPLES[kind].make())
    world.up(wanted)

    def somebody_deletes_it(name: str, parameters: dict[str, Any]) -> ClientError | None:
        if name != operation:
            return None
        for each in apis("sample-api"):
            client("apigateway").delete_rest_api(restApiId=each["id"])
        return refusal(operation, "ConflictException", _CONCURRENT)

    world.before = somebody_deletes_it
    world.clock.slept.clear()
    if kind == "stage":
        world.up([each for each in wanted if each.kind != "stage"])
    else:
        world.down()
    assert world.calls.count(operation) == 1 and not world.clock.slept


# The account's role


def test_an_account_that_has_a_logging_role_keeps_it(world: QuickWorld) -> None:
    theirs = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role_arn("theirs")}
    client("apigateway").update_account(patchOperations=[theirs])
    world.up(everything(stage()))
    assert "UpdateAccount" not in world.writes
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == role_arn("theirs")
    world.down()
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == role_arn("theirs")


def test_an_account_that_never_used_api_gateway_is_one_without_a_logging_role(world: QuickWorld) -> None:
    with pytest.raises(client("apigateway").exceptions.NotFoundException, match="Invalid Customer identifier"):
        client("apigateway").get_account()
    wanted = everything(stage())
    assert {step.action for step in world.plan(wanted, foreign=True).steps} == {"create"}
    world.up(wanted)
    assert account_role() == role_arn(f"iotpipe-api-gateway-logging-{REGION}")
    assert untouched(world.plan(wanted))


def test_the_accounts_role_may_do_what_api_gateway_demands_and_is_left_in_place(world: QuickWorld) -> None:
    world.up([ApiGatewayAccount(REGION)])
    name = f"iotpipe-api-gateway-logging-{REGION}"
    policy = client("iam").get_role_policy(RoleName=name, PolicyName="logging")["PolicyDocument"]["Statement"][0]
    assert policy["Resource"] == "*"
    assert {"logs:CreateLogGroup", "logs:PutLogEvents", "logs:FilterLogEvents"} <= set(policy["Action"])
    trust = client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert world.down(delete_data=True) == [f"api-gateway-account/{REGION}"]
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == role_arn(name)


def test_without_logging_nobody_asks_for_the_accounts_role(world: QuickWorld) -> None:
    quiet = replace(a_stage(), account=None, logging="OFF")
    world.up(everything(quiet))
    assert "UpdateAccount" not in world.writes and "GetAccount" not in world.calls
    assert untouched(world.plan(everything(quiet)))


def test_what_api_gateway_logged_goes_with_the_stage(world: QuickWorld) -> None:
    world.up(everything(stage()))
    (api,) = apis("sample-api")
    mine, other = f"API-Gateway-Execution-Logs_{api['id']}/prod", "API-Gateway-Execution-Logs_other/prod"
    client("logs").create_log_group(logGroupName=other)
    there = [each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]]
    assert {mine, other} <= {*there}
    world.down()
    left = [each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]]
    assert left == [other]


def test_what_an_api_has_logged_that_somebody_deleted_goes_when_another_takes_its_place(world: QuickWorld) -> None:
    world.up(everything(stage()))
    (api,) = apis("sample-api")
    client("apigateway").delete_rest_api(restApiId=api["id"])
    world.up(everything(stage()))
    (another,) = apis("sample-api")
    assert another["id"] != api["id"]
    left = client("logs").describe_log_groups(logGroupNamePrefix="API-Gateway-Execution-Logs_")["logGroups"]
    assert [each["logGroupName"] for each in left] == [f"API-Gateway-Execution-Logs_{another['id']}/prod"]


def test_the_group_that_api_gateway_has_made_gets_the_configured_retention(world: QuickWorld) -> None:
    quiet = replace(a_stage(), account=None, logging="OFF")
    world.up(everything(quiet))
    (api,) = apis("sample-api")
    name = f"API-Gateway-Execution-Logs_{api['id']}/prod"
    assert not client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"], "nothing logs to it"
    client("logs").create_log_group(logGroupName=name)

    world.up(everything(stage()))
    assert "CreateLogGroup" not in world.writes
    (group,) = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert group["retentionInDays"] == 30


def test_a_stage_is_made_when_the_group_that_it_logs_to_is_there_with_its_retention(world: QuickWorld) -> None:
    kept: list[int | None] = []

    def look(operation: str, parameters: Any) -> None:
        if operation == "CreateStage":
            found = client("logs").describe_log_groups(logGroupNamePrefix="API-Gateway-Execution-Logs_")["logGroups"]
            kept.extend(each.get("retentionInDays") for each in found)

    world.before = look
    world.up(everything(stage()))
    assert kept == [30], "what is logged first would make a group that keeps everything"


def test_a_group_that_an_older_version_left_to_api_gateway_is_changed_and_is_no_drift(world: QuickWorld) -> None:
    world.up(everything(stage()))
    state = json.loads(world.path.read_text())
    del state["resources"]["stage/prod"]["properties"]["executionLogGroup"]
    world.path.write_text(json.dumps(state))
    (api,) = apis("sample-api")
    client("logs").delete_retention_policy(logGroupName=f"API-Gateway-Execution-Logs_{api['id']}/prod")
    step = world.plan(everything(stage())).of("stage/prod")
    assert [(each.property, each.before, each.drift) for each in step.changes] == [
        ("executionLogGroup.retentionInDays", "(absent)", False)
    ]


def test_a_web_acl_that_is_not_there_is_told_with_the_setting_and_the_rest_stands(world: QuickWorld) -> None:
    protected = everything(stage(web_acl=WEB_ACL))
    with pytest.raises(ApplyFailed) as failed:
        world.up(protected)
    (told,) = failed.value.failed
    assert "WAFNonexistentItemException" in told.message and "correct api.web_acl" in told.hint
    make_web_acls()
    world.up(protected)
    assert world.writes == ["AssociateWebACL"], "everything else is there already"
    assert untouched(world.plan(protected))


# One writer


def test_writes_to_one_api_come_one_after_another(world: QuickWorld) -> None:
    api = RestApi("sample-api", description="Sample")
    first = SAMPLES["route"].make()
    assert isinstance(first, Route)
    routes = [Route(f"GET /{n}", api, "GET", f"/{n}", first.function) for n in range(8)]
    wanted: list[Resource] = everything(*routes)
    inside: list[str] = []
    most, lock = [0], threading.Lock()
    writes = ("CreateResource", "PutMethod", "PutIntegration")

    def begin(operation: str, parameters: Any) -> None:
        if operation in writes:
            with lock:
                inside.append(operation)
                most[0] = max(most[0], len(inside))

    def end(operation: str, answer: Any) -> None:
        if operation in writes:
            with lock:
                inside.remove(operation)

    world.before, world.after = begin, end
    world.up(wanted)
    assert most == [1]
    assert sorted(paths_of(apis("sample-api")[0]["id"])) == sorted(["/", *(f"/{n}" for n in range(8))])


@pytest.mark.matrix
def test_all_paths_of_an_api_are_read_in_one_call(world: QuickWorld, config_dir: Any) -> None:
    wanted, tags = declared(config_dir)
    world.up(wanted, tags=tags)
    world.plan(wanted, tags=tags)
    assert world.calls.count("GetResources") == 2, "one of API Gateway's, one of the tagging service's"
    assert world.calls.count("GetRestApis") == 1


def test_a_route_is_signed_and_passed_on_whole(world: QuickWorld) -> None:
    world.up(everything(SAMPLES["route"].make()))
    (api,) = apis("sample-api")
    found = client("apigateway").get_resources(restApiId=api["id"], embed=["methods"])["items"]
    (method,) = [each["resourceMethods"]["POST"] for each in found if each["path"] == "/ingest"]
    assert method["authorizationType"] == "AWS_IAM"
    integration = method["methodIntegration"]
    assert (integration["type"], integration["httpMethod"]) == ("AWS_PROXY", "POST")
    assert integration["uri"].endswith(":function:sample-function/invocations")
    assert json.dumps(api["endpointConfiguration"]["types"]) == '["REGIONAL"]'


# Paths of several parts, and several routes of one path


def routes_of(*signatures: str) -> list[Resource]:
    """Everything that is needed for routes of one API, such as "GET /devices/latest"."""
    first = SAMPLES["route"].make()
    assert isinstance(first, Route)
    return everything(first.api, *(replace(first, name=each, method=m, path=p) for each, m, p in _parts(signatures)))


def _parts(signatures: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [(each, *each.split(" ", 1)) for each in signatures]  # type: ignore[misc] # two parts each


def served() -> list[str]:
    """Every path of the API, with its methods before it."""
    (api,) = apis("sample-api")
    found = client("apigateway").get_resources(restApiId=api["id"], embed=["methods"])["items"]
    return sorted(" ".join([*sorted(each.get("resourceMethods", {})), each["path"]]) for each in found)


def test_a_path_of_several_parts_is_made_with_those_above_it(world: QuickWorld) -> None:
    wanted = routes_of("GET /devices/latest", "GET /devices/{id}/rows", "GET /devices/{id}")
    world.up(wanted)
    assert served() == ["/", "/devices", "GET /devices/latest", "GET /devices/{id}", "GET /devices/{id}/rows"]
    assert untouched(world.plan(wanted))


def test_a_path_that_has_routes_below_it_may_get_its_own_later(world: QuickWorld) -> None:
    world.up(routes_of("GET /devices/latest"))
    wanted = routes_of("GET /devices/latest", "GET /devices", "POST /devices")
    world.up(wanted)
    assert served() == ["/", "GET /devices/latest", "GET POST /devices"]
    assert untouched(world.plan(wanted))


def test_a_route_takes_only_what_is_empty_without_it(world: QuickWorld) -> None:
    every = ("GET /devices/latest", "GET /devices/all", "GET /devices", "POST /devices")
    world.up(routes_of(*every))
    world.up(routes_of(*every[:2]))
    assert served() == ["/", "/devices", "GET /devices/all", "GET /devices/latest"]
    world.up(routes_of())
    assert served() == ["/"]


def test_the_path_above_goes_also_where_the_route_itself_was_never_made(world: QuickWorld) -> None:
    world.up(routes_of())
    world.before = lambda operation, sent: (
        refusal(operation, "BadRequestException", "no")
        if operation == "CreateResource" and b"latest" in sent["body"]
        else None
    )
    with pytest.raises(ApplyFailed):
        world.up(routes_of("GET /devices/latest"))
    assert served() == ["/", "/devices"]
    world.before = None
    world.up(routes_of())
    assert served() == ["/"]
