"""A new account, which may run ten functions at once: what its user is told, and that there is a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_inventory import left_over
from pipeline_world import Declared, declare
from reality_delays import PROMPT, Limits
from reality_world import account, environment

from iotpipe.errors import ApplyFailed, ResourceError

TEN = Limits(concurrency=10, unreserved=10)
FUNCTIONS = {f"function/data-{each}-dev" for each in ("ingestion", "processor", "query")}


def reserving_none(directory: Path) -> Declared:
    """As the shipped configuration tells in its last lines."""
    each = {"reserved_concurrency": None}
    return declare(directory, {"functions": {"ingestion": each, "processor": each, "query": each}})


def test_an_account_with_ten_executions_is_told_which_setting_to_change_and_then_comes_up(tmp_path: Path) -> None:
    with account(PROMPT, TEN) as reality:
        world = environment(reality, tmp_path)
        with pytest.raises(ApplyFailed) as failed:
            world.bring_up(declare(tmp_path, {}))
        errors = [error for error in failed.value.failed if isinstance(error, ResourceError)]
        assert {error.address for error in errors} == FUNCTIONS and len(errors) == len(failed.value.failed)
        for error in errors:
            assert "below its minimum value of [10]" in str(error)
            assert "set it to null" in error.hint
        assert len(reality.refused("PutFunctionConcurrency")) == len(FUNCTIONS), "no other try would be any use"

        left_out = set(failed.value.skipped)
        assert left_out == {
            "event-source-mapping/iot-ingestion-queue-dev-to-data-processor-dev",
            *(f"permission/iotpipe-{path}" for path in ("ingest", "process", "query")),
        }
        world.bring_up(reserving_none(tmp_path))
        assert not world.plan(reserving_none(tmp_path).resources).pending
        world.down(delete_data=True)
        assert not left_over()
