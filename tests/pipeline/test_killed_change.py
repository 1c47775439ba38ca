"""An `up` that changes everything is killed right after each of its write calls: the next one completes the change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.core.base_backend import BackendDict
from pipeline_inventory import Things, inventory
from pipeline_world import Declared, World, declare, killed, with_a_changed_route

from iotpipe.packaging.archive import archive

BEFORE = {
    "tags": {"team": "sensors", "cost": "12"},
    "alerts": {"emails": ["ops@example.com", "old@example.com"]},
}
AFTER = {
    "tags": {"team": "readings", "site": "north"},
    "tables": {"point_in_time_recovery": False, "deletion_protection": True},
    "queue": {"visibility_timeout": 400, "dead_letter_retention": 1_000_000, "batch_size": 5, "max_receives": 4},
    "functions": {
        "runtime": "python3.14",
        "log_retention": 60,
        "ingestion": {"memory": 512},
        "processor": {"memory": 1024},
        "query": {"memory": 384, "reserved_concurrency": None},
    },
    "api": {"throttle": {"rate": 500}, "tracing": False},
    "alerts": {"emails": ["ops@example.com", "new@example.com"], "errors": 20, "table_throttles": 20},
    "processing": {"batch_size": 50},
}
SHARES = 6
HANDLERS = ("ingestion", "processor", "query")


@dataclass(frozen=True)
class Change:
    before: Declared
    after: Declared
    writes: list[str]
    made: Things


@pytest.fixture
def change(tmp_path: Path, world: World) -> Change:
    world.parallel = 1
    code = archive({"iotpipe/handlers/query.py": b"def lambda_handler(event, context): ..."})
    alarms = [f"alarm/iot-{name}-{what}-dev" for name in HANDLERS for what in ("errors", "throttles")]
    before, after = (
        # One alarm of each form is enough: they are told apart by nothing but numbers.
        each.without(*alarms[1:], "alarm/iot-dlq-depth-dev", "alarm/iot-queue-age-dev", "alarm/iot-api-5xx-dev")
        for each in (declare(tmp_path, BEFORE), with_a_changed_route(declare(tmp_path, AFTER, query=code)))
    )
    world.bring_up(before)
    world.bring_up(after)
    return Change(before, after, world.writes, inventory())


@pytest.mark.parametrize("share", range(SHARES))
def test_a_change_killed_at_any_write_call_is_completed_by_the_next_up(
    change: Change, world: World, share: int
) -> None:
    failed = []
    for at in range(len(change.writes))[share::SHARES]:
        BackendDict.reset()
        world.path.unlink(missing_ok=True)
        world.bring_up(change.before)
        with killed(world, at, "after") as death:
            world.bring_up(change.after)
        how = f"killed after {at}: {death.victim}"
        world.bring_up(change.after)
        if inventory() != change.made or world.planned(change.after).pending:
            failed.append(how)
    assert not failed
