"""Dead letters sent back by SQS, by its own recorded answers: how each of its moves ends for the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import ResourceError
from iotpipe.operations.redrive import redrive
from iotpipe.operations.redrive_batches import Moved
from tests.support.dead_letter_world import MoveTasks, Queues, body
from tests.support.engine_world import World
from tests.support.recorded.recordings import Recording, answers, errors

LISTINGS = [each for each in answers() if each.operation == "ListMessageMoveTasks"]
REFUSALS = {each.message: each for each in errors() if each.operation == "StartMessageMoveTask"}
NO_DEAD_LETTERS = REFUSALS["Source queue must be configured as a Dead Letter Queue."]
RUNNING = next(each for message, each in REFUSALS.items() if message.startswith("There is already a task running"))


@pytest.fixture
def queues(tmp_path: Path) -> Queues:
    made = Queues(World(tmp_path))
    made.put(*(body(reading_id=f"r{number}") for number in range(3)))
    return made


def moved(queues: Queues) -> Moved:
    return redrive(queues.dead, queues.target, None)


def refused(queues: Queues, recording: Recording) -> None:
    """SQS refuses the start of the move so."""

    def before(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        wanted = operation == recording.operation
        return ClientError(recording.parsed(), operation) if wanted else None  # type: ignore[arg-type] # what botocore reads

    queues.world.before = before


def listed(queues: Queues, *listings: dict[str, Any]) -> None:
    """SQS lists these moves, one listing after the other, and the last one from then on."""
    left = list(listings)
    queues.answers("ListMessageMoveTasks", lambda request: left.pop(0) if len(left) > 1 else left[0])
    queues.answers("StartMessageMoveTask", lambda request: {"TaskHandle": "handle"})


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda each: each.answer["Results"][0]["Status"])
def test_a_move_ends_as_sqs_tells_it(queues: Queues, listing: Recording) -> None:
    (task,) = listing.answer["Results"]
    done = task["ApproximateNumberOfMessagesMoved"]
    if task["Status"] == "RUNNING":
        over = task | {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 10}
        listed(queues, {}, listing.answer, listing.answer, {"Results": [over]})
        assert moved(queues).moved == 10
        assert f"sending back: {done} of about 10" in [event.detail for event in queues.world.events]
        return
    listed(queues, {}, listing.answer)
    if task["Status"] == "COMPLETED":
        assert moved(queues).moved == done
        return
    with pytest.raises(ResourceError) as stopped:
        moved(queues)
    why = task.get("FailureReason", "cancelled")
    assert stopped.value.message == f"SQS moved {done} messages and then stopped: {why}"
    assert "still in iot-dlq-dev" in stopped.value.hint


def test_every_state_of_a_move_is_recorded() -> None:
    assert {each.answer["Results"][0]["Status"] for each in LISTINGS} == {"RUNNING", "COMPLETED", "CANCELLED", "FAILED"}


class StartedBySomebodyElse(MoveTasks):
    """Right after the first look at the moves."""

    looks = 0

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        self.looks += 1
        if self.looks == 2:
            self.add("RUNNING", to_move=3)
        return super().list(request)


def test_a_move_that_somebody_else_has_just_started_is_watched(queues: Queues) -> None:
    StartedBySomebodyElse(queues)
    refused(queues, RUNNING)
    assert moved(queues).moved == 3
    assert queues.world.calls.count("StartMessageMoveTask") == 1


def test_a_queue_that_gets_no_dead_letters_any_more_is_told_with_both_ways_out(queues: Queues) -> None:
    MoveTasks(queues)
    refused(queues, NO_DEAD_LETTERS)
    with pytest.raises(ResourceError, match="Source queue must be configured as a Dead Letter Queue") as failed:
        moved(queues)
    assert (
        "Run `iotpipe up --env dev`: it makes iot-dlq-dev the dead-letter queue of iot-ingestion-queue-dev again"
        in failed.value.hint
    )
    assert "`iotpipe dlq redrive --env dev --limit N`" in failed.value.hint
    queues.world.before = None
    assert redrive(queues.dead, queues.target, 3).moved == 3
