"""Sending: every reading is accounted for, whatever the API, the network or the user does meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from iotpipe.errors import IotpipeError
from iotpipe.provision.run import Run
from iotpipe.readings import bad_readings, workers
from iotpipe.readings.api_client import Api
from iotpipe.readings.generate import Reading, generate
from iotpipe.readings.send import Sender, Tally, units
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, Request, answering

Send = Callable[..., Tally]


@pytest.fixture
def send(api: Api, run: Run) -> Send:
    def send_all(
        good: list[Reading], batch: int = 25, bad: int = 0, connections: int = 1, rate: float = 0, **changes: Any
    ) -> Tally:
        rejections = bad_readings.rejections(bad, good, "run")
        queued = units(good, batch, rejections, len(good))
        return Sender(changes.get("api", api), run, connections, rate).send(queued, len(good))

    return send_all


def test_every_reading_is_sent_once_and_stored_as_it_was_made(send: Send, world: World, gateway: Gateway) -> None:
    good = list(generate(4, 110, 7, NOON))
    tally = send(good, batch=25, connections=4)
    assert sorted(receipt.reading.timestamp for receipt in tally.accepted) == [one.timestamp for one in good]
    assert sorted(len(body["readings"]) for body in gateway.posts()) == [10, 25, 25, 25, 25]
    stored = {
        row["reading_id"]["S"]: Decimal(row["sensor_data"]["M"]["temperature"]["N"]) for row in world.rows(world.raw)
    }
    assert stored == {one.reading_id: one.metrics["temperature"] for one in good}


def test_the_last_reading_goes_alone_where_it_is_left_alone(send: Send, gateway: Gateway) -> None:
    tally = send(list(generate(1, 5, 7, NOON)), batch=2)
    assert (len(tally.accepted), "readings" in gateway.posts()[-1]) == (5, False)


@pytest.mark.matrix
def test_a_rate_is_kept_on_average(send: Send, run: Run) -> None:
    tally = send(list(generate(1, 50, 7, NOON)), batch=5, rate=10)
    assert tally.seconds == pytest.approx(4.5)
    assert run.clock.slept == pytest.approx([0.5] * 9)


def test_what_the_api_names_is_set_apart_and_the_rest_of_the_batch_gets_in(
    send: Send, world: World, gateway: Gateway
) -> None:
    good = list(generate(1, 5, 7, NOON))
    old = Reading("sensor-001", 0, {"temperature": 1}, line=7)
    wrong = Reading("sensor-001", NOON, {"temperature": "hot"})
    tally = send([old, *good[:3], wrong, *good[3:]], batch=7)
    assert len(gateway.requests) == 2, "a refusal that names readings divides no batch"
    assert [str(reading) for reading, _ in tally.refused] == [
        "sensor-001 at 1970-01-01T00:00:00.000Z (line 7)",
        "sensor-001 at 2026-11-22T12:00:00.000Z",
    ]
    assert [reason.split(":")[0] for _, reason in tally.refused] == ["timestamp", "sensor_data.temperature"]
    assert len(tally.accepted) == len(world.rows(world.raw)) == 5
    assert tally.unsent == 0


@pytest.mark.parametrize(
    "cannot_be",
    [
        {"number": Decimal("1" * 39)},
        {"text": "\ud800"},
        {"number": float("inf")},
        {"deep": [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]},
    ],
    ids=["digits", "surrogate", "infinity", "depth"],
)
def test_one_reading_that_cannot_be_kept_costs_no_other_its_place(
    send: Send, world: World, cannot_be: dict[str, Any]
) -> None:
    good = list(generate(2, 24, 7, NOON))
    tally = send([*good[:9], Reading("sensor-001", NOON, cannot_be, line=10), *good[9:]])
    assert [reading.line for reading, _ in tally.refused] == [10]
    (named,) = (reason.split(":")[0] for _, reason in tally.refused)
    assert named.startswith(f"sensor_data.{next(iter(cannot_be))}")
    assert [receipt.reading for receipt in sorted(tally.accepted, key=lambda one: one.reading.timestamp)] == good
    assert (len(world.rows(world.raw)), tally.unsent) == (24, 0)


@pytest.mark.matrix
def test_a_batch_of_more_than_the_configuration_allows_is_divided(send: Send, world: World) -> None:
    world.configure(max_readings=10)
    tally = send(list(generate(2, 50, 7, NOON)))
    assert (len(tally.accepted), len(world.rows(world.raw)), tally.refused) == (50, 50, [])


def test_what_is_left_of_a_divided_batch_fails_with_the_part_that_does(
    send: Send, gateway: Gateway, world: World
) -> None:
    world.configure(max_readings=5)
    gateway.faults.extend([lambda request: None] + [lambda request: (0, {}, "")] * 8)
    tally = send(list(generate(1, 10, 7, NOON)))
    assert (len(tally.accepted), len(tally.failed), tally.unsent) == (0, 10, 0)


@pytest.mark.matrix
def test_every_kind_of_bad_reading_is_answered_with_its_400_and_stores_nothing(send: Send, world: World) -> None:
    tally = send(list(generate(2, 30, 7, NOON)), batch=10, bad=18)
    assert (len(tally.bad_refused), tally.bad_not_refused) == (18, [])
    assert len(tally.accepted) == len(world.rows(world.raw)) == 30


@pytest.mark.matrix
def test_bad_readings_are_spread_among_the_good_ones(gateway: Gateway, send: Send) -> None:
    send(list(generate(1, 40, 7, NOON)), batch=10, bad=4)
    assert ["readings" in request.body for request in gateway.requests] == [True, False] * 4


def test_a_bad_reading_that_gets_in_is_noted(send: Send, gateway: Gateway) -> None:
    gateway.faults.extend([lambda request: None, answering(200, '{"message": "fine"}')])
    tally = send(list(generate(1, 2, 7, NOON)), bad=1)
    assert (len(tally.bad_not_refused), tally.bad_refused) == (1, [])


def test_a_refusal_for_another_reason_than_its_own_is_noted(send: Send, gateway: Gateway) -> None:
    gateway.faults.extend(
        [lambda request: None, answering(400, '{"error": {"details": [{"field": "x", "code": "y"}]}}')]
    )
    assert len(send(list(generate(1, 2, 7, NOON)), bad=1).bad_not_refused) == 1


def test_an_acknowledgement_of_something_else_is_none(send: Send, gateway: Gateway) -> None:
    answers = ['{"accepted": 1, "duplicates": 0, "failed": 0}', '{"message": "fine"}', "no JSON", "[]"]
    gateway.faults.extend(answering(200, text) for text in answers[:2])
    tally = send(list(generate(1, 3, 7, NOON)), batch=2)
    assert (len(tally.accepted), len(tally.failed)) == (0, 3)


def test_what_one_post_brings_twice_is_counted_as_duplicate_and_sent_once(send: Send, world: World) -> None:
    (one,) = generate(1, 1, 7, NOON)
    tally = send([one, one])
    assert (tally.duplicates, len(tally.accepted), len(world.rows(world.raw))) == (1, 2, 1)


@pytest.mark.matrix
def test_after_some_failures_in_a_row_the_rest_is_left_unsent(send: Send, gateway: Gateway) -> None:
    gateway.faults.extend([answering(503)] * 100)
    tally = send(list(generate(1, 50, 7, NOON)), batch=5)
    assert (len(tally.failed), tally.unsent) == (15, 35)
    assert isinstance(tally.error, IotpipeError) and "503" in str(tally.error)
    assert tally.retried["503"] == 3 * 7


TOO_OLD = answering(400, '{"error": {"details": [{"field": "timestamp", "message": "too old"}]}}')


@pytest.mark.matrix
@pytest.mark.parametrize(("between", "accepted"), [(lambda request: None, 2), (TOO_OLD, 0)], ids=["stored", "refused"])
def test_failures_with_answers_between_end_nothing(
    send: Send, gateway: Gateway, between: Callable[[Request], Any], accepted: int
) -> None:
    for _ in range(2):
        gateway.faults.extend([answering(503)] * 8 * 2 + [between])
    tally = send(list(generate(1, 6, 7, NOON)), batch=1)
    assert (len(tally.failed), len(tally.accepted), tally.unsent, tally.error) == (4, accepted, 0, None)


def test_being_let_in_no_longer_ends_the_sending_with_its_reason(send: Send, gateway: Gateway) -> None:
    expired = answering(403, '{"message": "The security token included in the request is expired"}')
    gateway.faults.extend([lambda request: None, expired])
    tally = send(list(generate(1, 40, 7, NOON)), batch=10)
    assert (len(tally.accepted), tally.unsent, len(gateway.requests)) == (10, 30, 2)
    assert "expired" in str(tally.error)


def test_a_stop_begins_nothing_more_and_counts_what_is_left(send: Send, gateway: Gateway, run: Run) -> None:
    def stop(request: Request) -> None:
        run.stop.set()

    gateway.faults.append(stop)
    tally = send(list(generate(1, 40, 7, NOON)), batch=10)
    assert (len(tally.accepted), tally.unsent) == (10, 30)


def test_ctrl_c_lets_what_is_under_way_be_answered(
    send: Send, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    under_way = threading.Event()
    join = workers._join

    def interrupted_once(threads: list[threading.Thread]) -> None:
        monkeypatch.setattr(workers, "_join", join)
        assert under_way.wait(30)
        raise KeyboardInterrupt

    def slow(request: Request) -> None:
        under_way.set()
        assert run.stop.wait(30)

    monkeypatch.setattr(workers, "_join", interrupted_once)
    gateway.faults.append(slow)
    tally = send(list(generate(1, 40, 7, NOON)), batch=10)
    assert (len(tally.accepted), tally.unsent, tally.interrupted) == (10, 30, True)


@pytest.mark.matrix
def test_never_more_connections_than_asked_for(send: Send, gateway: Gateway) -> None:
    send(list(generate(2, 60, 7, NOON)), batch=1, connections=3)
    assert len(gateway.posts()) == 60
    assert 1 <= len(gateway.connections) <= 3


@pytest.mark.matrix
def test_readings_always_carry_their_time_so_that_sending_again_stores_nothing_anew(
    send: Send, gateway: Gateway, world: World
) -> None:
    for _ in range(2):
        send(list(generate(2, 30, 7, NOON)), batch=10)
    assert len(world.rows(world.raw)) == 30
    assert all("timestamp" in one for body in gateway.posts() for one in body["readings"])
    assert json.dumps(gateway.posts()[0]) == json.dumps(gateway.posts()[3])
