"""`down` leaves the tables with their data, `down --delete-data` leaves nothing, and both can be said twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iotpipe.errors import RefusedError
from tests.support.account_inventory import client, inventory, left_over
from tests.support.pipeline_world import Declared, World

Declare = Callable[..., Declared]
TABLES = ["table/processed-data-dev", "table/raw-sensor-data-dev"]
ACCOUNT_ROLE = "api-gateway-account/us-east-1"
READING = {"device_id": {"S": "sensor-1"}, "timestamp": {"N": "1700000000000"}}


def kept(world: World) -> list[str]:
    return sorted(event.address for event in world.events if event.phase == "kept")


@pytest.mark.matrix
def test_down_keeps_the_tables_with_their_data_and_says_so(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    made = inventory()
    client("dynamodb").put_item(TableName="raw-sensor-data-dev", Item=READING)

    assert world.down() == [ACCOUNT_ROLE, *TABLES]
    assert kept(world) == [ACCOUNT_ROLE, *TABLES]
    assert sorted(left_over()) == ["tables: processed-data-dev", "tables: raw-sensor-data-dev"]

    world.bring_up(declared())
    assert "CreateTable" not in world.writes
    assert client("dynamodb").scan(TableName="raw-sensor-data-dev")["Items"] == [READING]
    client("dynamodb").delete_item(TableName="raw-sensor-data-dev", Key=READING)
    assert inventory() == made


@pytest.mark.matrix
def test_down_with_the_data_leaves_nothing_but_the_accounts_role(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    role = client("apigateway").get_account()["cloudwatchRoleArn"]
    assert world.down(delete_data=True) == [ACCOUNT_ROLE]
    assert kept(world) == [ACCOUNT_ROLE]
    assert left_over() == []
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == role
    assert client("iam").get_role(RoleName=role.rsplit("/", 1)[1])
    assert not world.rows()


@pytest.mark.matrix
@pytest.mark.parametrize("parallel", [1, 16])
def test_what_may_come_back_is_looked_at_again_when_nothing_is_left_that_could_bring_it(
    world: World, declared: Declare, parallel: int
) -> None:
    world.bring_up(declared())
    sent: list[tuple[str, str]] = []
    world.parallel, world.before = parallel, lambda operation, request: sent.append((operation, str(request)))
    world.down(delete_data=True)
    writers = max(n for n, (operation, _) in enumerate(sent) if operation in ("DeleteFunction", "DeleteRestApi"))
    for handler in ("ingestion", "processor", "query"):
        swept = [
            n
            for n, (operation, text) in enumerate(sent)
            if operation == "DeleteLogGroup" and f"data-{handler}-" in text
        ]
        assert len(swept) == 2
        assert swept[1] > writers


@pytest.mark.matrix
@pytest.mark.parametrize("delete_data", [False, True])
def test_down_again_has_nothing_to_do(world: World, declared: Declare, delete_data: bool) -> None:
    world.bring_up(declared())
    world.down(delete_data=delete_data)
    world.down(delete_data=delete_data)
    assert world.writes == []


@pytest.mark.matrix
def test_the_data_can_go_later(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    world.down()
    world.down(delete_data=True)
    assert left_over() == []
    assert not world.rows()


@pytest.mark.matrix
def test_what_somebody_else_deleted_is_no_obstacle(world: World, declared: Declare) -> None:
    world.bring_up(declared({"alerts": {"emails": ["ops@example.com"]}}))
    [api] = client("apigateway").get_rest_apis()["items"]
    client("apigateway").delete_rest_api(restApiId=api["id"])
    client("lambda").delete_function(FunctionName="data-query-dev")
    client("sns").delete_topic(TopicArn="arn:aws:sns:us-east-1:123456789012:iot-alerts-dev")
    client("dynamodb").delete_table(TableName="raw-sensor-data-dev")
    world.down(delete_data=True)
    assert left_over() == []


@pytest.mark.matrix
def test_protected_tables_are_found_before_anything_is_deleted(world: World, declared: Declare) -> None:
    world.bring_up(declared({"tables": {"deletion_protection": True}}))
    for each in ("raw-sensor-data-dev", "processed-data-dev"):
        with pytest.raises(RefusedError, match=f"table/{each} has deletion protection on"):
            world.down(delete_data=True)
    assert world.writes == []
    world.bring_up(declared())
    world.down(delete_data=True)
    assert left_over() == []


@pytest.mark.matrix
def test_one_environments_role_of_the_account_serves_the_next(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    world.down(delete_data=True)
    world.bring_up(declared())
    assert "UpdateAccount" not in world.writes
    assert not [address for address, row in world.rows().items() if row.status != "ready"]


@pytest.mark.matrix
def test_an_accounts_role_that_a_killed_command_left_unset_is_set_by_the_next(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    made = inventory()
    world.down(delete_data=True)
    unset = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    client("apigateway").update_account(patchOperations=[unset])
    client("iam").delete_role_policy(RoleName="iotpipe-api-gateway-logging-us-east-1", PolicyName="logging")
    world.bring_up(declared())
    assert inventory() == made


def test_without_logging_the_account_gets_no_role(world: World, declared: Declare) -> None:
    world.bring_up(declared({"api": {"logging": "OFF"}}))
    assert not client("apigateway").get_account().get("cloudwatchRoleArn")
    assert ACCOUNT_ROLE not in world.rows()
    assert not [each for each in client("iam").list_roles()["Roles"] if "gateway" in each["RoleName"]]


@pytest.mark.matrix
def test_where_only_tags_tell_what_there_is_what_uses_something_goes_before_it(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    world.path.unlink()
    world.parallel = 1
    world.down(delete_data=True)
    order = {call: number for number, call in enumerate(world.writes)}
    first = {call: world.writes.index(call) for call in order}
    assert order["DeleteAlarms"] < first["DeleteTopic"]
    assert order["DeleteEventSourceMapping"] < first["DeleteFunction"]
    for used in ("DeleteQueue", "DeleteRole", "DeleteLayerVersion", "DeleteLogGroup"):
        assert order["DeleteFunction"] < first[used], used
