"""One command's view of AWS: read once, wait with a reason, one writer at a time, and end when told to."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import boto3
import pytest
from botocore.errorfactory import ClientExceptionsFactory
from botocore.exceptions import ClientError

from iotpipe.errors import Interrupted, ResourceError
from iotpipe.provision.aws import Aws
from iotpipe.provision.resource import UNKNOWN, Properties, Resource
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.run import Event, RealClock, Run
from iotpipe.times import seconds, timestamp
from tests.support.engine_world import refusal
from tests.support.resource_contract import QuickWorld


@dataclass(frozen=True, eq=False)
class Thing(Resource):
    """Something whose reading can be watched, without AWS."""

    kind: ClassVar[str] = "thing"
    assigned: ClassVar[tuple[str, ...]] = ("Id",)

    answers: list[Any]

    def read(self, run: Run) -> Properties | None:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer(run) if callable(answer) else answer


def test_a_resource_is_read_once_however_many_threads_ask(world: QuickWorld) -> None:
    run, reading, go_on = world.run(), threading.Event(), threading.Event()

    def slowly(ignored: Run) -> Properties:
        reading.set()
        assert go_on.wait(timeout=30)
        return {"Id": "1"}

    thing = Thing("t", answers=[slowly])
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(run.look, thing)
        assert reading.wait(timeout=30)
        others = [pool.submit(run.look, thing) for _ in range(7)]
        go_on.set()
        assert [each.result() for each in (first, *others)] == [{"Id": "1"}] * 8
    assert thing.answers == []


def test_absence_is_an_answer_too(world: QuickWorld) -> None:
    run, thing = world.run(), Thing("t", answers=[None])
    assert run.look(thing) is None
    assert run.look(thing) is None
    assert run.assigned(thing, "Id") == UNKNOWN


def test_a_failed_reading_is_not_remembered(world: QuickWorld) -> None:
    run, error = world.run(), refusal("DescribeThing", "Throttling", "Rate exceeded")
    thing = Thing("t", answers=[error, {"Id": "2"}])
    with pytest.raises(ClientError):
        run.look(thing)
    assert run.look(thing) == {"Id": "2"}


def test_who_waits_for_a_reading_that_fails_hears_of_it(world: QuickWorld) -> None:
    run, error = world.run(), refusal("DescribeThing", "Throttling", "Rate exceeded")
    thing = Thing("t", answers=[])

    def fail(ignored: Run) -> Properties:
        # Whoever asks now waits for this very answer.
        waiting.append(pool.submit(run.look, thing))
        while not waiting[0].running():
            time.sleep(0)
        raise error

    thing.answers.extend([fail, {"Id": "2"}])
    waiting: list[Future[Properties | None]] = []
    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(ClientError):
            pool.submit(run.look, thing).result(timeout=30)
        assert waiting[0].exception(timeout=30) in (error, None), "it is told, or has read anew; it never hangs"


def test_looking_again_forgets_also_what_served_several(world: QuickWorld) -> None:
    run = world.run()
    answers = iter("ab")

    def read(ignored: Run) -> Properties:
        return {"Id": run.once("shared", lambda: next(answers))}

    thing = Thing("t", answers=[read, read])
    assert run.look(thing) == {"Id": "a"}
    assert run.once("shared", lambda: "never asked") == "a"
    assert run.look_again(thing) == {"Id": "b"}


def test_what_was_written_is_what_there_is(world: QuickWorld) -> None:
    run, thing = world.run(), Thing("t", answers=[None])
    run.look(thing)
    run.remember(thing, {"Id": "new"})
    assert run.look(thing) == {"Id": "new"}
    assert run.assigned(thing, "Id") == "new"


def test_what_was_never_read_has_no_id(world: QuickWorld) -> None:
    assert world.run().assigned(Thing("t", answers=[]), "Id") == UNKNOWN


def test_waiting_asks_once_a_second_and_says_why(world: QuickWorld) -> None:
    run, answers = world.run(), [False, False, True]
    run.until("thing/t", "waiting for the thing", lambda: answers.pop(0))
    assert world.clock.slept == [1, 1]
    assert world.events == [Event("thing/t", "waiting", "waiting for the thing")] * 2


def test_waiting_ends_when_its_budget_is_spent(world: QuickWorld) -> None:
    with pytest.raises(ResourceError, match="waiting for the thing for more than 5 s"):
        world.run().until("thing/t", "waiting for the thing", lambda: False, budget=5)
    assert sum(world.clock.slept) == 6


def test_each_change_is_told_when_it_begins_and_when_it_is_done(world: QuickWorld) -> None:
    def told() -> list[tuple[str, str]]:
        return [(event.phase, event.detail) for event in world.events if event.address == "queue/q"]

    world.up([Queue("q", retention=345_600)])
    assert told() == [("started", "create"), ("done", "created")]
    world.up([Queue("q", retention=60)])
    assert told() == [("started", "update"), ("done", "updated")]
    world.down()
    assert told() == [("started", ""), ("done", "deleted")]


def test_who_is_told_to_stop_waits_no_longer(world: QuickWorld) -> None:
    run = world.run()

    def never() -> bool:
        run.stop.set()
        return False

    with pytest.raises(Interrupted):
        run.until("thing/t", "waiting for the thing", never)
    assert world.clock.slept == [], "no sleep begins after a stop"


def test_a_stop_wakes_up_who_sleeps(world: QuickWorld) -> None:
    run = Run(world.connect(), "dev", clock=RealClock())
    with ThreadPoolExecutor(1) as pool:
        sleeper = pool.submit(run.pause, 10_000)
        run.stop.set()
        with pytest.raises(Interrupted):
            sleeper.result(timeout=30)


def test_one_at_a_time_changes_what_only_one_may_change(world: QuickWorld) -> None:
    run, inside, most = world.run(), [0], [0]

    def change() -> None:
        for _ in range(200):
            with run.exclusive("rest-api/a"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(change) for _ in range(4)]:
            each.result()
    assert most == [1]


def entered(run: Run, key: str) -> str:
    """What another thread says once it has its turn; fails if it gets none."""

    def enter() -> str:
        with run.exclusive(key):
            return "in"

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter).result(timeout=30)


def test_two_things_may_be_changed_at_once(world: QuickWorld) -> None:
    run = world.run()
    with run.exclusive("rest-api/a"):
        assert entered(run, "rest-api/b") == "in"


def test_the_lock_is_free_again_after_a_failure(world: QuickWorld) -> None:
    run = world.run()
    with pytest.raises(ZeroDivisionError), run.exclusive("rest-api/a"):
        raise ZeroDivisionError
    assert entered(run, "rest-api/a") == "in"


def test_our_own_tags_win_over_configured_ones(world: QuickWorld) -> None:
    run = world.run(tags={"iotpipe:environment": "prod", "team": "devices"})
    own = {"iotpipe:environment": "dev", "iotpipe:region": "us-east-1", "iotpipe:managed-by": "iotpipe"}
    assert run.all_tags == own | {"team": "devices"}


@pytest.mark.parametrize("time", [0, 1_800_000_000, 1_800_000_000.999])
def test_a_time_that_was_written_can_be_read(time: float) -> None:
    assert seconds(timestamp(time)) == int(time)
    assert timestamp(time).endswith("Z")


def test_the_error_classes_of_a_client_are_created_before_threads_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore creates them at the first access without a lock: two threads could get different classes."""
    session = boto3.Session(region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="key")
    client = Aws(session, "123456789012", "us-east-1", "arn").client("sqs")
    late = threading.Event()
    monkeypatch.setattr(ClientExceptionsFactory, "create_client_exceptions", lambda *ignored: late.set())
    assert issubclass(client.exceptions.QueueDoesNotExist, ClientError)
    assert not late.is_set()


@pytest.mark.parametrize("code", ["Throttling", "InternalFailure"])
def test_a_run_that_is_not_patient_tells_the_first_error(world: QuickWorld, code: str) -> None:
    world.before = lambda operation, parameters: refusal(operation, code, "later")
    patient = world.run()
    run = Run(patient.aws, "dev", clock=world.clock, patient=False)
    with pytest.raises(ResourceError, match="later"):
        run.with_retries("read", "queues", lambda attempt: run.client("sqs").list_queues())
    assert (world.calls, world.clock.slept) == (["ListQueues"], [])
