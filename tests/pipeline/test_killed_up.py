"""`up` is killed right before and right after each of its write calls: the next one ends where a whole one does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.core.base_backend import BackendDict
from pipeline_inventory import Things, inventory, left_over
from pipeline_world import MOMENTS, Declared, World, declare, each_moment, killed

SETTINGS = {
    "tags": {"team": "sensors"},
    "alerts": {"emails": ["ops@example.com", "night@example.com"]},
}
SHARES = 6


@dataclass(frozen=True)
class Clean:
    """A run that nobody disturbed: its write calls in order, and what it made."""

    declared: Declared
    writes: list[str]
    made: Things


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    declared = declare(tmp_path, SETTINGS)
    (tmp_path / "clean").mkdir()
    world = World(tmp_path / "clean", parallel=1)
    world.bring_up(declared)
    return Clean(declared, world.writes, inventory())


def new_world(directory: Path, parallel: int) -> World:
    """An environment that was never brought up, in an empty account."""
    BackendDict.reset()
    world = World(directory, parallel=parallel)
    world.path.unlink(missing_ok=True)
    return world


@pytest.mark.parametrize("share", range(SHARES))
def test_an_up_killed_at_any_write_call_is_completed_by_the_next_one(clean: Clean, tmp_path: Path, share: int) -> None:
    for at, moment in each_moment(clean.writes, share, SHARES):
        world = new_world(tmp_path, parallel=1)
        with killed(world, at, moment) as death:
            world.bring_up(clean.declared)
        assert death.victim == clean.writes[at]
        comes_up_and_goes_down(world, clean, f"killed {moment} {at}: {death.victim}")


def test_an_up_killed_while_many_calls_run_is_completed_by_the_next_one(clean: Clean, tmp_path: Path) -> None:
    chance = random.Random(2024)
    for at in chance.sample(range(len(clean.writes)), 12):
        world, moment = new_world(tmp_path, parallel=16), chance.choice(MOMENTS)
        with killed(world, at, moment) as death:
            world.bring_up(clean.declared)
        comes_up_and_goes_down(world, clean, f"killed {moment} {at}: {death.victim}, 16 at once")


def comes_up_and_goes_down(world: World, clean: Clean, how: str) -> None:
    world.bring_up(clean.declared)
    assert inventory() == clean.made, how
    assert not world.planned(clean.declared).pending, how
    world.down(delete_data=True)
    assert left_over() == [], how
    assert not world.rows(), how


@pytest.mark.parametrize("share", range(SHARES))
def test_an_up_killed_while_many_calls_run_can_be_taken_down(clean: Clean, tmp_path: Path, share: int) -> None:
    chance = random.Random(share)
    for at in range(len(clean.writes))[share::SHARES]:
        world, moment = new_world(tmp_path, parallel=16), chance.choice(MOMENTS)
        with killed(world, at, moment) as death:
            world.bring_up(clean.declared)
        world.down(delete_data=True)
        how = f"killed {moment} {at}: {death.victim}"
        assert left_over() == [], how
        assert not world.rows(), how
