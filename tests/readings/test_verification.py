"""Verification: it finds what is missing, doubled, changed or astray, and takes nothing for proven that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iotpipe.provision.aws import Emulator
from iotpipe.provision.run import Run
from iotpipe.readings import dead_letters, send_test_data
from iotpipe.readings.api_client import Api
from iotpipe.readings.deployment import Deployment
from iotpipe.readings.send_test_data import Load, Options, Result
from iotpipe.readings.verify import Findings
from iotpipe.render.send_test_data import verified
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, Reply, Request, answering

Meanwhile = Callable[[], None]


class Proving:
    """Sends, lets something happen, and verifies."""

    def __init__(self, world: World, api: Api, run: Run, place: Deployment) -> None:
        self.world, self.api, self.run, self.place = world, api, run, place
        self.load = Load(())
        self.proof: Result
        self.told: list[tuple[int, int]] = []

    def send(self, count: int = 40, devices: int = 2, bad: int = 0, batch: int = 10) -> None:
        options = Options(devices=devices, count=count, seed=7, bad=bad)
        self.load = send_test_data.prepare(options, NOON / 1000)
        kept = {"batch": batch, "connections": 2, "rate": 0.0, "progress": self.progress}
        self.proof = send_test_data.send(self.load, self.api, self.run, self.place, **kept)

    def verify(self, timeout: float = 30) -> Findings:
        kept: dict[str, Any] = {"timeout": timeout, "connections": 2, "wait": 0, "progress": self.progress}
        self.proof.findings = send_test_data.verify(self.proof, self.load, self.api, self.run, self.place, **kept)
        return self.proof.findings

    def progress(self, what: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(lambda done, total: self.told.append((done, total)))

    def failed(self) -> bool:
        return send_test_data.failed(self.load, self.proof)


@pytest.fixture
def proving(world: World, api: Api, run: Run, place: Deployment) -> Proving:
    return Proving(world, api, run, place)


def change(world: World, table: str, index: int = 0, **attributes: Any) -> dict[str, Any]:
    """Put another item in the place of one row; answers the one that was there."""
    item = sorted(world.rows(table), key=str)[index]
    world.dynamodb.put_item(TableName=table, Item={**item, **attributes})
    return item


def delete(world: World, table: str, range_key: str, index: int = 0) -> None:
    item = sorted(world.rows(table), key=str)[index]
    world.dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("device_id", range_key)})


@pytest.mark.matrix
def test_everything_is_followed_to_its_end(proving: Proving) -> None:
    proving.send(count=60, devices=3, bad=21)
    found = proving.verify()
    assert found.proven and not proving.failed()
    assert (found.expected, found.found["raw"], found.found["processed"]) == (60, 60, 60)
    assert (found.bad, found.refused, found.poison, found.dead) == (11, 11, 10, 10)
    assert proving.told[-1] == (130, 130)


@pytest.mark.matrix
def test_the_hops_add_up(proving: Proving, run: Run) -> None:
    proving.send()
    run.clock.clock.pass_(3)
    found = proving.verify()
    hops = {hop: set(values) for hop, values in found.hops.items()}
    assert hops["sent → received"] == hops["received → accepted"] == {0}
    assert hops["received → processed"] == {3250}
    assert len(found.hops["processed → readable"]) == 40, "each was looked for in vain before"
    shown = verified(found)["hops_ms"]["received_to_processed"]
    assert shown == {"count": 40, "p50": 3250.0, "p95": 3250.0, "p99": 3250.0}


@pytest.mark.matrix
def test_two_queries_per_device_and_look_are_enough(proving: Proving) -> None:
    proving.send(count=40, devices=4)
    assert proving.verify().queries == 4 * (2 + 1 + 2)


@pytest.mark.matrix
def test_more_rows_than_a_page_has_are_all_compared(proving: Proving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotpipe.readings.stored_rows.MAX_ROWS", 7)
    proving.send(count=60)
    assert proving.verify().proven


@pytest.mark.matrix
@pytest.mark.parametrize(("table", "range_key"), [("raw", "timestamp"), ("processed", "event_date")])
def test_a_row_that_is_gone_is_missing(proving: Proving, world: World, table: str, range_key: str) -> None:
    proving.send()
    world.deliver()
    delete(world, getattr(world, table), range_key)
    found = proving.verify(timeout=5)
    assert [one.split(": ")[1] for one in found.missing] == [f"{table} row"]
    assert (found.found[table], proving.failed()) == (39, True)


@pytest.mark.matrix
def test_what_never_arrives_is_missing_when_the_time_is_over_and_not_before(proving: Proving, run: Run) -> None:
    proving.send()
    run.clock.delivers = False
    found = proving.verify(timeout=20)
    assert len(found.missing) == 40 and found.found["raw"] == 40
    assert 20 <= found.seconds <= 22


@pytest.mark.matrix
@pytest.mark.parametrize(
    "attributes",
    [
        {"temperature": {"N": "21.01"}},
        {"temperature_fahrenheit": {"N": "70"}},
        {"temperature_celsius": {"N": "1"}},
        {"sensor_data": {"M": {"battery": {"S": "full"}}}},
        {"sensor_data": {"M": {}}},
        {"status": {"S": "failed"}},
    ],
)
def test_a_processed_row_with_anything_changed_is_different(
    proving: Proving, world: World, attributes: dict[str, Any]
) -> None:
    proving.send()
    world.deliver()
    change(world, world.processed, **attributes)
    found = proving.verify(timeout=5)
    assert (len(found.different), found.missing, proving.failed()) == (1, [], True)
    assert found.seconds < 5, "no time would mend that"


@pytest.mark.matrix
def test_a_raw_row_with_another_value_is_different(proving: Proving, world: World) -> None:
    proving.send()
    change(world, world.raw, sensor_data={"M": {"temperature": {"N": "0"}}})
    found = proving.verify(timeout=5)
    assert len(found.different) == 1 and '{"temperature": 0}' in found.different[0]


def test_a_number_written_otherwise_is_the_same(proving: Proving, world: World) -> None:
    proving.send(count=1, devices=1)
    world.deliver()
    item = world.rows(world.processed)[0]
    change(world, world.processed, temperature={"N": item["temperature"]["N"] + "00"})
    assert proving.verify().proven


@pytest.mark.matrix
@pytest.mark.parametrize("table", ["raw", "processed"])
def test_a_second_row_of_one_reading_is_told(proving: Proving, world: World, table: str) -> None:
    proving.send()
    world.deliver()
    item = sorted(world.rows(getattr(world, table)), key=str)[0]
    if table == "raw":
        key = {"timestamp": {"N": item["timestamp"]["N"].split(".")[0] + ".5"}}
    else:
        key = {"event_date": {"S": item["event_date"]["S"][:-3] + "999"}}
    change(world, getattr(world, table), **key)
    found = proving.verify()
    assert [one.split(": ")[1] for one in found.doubled] == [f"{table} row 2 times"]
    assert proving.failed()


@pytest.mark.matrix
def test_rows_of_earlier_runs_between_ours_do_not_matter(proving: Proving, world: World) -> None:
    reading = {"device_id": "sensor-001", "timestamp": NOON - 3_600_000, "sensor_data": {"temperature": 1}}
    world.ingest(reading)
    proving.send()
    assert proving.verify().proven
    proving.send()
    assert proving.verify().proven


@pytest.mark.matrix
@pytest.mark.parametrize(("emulator", "ago"), [(None, 3600), (Emulator("http://127.0.0.1:9"), 1)])
def test_what_an_earlier_run_has_left_proves_nothing_of_this_one(
    proving: Proving, world: World, run: Run, emulator: Emulator | None, ago: int
) -> None:
    run.aws.emulator = emulator
    proving.send(count=8)
    assert proving.verify().proven
    run.clock.clock.pass_(ago)
    proving.send(count=8)
    run.clock.delivers = False
    found = proving.verify(timeout=5)
    assert (found.found["raw"], found.found["processed"], len(found.missing)) == (8, 0, 8)
    assert all("there is one of an earlier run" in one for one in found.missing)
    run.clock.delivers = True
    found = proving.verify()
    assert found.proven and min(map(min, (values for values in found.hops.values() if values))) >= 0


@pytest.mark.matrix
def test_of_a_reading_that_was_sent_twice_either_sending_may_have_made_the_row(proving: Proving, run: Run) -> None:
    run.aws.emulator = Emulator("http://127.0.0.1:9")
    proving.send(count=8)
    accepted = proving.proof.tally.accepted
    accepted[:0] = [replace(each, sent_at=each.sent_at + 5, accepted_at=each.accepted_at + 5) for each in accepted]
    assert proving.verify().proven


@pytest.mark.matrix
@pytest.mark.parametrize(("times", "proven"), [(1, True), (100, False)])
def test_a_row_that_a_query_has_seen_is_asked_for_again_before_it_counts_as_gone(
    proving: Proving, gateway: Gateway, times: int, proven: bool
) -> None:
    proving.send(count=10, devices=1)
    options: list[Request] = []

    def forgetful(request: Request) -> Reply | None:
        options.extend([request] if request.parameters.get("table") == "processed" else [])
        blind = options and request is options[-1] and 2 < len(options) <= 2 + times
        return answering(200, '{"count": 0, "items": []}')(request) if blind else None

    gateway.faults.extend([forgetful] * 200)
    found = proving.verify()
    assert (found.proven, len(found.missing)) == (proven, 0 if proven else 10)


def test_rows_that_others_have_put_there_do_not_matter(proving: Proving, world: World) -> None:
    proving.send(count=4, devices=1)
    stamps = {name: {"S": "2026-11-22T11:30:00.000Z"} for name in ("received_at", "processed_at")}
    foreign: list[dict[str, Any]] = [
        {},
        stamps,
        {**stamps, "timestamp": {"S": "noon"}, "sensor_data": {"S": "none"}},
        {**stamps, "timestamp": {"N": "1.5"}},
        {**stamps, "timestamp": {"N": "1E+30"}},
        {"timestamp": {"N": "1"}, "received_at": {"N": "1"}},
    ]
    for second, attributes in enumerate(foreign):
        key = {"device_id": {"S": "sensor-001"}, "event_date": {"S": f"2026-11-22T11:30:0{second}"}}
        world.dynamodb.put_item(TableName=world.processed, Item={**key, **attributes})
    assert proving.verify().proven


@pytest.mark.matrix
def test_a_row_that_does_not_say_when_it_was_made_is_different(proving: Proving, world: World) -> None:
    proving.send(count=6)
    world.deliver()
    change(world, world.processed, processed_at={"S": "soon"})
    change(world, world.processed, index=1, received_at={"N": "5"})
    assert len(proving.verify(timeout=5).different) == 2


def test_where_nothing_was_accepted_nothing_is_proven(proving: Proving, world: World) -> None:
    world.configure(past_days=0, future_minutes=0)
    world.clock.pass_(1)
    proving.send(count=4)
    assert not proving.verify().proven


@pytest.mark.matrix
def test_a_reading_that_came_twice_in_one_run_needs_one_row_only(proving: Proving, run: Run) -> None:
    proving.send(count=10)
    proving.proof.tally.accepted += proving.proof.tally.accepted[:3]
    found = proving.verify()
    assert found.proven and found.expected == 10


@pytest.mark.matrix
def test_a_bad_reading_that_has_a_row_is_astray_whatever_it_was_answered(proving: Proving, world: World) -> None:
    proving.send(bad=1)
    (bad,) = proving.load.rejections
    moment = proving.load.good[0].timestamp
    change(world, world.raw, timestamp={"N": f"{moment}.5"}, reading_id={"S": bad.reading_id})
    found = proving.verify()
    assert len(found.astray) == 1 and "has a raw row" in found.astray[0]


@pytest.mark.matrix
def test_poison_that_never_gets_into_the_dlq_is_astray(proving: Proving, run: Run, world: World) -> None:
    proving.send(bad=4)
    world.bodies(world.queue)
    found = proving.verify(timeout=5)
    assert (found.poison, found.dead) == (2, 0)
    assert len([one for one in found.astray if "0 times in the DLQ" in one]) == 2


@pytest.mark.matrix
def test_poison_of_an_earlier_run_or_twice_or_altered_does_not_count(proving: Proving, world: World) -> None:
    proving.send(bad=4)
    assert proving.verify().proven
    proving.send(bad=4)
    world.bodies(world.queue)
    first, second = proving.load.poisons
    for body in (first.body, first.body, second.body + " "):
        world.sqs.send_message(QueueUrl=world.dead, MessageBody=body)
    found = proving.verify(timeout=5)
    assert found.dead == 0
    assert sorted(one.split(" times")[0][-1] for one in found.astray) == ["0", "2"]


@pytest.mark.matrix
def test_the_dlq_keeps_what_is_in_it_and_shows_it_at_once(proving: Proving, world: World) -> None:
    others = {f"somebody else's {number}" for number in range(25)}
    for body in others:
        world.sqs.send_message(QueueUrl=world.dead, MessageBody=body)
    proving.send(bad=6)
    assert proving.verify().proven
    bodies = world.bodies(world.dead)
    assert sorted(bodies) == sorted(others | {one.body for one in proving.load.poisons})


def test_a_look_that_fails_half_way_hides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(15):
        world.sqs.send_message(QueueUrl=world.dead, MessageBody=str(number))
    receive, seen = world.sqs.receive_message, []

    def once(**given: Any) -> Any:
        if seen:
            raise KeyboardInterrupt
        seen.append(receive(**given))
        return seen[0]

    monkeypatch.setattr(world.sqs, "receive_message", once)
    with pytest.raises(KeyboardInterrupt):
        dead_letters.peek(world.sqs, world.dead, 0)
    monkeypatch.undo()
    assert len(world.bodies(world.dead)) == 15


def test_a_look_ends_also_where_messages_come_round_again(world: World) -> None:
    world.sqs.send_message(QueueUrl=world.dead, MessageBody="one")

    class NothingStaysHidden:
        def receive_message(self, **given: Any) -> Any:
            return world.sqs.receive_message(**{**given, "VisibilityTimeout": 0})

        def __getattr__(self, name: str) -> Any:
            return getattr(world.sqs, name)

    assert list(dead_letters.peek(NothingStaysHidden(), world.dead, 0).values()) == ["one"]


def test_the_time_limit_follows_the_queue(proving: Proving, world: World, run: Run, place: Deployment) -> None:
    proving.send(bad=2)
    without = send_test_data.default_timeout(Load(proving.load.good), run, place)
    assert send_test_data.default_timeout(proving.load, run, place) == without + 30 * 3


def test_nothing_is_queued_where_the_api_lets_nobody_in(proving: Proving, gateway: Gateway, world: World) -> None:
    gateway.secret = "another"
    with pytest.raises(Exception, match="credentials"):
        proving.send(bad=10)
    assert not world.bodies(world.queue)
    assert len(gateway.requests) == 1
