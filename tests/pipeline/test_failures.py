"""What fails or is stopped in the middle of a command: the rest is done, all of it is told, and the next goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, ResourceError
from tests.support.account_inventory import Things, client, inventory, left_over
from tests.support.engine_world import READS, refusal
from tests.support.pipeline_world import Declared, World

pytestmark = pytest.mark.matrix

Declare = Callable[..., Declared]
SETTINGS = {"alerts": {"emails": ["ops@example.com"]}}
PARALLEL = pytest.mark.parametrize("parallel", [1, 16])


@pytest.fixture
def clean(tmp_path: Path, declared: Declare) -> Things:
    """What a run makes that nothing disturbs."""
    (tmp_path / "clean").mkdir()
    world = World(tmp_path / "clean")
    world.bring_up(declared(SETTINGS))
    made = inventory()
    world.down(delete_data=True)
    client("apigateway").update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])
    return made


def denied(operation: str, **where: Any) -> Callable[[str, dict[str, Any]], ClientError | None]:
    """Refuses one operation as AWS does that has not granted it, where the request says `where`."""

    def before(name: str, request: dict[str, Any]) -> ClientError | None:
        if name != operation or any(str(value) not in str(request) for value in where.values()):
            return None
        return refusal(operation, "AccessDeniedException", f"User is not authorized to perform: {operation}")

    return before


@PARALLEL
def test_a_failure_stops_what_depends_on_it_and_nothing_else(
    world: World, declared: Declare, clean: Things, parallel: int
) -> None:
    world.parallel, everything = parallel, declared(SETTINGS)
    world.before = denied("CreateRole", name="iot-processor-lambda-role-dev")
    with pytest.raises(ApplyFailed) as failure:
        world.bring_up(everything)

    [error] = failure.value.failed
    assert isinstance(error, ResourceError)
    assert (error.address, error.code) == ("role/iot-processor-lambda-role-dev", "AccessDeniedException")
    assert str(error) == (
        "cannot create role/iot-processor-lambda-role-dev: AccessDeniedException: "
        "User is not authorized to perform: CreateRole. The credentials need the permission for CreateRole: "
        "`iotpipe policy --env dev` prints all that are needed"
    )
    left_out = {
        "function/data-processor-dev",
        "permission/iotpipe-process",
        "event-source-mapping/iot-ingestion-queue-dev-to-data-processor-dev",
    }
    assert set(failure.value.skipped) == left_out
    assert {event.address for event in world.events if event.phase == "skipped"} == left_out
    undone = {address for address, row in world.rows().items() if row.status != "ready"}
    assert undone == {"role/iot-processor-lambda-role-dev"}
    assert world.rows().keys() == {each.address for each in everything.resources} - left_out

    world.before = None
    world.bring_up(everything)
    assert inventory() == clean


def test_all_that_failed_is_in_one_report(world: World, declared: Declare, clean: Things) -> None:
    def before(operation: str, request: dict[str, Any]) -> ClientError | None:
        if operation in ("CreateTable", "CreateTopic", "PutDashboard"):
            return refusal(operation, "AccessDeniedException", "not authorized")
        return None

    world.before = before
    with pytest.raises(ApplyFailed) as failure:
        world.bring_up(declared(SETTINGS))
    told = {each.address for each in failure.value.failed if isinstance(each, ResourceError)}
    assert told == {
        *("table/raw-sensor-data-dev", "table/processed-data-dev"),
        *("topic/iot-alerts-dev", "dashboard/iot-pipeline-dev"),
    }
    assert failure.value.skipped == ("subscription/ops@example.com",)
    assert all(address in str(failure.value) for address in (*told, "subscription/ops@example.com"))
    world.before = None
    world.bring_up(declared(SETTINGS))
    assert inventory() == clean


def test_a_down_with_a_failure_takes_down_what_it_can_and_the_next_one_the_rest(
    world: World, declared: Declare
) -> None:
    world.bring_up(declared(SETTINGS))
    world.before = denied("DeleteFunction", name="data-query-dev")
    with pytest.raises(ApplyFailed) as failure:
        world.down(delete_data=True)
    [error] = failure.value.failed
    assert isinstance(error, ResourceError) and error.address == "function/data-query-dev"
    # The function holds on to what it uses, and with its permission to the API.
    assert set(failure.value.skipped) == {
        *("role/iot-query-lambda-role-dev", "log-group//aws/lambda/data-query-dev", "rest-api/iot-api-dev"),
        *("layer/iot-shared-dependencies-dev", "queue/iot-dlq-dev"),
    }
    left = {row.address for row in world.rows().values() if not row.inside and row.kind != "api-gateway-account"}
    assert left == {"function/data-query-dev", *failure.value.skipped}
    world.before = None
    world.down(delete_data=True)
    assert left_over() == []
    assert not world.rows()


def test_what_is_no_longer_declared_stays_when_something_fails_and_is_told_as_left_out(
    world: World, declared: Declare
) -> None:
    world.bring_up(declared(SETTINGS))
    world.before = denied("PutDashboard")
    with pytest.raises(ApplyFailed) as failure:
        world.bring_up(declared(SETTINGS | {"api": {"stage": "v2"}}))
    assert failure.value.skipped == ("stage/dev",)
    assert [stage["stageName"] for stage in inventory()["apis"]["iot-api-dev"]["stages"]] == ["dev", "v2"]


def test_a_down_that_failed_lets_nobody_else_appear_to_have_changed_anything(world: World, declared: Declare) -> None:
    world.bring_up(declared(SETTINGS))
    world.before = denied("DeleteRole", name="iot-query-lambda-role-dev")
    with pytest.raises(ApplyFailed):
        world.down(delete_data=True)
    world.before = None
    # The role has lost its policy already: that was us.
    plan = world.planned(declared(SETTINGS))
    assert plan.of("role/iot-query-lambda-role-dev").action == "update"
    assert not [step.address for step in plan.steps if step.drifted]


def test_credentials_that_expire_in_the_middle_cost_nothing_that_was_done(
    world: World, declared: Declare, clean: Things
) -> None:
    def before(operation: str, request: dict[str, Any]) -> ClientError | None:
        if len(world.writes) <= 20:
            return None
        return refusal(operation, "ExpiredTokenException", "The security token included in the request is expired")

    world.before = before
    with pytest.raises(CredentialsError, match="renew them and run `iotpipe up --env dev` again"):
        world.bring_up(declared(SETTINGS))
    world.before = None
    world.bring_up(declared(SETTINGS))
    assert inventory() == clean


def stopping_at(world: World, number: int) -> Callable[[str, dict[str, Any]], None]:
    """Ctrl-C while the write call of this number is under way."""

    def before(operation: str, request: dict[str, Any]) -> None:
        if len(world.writes) == number and not operation.startswith(READS) and world.current:
            world.current.stop.set()

    return before


@pytest.mark.sampled(2)
@PARALLEL
@pytest.mark.parametrize("number", [1, 15, 40])
def test_a_stopped_up_begins_nothing_more_and_the_next_one_goes_on(
    world: World, declared: Declare, clean: Things, parallel: int, number: int
) -> None:
    world.parallel, everything = parallel, declared(SETTINGS)
    world.before = stopping_at(world, number)
    with pytest.raises(Interrupted) as stop:
        world.bring_up(everything)

    rows = world.rows()
    assert all(row.status == "ready" for row in rows.values())
    left = [each.address for each in everything.resources if each.address not in rows]
    assert {event.address for event in world.events if event.phase == "skipped"} == set(left)
    assert str(stop.value) == (
        f"stopped; {len(left)} resources are left to do. "
        "What is done is recorded: `iotpipe up --env dev` continues from there"
    )
    # What ran may still have had a few calls to make; what did not run has made none.
    assert len(world.writes) <= number + 4 * parallel
    world.before = None
    world.bring_up(everything)
    assert inventory() == clean


@pytest.mark.sampled(2)
@PARALLEL
@pytest.mark.parametrize("number", [1, 15, 25])
def test_a_stopped_down_begins_nothing_more_and_the_next_one_goes_on(
    world: World, declared: Declare, parallel: int, number: int
) -> None:
    world.bring_up(declared(SETTINGS))
    world.parallel = parallel
    world.before = stopping_at(world, number)
    with pytest.raises(Interrupted, match="`iotpipe down --env dev` continues from there"):
        world.down(delete_data=True)
    assert world.rows().keys() - {"api-gateway-account/us-east-1"}
    world.before = None
    world.down(delete_data=True)
    assert left_over() == []
    assert not world.rows()


def test_two_environments_come_up_at_the_same_time(tmp_path: Path, declared: Declare) -> None:
    pairs = [(World(tmp_path, name), declared(SETTINGS, name)) for name in ("dev", "prod")]
    for world, each in pairs:
        world.bring_up(each)
    one_after_the_other = inventory()
    for world, _ in pairs:
        world.down(delete_data=True)
    client("iam").delete_role_policy(RoleName="iotpipe-api-gateway-logging-us-east-1", PolicyName="logging")
    client("iam").delete_role(RoleName="iotpipe-api-gateway-logging-us-east-1")
    client("apigateway").update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda pair: pair[0].bring_up(pair[1]), pairs))
    assert inventory() == one_after_the_other
    for world, each in pairs:
        assert not world.planned(each).pending
