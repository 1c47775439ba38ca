"""The whole pipeline as AWS would see it come, change and go: nothing of its rules and delays reaches the user."""

from __future__ import annotations

import random
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from iotpipe.packaging import Archive, handler_zip
from tests.support.account_inventory import left_over
from tests.support.aws_rules.delays import HARSH, PROMPT, Delays
from tests.support.aws_rules.layer import Reality
from tests.support.aws_rules.world import RealityWorld, account, environment
from tests.support.pipeline_world import Declared, declare, with_a_changed_route
from tests.support.virtual_time import together

pytestmark = pytest.mark.matrix

SETTINGS = {"alerts": {"emails": ["on-call@example.com"]}, "devices": {"enabled": True}}
CHANGED = {
    "alerts": {"emails": ["on-call@example.com", "chief@example.com"], "errors": 3},
    "api": {"throttle": {"rate": 5}},
    "devices": {"enabled": True, "maximum_concurrency": 5},
    "functions": {"processor": {"timeout": 400, "memory": 1024}, "log_retention": 7},
    "processing": {"alert_threshold": 9},
    "queue": {"visibility_timeout": 900},
    "tables": {"deletion_protection": True},
}
QUERY = handler_zip("query")


def changed(directory: Path) -> Declared:
    """Other settings of nearly every kind, another code for one function, another function behind one route."""
    return with_a_changed_route(declare(directory, CHANGED, ingestion=Archive(QUERY.content, QUERY.sha256)))


def drawn(seed: int) -> Delays:
    """Any delays up to those of a bad day, and any latency."""
    chance = random.Random(seed)
    delays = {each.name: chance.choice((0, chance.uniform(0, getattr(HARSH, each.name)))) for each in fields(Delays)}
    return Delays(**delays | {"latency": chance.choice((0.02, 0.1, 0.2, 0.5, 1.5))})


def nothing_pending(world: RealityWorld, declared: Declared) -> bool:
    return not world.plan(declared.resources, tags=declared.tags).pending


def come_change_go_and_come_again(reality: Reality, directory: Path) -> None:
    world, first, second = environment(reality, directory), declare(directory, SETTINGS), changed(directory)
    world.bring_up(first)
    reality.time.sleep(2)
    reality.calls.clear()
    world.bring_up(first)
    assert not world.writes
    assert reality.sns.topics["iot-alerts-dev"].mails == {"on-call@example.com": 1}, "asked once to confirm"
    world.bring_up(second)
    assert nothing_pending(world, second)
    world.bring_up(first)
    world.down()
    world.bring_up(second)
    reality.time.sleep(2)
    assert nothing_pending(world, second)
    world.bring_up(first)
    world.down(delete_data=True)
    reality.time.sleep(100)
    reality.logs.deliver()
    assert not left_over()
    assert not world.rows()


# The drawn ones are those that have found something once, out of fifty.
@pytest.mark.sampled(1)
@pytest.mark.parametrize("delays", [HARSH, drawn(4), drawn(6)], ids=["a bad day", "a drawn day", "another"])
def test_it_comes_changes_goes_and_comes_again(delays: Delays, tmp_path: Path) -> None:
    with account(delays) as reality:
        come_change_go_and_come_again(reality, tmp_path)


def test_it_does_so_though_every_twentieth_answer_is_lost(tmp_path: Path) -> None:
    with account(drawn(8)) as reality:
        world, first, second = environment(reality, tmp_path), declare(tmp_path, SETTINGS), changed(tmp_path)
        reality.losing = 0.05
        world.bring_up(first)
        world.bring_up(second)
        world.bring_up(first)
        world.down(delete_data=True)
        reality.time.sleep(100)
        reality.logs.deliver()
        assert not left_over()


def test_two_environments_come_and_go_at_the_same_time(tmp_path: Path) -> None:
    with account(Delays()) as reality:
        names = ("dev", "prod")
        worlds = {name: environment(reality, tmp_path, name) for name in names}
        declared = {name: declare(tmp_path, SETTINGS, name) for name in names}
        together(reality.time, *(partial(worlds[name].bring_up, declared[name]) for name in names))
        assert all(nothing_pending(worlds[name], declared[name]) for name in names)
        assert reality.refused("CreateRestApi") and reality.refused("UpdateAccount", "Too Many Requests")
        together(reality.time, *(partial(worlds[name].down, delete_data=True) for name in names))
        assert reality.refused("DeleteRestApi")
        assert not left_over()


def test_what_is_done_in_the_right_order_is_refused_nothing(tmp_path: Path) -> None:
    with account(PROMPT) as reality:
        world, declared = environment(reality, tmp_path), declare(tmp_path, SETTINGS)
        world.bring_up(declared)
        reality.time.sleep(60)
        world.bring_up(changed(tmp_path))
        reality.time.sleep(60)
        world.bring_up(declared)
        world.down(delete_data=True)
        # So many at once are throttled, or come while the same log group is still being deleted; and a function that
        # serves two routes gets two permissions at once.
        many = {"PutMetricAlarm", "DeleteAlarms", "DescribeAlarms", "DeleteLogGroup", "AddPermission"}
        assert {each.operation for each in reality.refusals} <= many, reality.refusals
        said = {each.message for each in reality.refusals}
        passing = ("Rate exceeded", "A conflicting operation is currently", "The function could not be updated")
        assert all(each.startswith(passing) for each in said)
