"""How many calls a command makes, and in which order where AWS insists on one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.pipeline_world import Declared, World

Declare = Callable[..., Declared]


@pytest.mark.matrix
def test_with_nothing_to_do_up_reads_at_most_60_times_and_writes_nothing(world: World, declared: Declare) -> None:
    everything = declared({"alerts": {"emails": ["ops@example.com", "night@example.com"]}})
    world.bring_up(everything)
    world.bring_up(everything)
    assert world.writes == []
    # One more asks whose the credentials are.
    assert sum(Counter(world.calls).values()) + 1 <= 60, Counter(world.calls)
    before = world.path.read_bytes()
    world.bring_up(everything)
    assert world.path.read_bytes() == before


@pytest.mark.matrix
def test_a_plan_reads_what_up_reads_and_writes_nothing(world: World, declared: Declare) -> None:
    world.bring_up(declared())
    world.bring_up(declared())
    reads = Counter(world.calls)
    before = world.path.read_bytes()
    world.planned(declared())
    assert Counter(world.calls) == reads
    assert world.path.read_bytes() == before


Sent = list[tuple[str, str]]


@pytest.fixture(params=[1, 16])
def sent(world: World, declared: Declare, request: pytest.FixtureRequest) -> Sent:
    """Every call of an `up` from nothing with its parameters, in the order in which they went out."""
    found: Sent = []

    def note(operation: str, parameters: dict[str, Any]) -> None:
        found.append((operation, str(parameters)))

    world.parallel, world.before = request.param, note
    world.bring_up(declared())
    return found


def first(sent: Sent, operation: str, *parts: str) -> int:
    return next(n for n, (name, text) in enumerate(sent) if name == operation and all(part in text for part in parts))


def last(sent: Sent, operation: str) -> int:
    return max(n for n, (name, _) in enumerate(sent) if name == operation)


def test_an_api_is_deployed_after_all_its_integrations_and_logs_after_the_account_may(sent: Sent) -> None:
    assert last(sent, "PutIntegration") < first(sent, "CreateDeployment") < first(sent, "CreateStage")
    assert first(sent, "UpdateAccount") < first(sent, "UpdateStage")


def test_an_api_that_was_just_made_is_not_asked_for_its_deployments(sent: Sent) -> None:
    assert "GetDeployments" not in [operation for operation, _ in sent]


@pytest.mark.parametrize("handler", ["ingestion", "processor", "query"])
def test_a_function_finds_its_role_its_logs_its_layer_and_its_dead_letter_queue(sent: Sent, handler: str) -> None:
    made = first(sent, "CreateFunction", f"data-{handler}-dev")
    # Lambda would make a group without retention; it refuses a role that may not send to the dead-letter queue.
    assert first(sent, "PutRetentionPolicy", f"data-{handler}-dev") < made
    assert first(sent, "PutRolePolicy", f"iot-{handler}-lambda-role-dev") < made
    assert first(sent, "CreateQueue", "iot-dlq-dev") < made
    assert first(sent, "PublishLayerVersion") < made
    assert made < first(sent, "PutFunctionConcurrency", f"data-{handler}-dev")
    assert made < first(sent, "AddPermission", f"data-{handler}-dev")


def test_the_queue_feeds_the_processor_when_both_are_there(sent: Sent) -> None:
    feed = first(sent, "CreateEventSourceMapping")
    assert first(sent, "CreateQueue", "iot-dlq-dev") < first(sent, "CreateQueue", "iot-ingestion-queue-dev") < feed
    assert first(sent, "CreateFunction", "data-processor-dev") < feed


@pytest.mark.matrix
def test_no_two_writes_to_the_api_overlap(world: World, declared: Declare) -> None:
    """API Gateway refuses a second writer of one API, and is slow enough for that to happen."""
    under_way: list[str] = []
    overlaps: list[tuple[str, str]] = []
    writes = ("CreateResource", "PutMethod", "PutIntegration", "CreateDeployment", "CreateStage", "UpdateStage")

    def sent(operation: str, parameters: dict[str, Any]) -> None:
        if operation in writes:
            overlaps.extend((each, operation) for each in under_way)
            under_way.append(operation)
            for _ in range(1000):
                time.sleep(0)  # no time, but every other thread that can run has its turn

    def answered(operation: str) -> None:
        if operation in under_way:
            under_way.remove(operation)

    world.before, world.after = sent, answered
    world.bring_up(declared())
    assert overlaps == []
    assert under_way == []
