"""What the ledger holds and the declaration does not name any more: it goes, and tables stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.account_inventory import client, inventory, left_over, pages
from tests.support.pipeline_world import Declared, World, with_a_changed_route

Declare = Callable[..., Declared]


def addresses_of(declared: Declared) -> set[str]:
    return {each.address for each in declared.resources}


def test_who_is_taken_off_the_list_gets_no_more_alerts(world: World, declared: Declare) -> None:
    world.bring_up(declared({"alerts": {"emails": ["ops@example.com", "gone@example.com"]}}))
    plan = world.bring_up(declared({"alerts": {"emails": ["ops@example.com"]}}))
    assert [(step.address, step.action) for step in plan.pending] == [("subscription/gone@example.com", "delete")]
    assert world.writes == ["Unsubscribe"]
    found = pages("sns", "list_subscriptions", "Subscriptions")
    assert [each["Endpoint"] for each in found] == ["ops@example.com"]
    assert "subscription/gone@example.com" not in world.rows()


@pytest.mark.matrix
def test_a_renamed_stage_takes_the_place_of_the_old_one_and_of_its_logs(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    api = str(client("apigateway").get_rest_apis()["items"][0]["id"])
    renamed = declared({"api": {"stage": "v2"}})
    plan = world.bring_up(renamed)
    assert [step.address for step in plan.deletions] == ["stage/dev"]
    stages = client("apigateway").get_stages(restApiId=api)["item"]
    assert [each["stageName"] for each in stages] == ["v2"]
    groups = pages("logs", "describe_log_groups", "logGroups")
    found = [each["logGroupName"] for each in groups if each["logGroupName"].startswith("API-Gateway")]
    assert found == [f"API-Gateway-Execution-Logs_{api}/v2"]
    assert not world.planned(renamed).pending


@pytest.mark.matrix
def test_a_renamed_stage_of_a_changed_api_leaves_no_deployment_that_nobody_serves(
    world: World, declared: Declare
) -> None:
    world.bring_up(declared())
    world.bring_up(with_a_changed_route(declared({"api": {"stage": "v2"}})))
    api = client("apigateway").get_rest_apis()["items"][0]["id"]
    [stage] = client("apigateway").get_stages(restApiId=api)["item"]
    assert [each["id"] for each in pages("apigateway", "get_deployments", "items", restApiId=api)] == [
        stage["deploymentId"]
    ]
    assert not world.planned(with_a_changed_route(declared({"api": {"stage": "v2"}}))).pending


def test_what_a_newer_version_does_not_declare_any_more_goes(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    gone = ("alarm/iot-queue-age-dev", "dashboard/iot-pipeline-dev")
    newer = declared().without(*gone)
    plan = world.bring_up(newer)
    assert {step.address for step in plan.deletions} == set(gone)
    assert sorted(world.writes) == ["DeleteAlarms", "DeleteDashboards"]
    assert set(world.rows()) == addresses_of(newer)


@pytest.mark.matrix
def test_another_suffix_makes_everything_anew_and_takes_the_old_away_but_for_the_tables(
    world: World, declared: Declare
) -> None:
    settings = {"alerts": {"emails": ["ops@example.com"]}}
    world.bring_up(declared(settings | {"suffix": "new"}))
    clean = inventory()
    world.down(delete_data=True)

    world.bring_up(declared(settings))
    moved = declared(settings | {"suffix": "new"})
    plan = world.bring_up(moved)

    kept = ["table/processed-data-dev", "table/raw-sensor-data-dev"]
    assert sorted(step.address for step in plan.steps if step.action == "keep") == kept
    assert not [step.address for step in plan.pending if step.drifted]
    found = inventory()
    old_tables = {name: found["tables"].pop(name) for name in ("raw-sensor-data-dev", "processed-data-dev")}
    assert len(old_tables) == 2
    assert found == clean
    assert not world.planned(moved).pending

    assert world.down(delete_data=True) == ["api-gateway-account/us-east-1"]
    assert left_over() == []


@pytest.mark.matrix
def test_tables_that_stay_are_kept_in_the_ledger_and_named_until_their_data_may_go(
    world: World, declared: Declare
) -> None:
    world.bring_up(declared())
    moved = declared({"suffix": "new"})
    world.bring_up(moved)
    plan = world.planned(moved)
    assert [step.action for step in plan.steps if step.address == "table/raw-sensor-data-dev"] == ["keep"]
    world.down()
    tables = {f"table/{name}-{suffix}" for name in ("raw-sensor-data", "processed-data") for suffix in ("dev", "new")}
    assert {event.address for event in world.events if event.phase == "kept"} == {
        *tables,
        "api-gateway-account/us-east-1",
    }


@pytest.mark.matrix
def test_logging_that_is_switched_off_leaves_the_accounts_role_alone(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    role = client("apigateway").get_account()["cloudwatchRoleArn"]
    plan = world.bring_up(declared({"api": {"logging": "OFF"}}))
    assert [(step.address, step.action) for step in plan.steps if step.action != "none"] == [
        ("stage/dev", "update"),
        ("api-gateway-account/us-east-1", "keep"),
    ]
    assert world.writes == ["UpdateStage"]
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == role
    world.bring_up(declared())
    assert world.writes == ["UpdateStage"]
