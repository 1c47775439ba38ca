"""Why a function does not start, as its log tells it."""

from __future__ import annotations

import pytest

from iotpipe.errors import ResourceError
from iotpipe.operations.startup_failures import startup_failure
from iotpipe.provision.run import Run
from tests.support.engine_world import World, refusal

GROUP = "/aws/lambda/data-query-dev"
MISSING = "Unable to import module 'iotpipe.handlers.query': No module named 'nosuchmodule'"
FAILED = f"[ERROR] Runtime.ImportModuleError: {MISSING}\nTraceback (most recent call last):"


@pytest.fixture
def run(world: World) -> Run:
    run = world.run("query")
    run.client("logs").create_log_group(logGroupName=GROUP)
    run.client("logs").create_log_stream(logGroupName=GROUP, logStreamName="s")
    return run


def failure(run: Run, *entries: tuple[int, str], since: int = 60) -> str:
    """What is found among entries so many seconds ago."""
    now = int(run.clock.now() * 1000)
    if entries:
        events = [{"timestamp": now - 1000 * ago, "message": text} for ago, text in entries]
        run.client("logs").put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
    return startup_failure(run, "query", "dev", now - 1000 * since)


@pytest.mark.parametrize("kind", ["ImportModuleError", "UserCodeSyntaxError", "HandlerNotFound", "ExitError"])
def test_what_lambda_says_of_a_handler_that_it_cannot_import_is_found(run: Run, kind: str) -> None:
    start = "START RequestId: 1 Version: $LATEST"
    assert failure(run, (9, start), (8, f"[ERROR] Runtime.{kind}: {MISSING}\nTraceback"), (7, "END")) == MISSING


def test_the_last_word_counts(run: Run) -> None:
    assert failure(run, (9, "[ERROR] Runtime.ImportModuleError: other"), (8, FAILED)) == MISSING


def test_a_function_that_has_run_since_then_starts(run: Run) -> None:
    assert failure(run, (9, '{"function": "query"}'), (8, FAILED)) == MISSING
    assert failure(run, (7, '{"function": "query"}')) == ""


def test_what_was_logged_in_the_same_millisecond_did_not_come_after_it(run: Run) -> None:
    assert failure(run, (8, '{"function": "query"}'), (8, FAILED)) == MISSING


def test_what_was_said_earlier_is_of_no_concern(run: Run) -> None:
    assert failure(run, (61, FAILED)) == ""


def test_a_handlers_own_error_is_not_taken_for_one(run: Run) -> None:
    assert failure(run, (9, "[ERROR] KeyError: 'x'\nTraceback"), (8, '{"error": "[ERROR] Runtime.ExitError: x"}')) == ""


def test_a_log_group_that_is_not_there_says_nothing(run: Run) -> None:
    run.client("logs").delete_log_group(logGroupName=GROUP)
    assert failure(run) == ""


def test_a_right_that_is_missing_is_told(run: Run, world: World) -> None:
    denied = refusal("FilterLogEvents", "AccessDeniedException", "not authorized to perform: logs:FilterLogEvents")
    world.before = lambda operation, params: denied if operation == "FilterLogEvents" else None
    with pytest.raises(ResourceError):
        failure(run)
