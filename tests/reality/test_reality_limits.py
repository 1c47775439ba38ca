"""What AWS refuses for good: what the user is told, and that there is a way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from iotpipe.configuration.model import Retention
from iotpipe.errors import ApplyFailed, ConfigurationError, ResourceError
from tests.support.account_inventory import left_over
from tests.support.aws_rules import parts
from tests.support.aws_rules.delays import PROMPT, Limits
from tests.support.aws_rules.scenes import playing
from tests.support.aws_rules.world import account, environment
from tests.support.pipeline_world import Declared, declare

pytestmark = pytest.mark.matrix

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
            *(each.address for each in reserving_none(tmp_path).resources if each.kind == "permission"),
        }
        world.bring_up(reserving_none(tmp_path))
        assert not world.plan(reserving_none(tmp_path).resources).pending
        world.down(delete_data=True)
        assert not left_over()


def test_every_retention_that_the_configuration_takes_aws_takes_too_and_no_other(tmp_path: Path) -> None:
    with playing(tmp_path, PROMPT) as play:
        for days in get_args(Retention)[2].json_schema["enum"]:
            play.up(replace(parts.GROUP, retention=days))
        for days in (2, 31, 3654):
            with pytest.raises(ApplyFailed, match="InvalidParameterException"):
                play.up(replace(parts.GROUP, retention=days))
            with pytest.raises(ConfigurationError, match="log_retention"):
                declare(tmp_path, {"functions": {"log_retention": days}})
