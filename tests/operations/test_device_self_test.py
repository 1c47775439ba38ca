"""The message with which `up` tests a new topic rule: whether it arrives is told, and what keeps one from knowing."""

from __future__ import annotations

import time
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from iotpipe.operations import device_self_test
from iotpipe.provision.steps import Step
from tests.support.engine_world import FakeClock, World, refusal

GROUP = "/aws/lambda/data-ingestion-dev"


@pytest.fixture
def world(tmp_path: Path) -> World:
    # Moto's log has a clock of its own.
    return World(tmp_path, clock=FakeClock(time.time()))


@mock_aws
def test_a_message_that_ingestion_logs_has_arrived(world: World) -> None:
    boto3.client("logs").create_log_group(logGroupName=GROUP)
    assert device_self_test.test(world.run("up"), "dev") == ""


@mock_aws
def test_a_message_that_nobody_logs_is_said_not_to_have_arrived(world: World) -> None:
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    run, began = world.run("up"), world.clock.time
    boto3.client("logs").delete_log_group(logGroupName=GROUP)
    assert device_self_test.test(run, "dev") == "a test message did not reach data-ingestion in 120 s"
    assert world.clock.time - began >= 120


@mock_aws
@pytest.mark.parametrize("operation", ["Publish", "FilterLogEvents"])
def test_what_may_not_be_asked_is_told_and_fails_nothing(world: World, operation: str) -> None:
    boto3.client("logs").create_log_group(logGroupName=GROUP)

    def denied(name: str, request: object) -> ClientError | None:
        return refusal(name, "AccessDeniedException", "not authorized") if name == operation else None

    world.before = denied
    assert "it could not be tested: cannot" in device_self_test.test(world.run("up"), "dev")


def test_only_a_rule_that_was_made_is_tested() -> None:
    made = Step("topic-rule/iotpipe_dev", "create")
    others = [Step("topic-rule/iotpipe_dev", "update"), Step("queue/iot-dlq-dev", "create")]
    assert device_self_test.new_rule([made]) and not device_self_test.new_rule(others)
