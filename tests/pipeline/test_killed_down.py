"""`down --delete-data` is killed right before and right after each of its write calls; then it, or `up`, goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from moto.core.base_backend import BackendDict
from pipeline_inventory import client, inventory, left_over
from pipeline_world import Declared, World, declare, each_moment, killed

SETTINGS = {"alerts": {"emails": ["ops@example.com"]}}
SHARES = 4


@pytest.fixture
def declared(tmp_path: Path) -> Declared:
    return declare(tmp_path, SETTINGS)


@pytest.fixture
def writes(world: World, declared: Declared) -> list[str]:
    """The write calls of a `down` that nobody disturbs, in order."""
    world.parallel = 1
    world.bring_up(declared)
    world.down(delete_data=True)
    return world.writes


def bring_up(world: World, declared: Declared) -> None:
    """In an empty account, and API Gateway has logged already."""
    BackendDict.reset()
    world.bring_up(declared)
    api = world.rows()["rest-api/iot-api-dev"].properties["RestApiId"]
    client("logs").create_log_group(logGroupName=f"API-Gateway-Execution-Logs_{api}/dev")


@pytest.mark.parametrize("share", range(SHARES))
def test_a_killed_down_is_completed_by_the_next_one(
    world: World, declared: Declared, writes: list[str], share: int
) -> None:
    for at, moment in each_moment(writes, share, SHARES):
        bring_up(world, declared)
        with killed(world, at, moment) as death:
            world.down(delete_data=True)
        world.down(delete_data=True)
        how = f"killed {moment} {at}: {death.victim}"
        assert left_over() == [], how
        assert not world.rows(), how


@pytest.mark.parametrize("share", range(SHARES))
def test_after_a_killed_down_the_next_up_makes_everything_again(
    world: World, declared: Declared, writes: list[str], share: int
) -> None:
    world.bring_up(declared)
    made = inventory()
    for at, moment in each_moment(writes, share, SHARES):
        with killed(world, at, moment) as death:
            world.down(delete_data=True)
        world.bring_up(declared)
        how = f"killed {moment} {at}: {death.victim}"
        assert inventory() == made, how
        assert not world.planned(declared).pending, how
