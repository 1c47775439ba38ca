"""The outputs name what the environment consists of now, not what it consisted of under another suffix."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iotpipe.operations.outputs import outputs
from tests.support.pipeline_world import Declared, World

Declare = Callable[..., Declared]
TABLES = ("RawSensorTableName", "ProcessedDataTableName")


def named(world: World) -> dict[str, str]:
    return outputs("123456789012", "us-east-1", world.rows())


@pytest.mark.matrix
def test_tables_that_were_kept_from_an_earlier_suffix_are_not_the_environments(world: World, declared: Declare) -> None:
    # The later suffix comes first in the state file, which sorts its rows.
    world.bring_up(declared({"suffix": "prod2"}))
    before = named(world)
    world.bring_up(declared({"suffix": "dev"}))
    after = named(world)
    assert set(after) == set(before)
    assert [after[each] for each in TABLES] == ["raw-sensor-data-dev", "processed-data-dev"]
    assert after["IngestionQueueUrl"].endswith("/iot-ingestion-queue-dev")
    assert after["ApiEndpoint"] != before["ApiEndpoint"]


@pytest.mark.matrix
def test_while_a_suffix_changes_the_newest_api_counts(world: World, declared: Declare) -> None:
    world.bring_up(declared({"suffix": "prod2"}))
    old = world.rows()
    world.bring_up(declared({"suffix": "dev"}))
    both = {**world.rows(), **{address: row for address, row in old.items() if address not in world.rows()}}
    for rows in (both, dict(reversed(both.items()))):
        assert outputs("123456789012", "us-east-1", rows) == named(world)


@pytest.mark.matrix
def test_tables_that_down_has_kept_are_named_as_long_as_they_are_there(world: World, declared: Declare) -> None:
    world.bring_up(declared({"suffix": "other"}))
    world.down()
    assert named(world) == {
        "RawSensorTableName": "raw-sensor-data-other",
        "ProcessedDataTableName": "processed-data-other",
    }
