"""Publishing as devices: at AWS's pace, and each message with the outcome that it had."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from iotpipe.devices.connection import Acknowledged, Closed, Connection, Event, Notice
from iotpipe.names import Names
from iotpipe.provision.run import Run
from iotpipe.readings.bad_readings import rejections
from iotpipe.readings.generate import Reading
from iotpipe.readings.mqtt_send import Publisher, outgoing
from iotpipe.readings.send import Tally

NAMES = Names("dev")
Answer = Callable[[int], list[Event]]


@dataclass
class Time:
    """Time that passes only while somebody waits for an event."""

    seconds: float = 1_800_000_000.0

    def now(self) -> float:
        return self.seconds


@dataclass
class Aws:
    eventually_consistent: bool


@dataclass
class StandIn:
    """What a Publisher needs of a run: time, AWS or an emulator, and whether the user has stopped it."""

    clock: Time
    aws: Aws
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass
class Broker:
    """A connection whose messages are answered at once, as `answer` says of the message's number."""

    clock: Time
    answer: Answer
    thing: str = "dev:roof"
    sent: list[tuple[float, str, bytes]] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)

    @property
    def events(self) -> Broker:
        return self

    def publish(self, topic: str, payload: bytes) -> int:
        self.sent.append((self.clock.now(), topic, payload))
        self.waiting += self.answer(len(self.sent))
        return len(self.sent)

    def get(self, timeout: float) -> Event:
        if not self.waiting:
            self.clock.seconds += timeout
        return self.get_nowait()

    def get_nowait(self) -> Event:
        if not self.waiting:
            raise queue.Empty
        return self.waiting.pop(0)


def readings(number: int) -> list[Reading]:
    return [Reading("roof", 1_800_000_000_000 + each, {"temperature": each}) for each in range(number)]


def acknowledged(number: int) -> list[Event]:
    return [Acknowledged(number)]


def publish(
    sent: Sequence[Reading],
    answer: Answer = acknowledged,
    *,
    on_aws: bool = True,
    rate: float = 0.0,
    batch: int = 1,
    bad: int = 0,
) -> tuple[Tally, Broker, Publisher]:
    time = Time()
    broker, run = Broker(time, answer), cast(Run, StandIn(time, Aws(on_aws)))
    publisher = Publisher({"roof": cast(Connection, broker)}, NAMES, run, rate)
    tally = publisher.send(outgoing(sent, batch, rejections(bad, sent, "m")))
    return tally, broker, publisher


def most_in_a_second(broker: Broker) -> int:
    times = [at for at, _, _ in broker.sent]
    return max(sum(begin <= at < begin + 1 for at in times) for begin in times)


def test_a_connection_keeps_below_the_hundred_messages_a_second_that_aws_takes() -> None:
    tally, broker, _ = publish(readings(400))
    assert len(tally.accepted) == 400 and most_in_a_second(broker) <= 100


def test_after_a_wait_it_does_not_send_what_it_has_missed_all_at_once() -> None:
    """The fiftieth acknowledgement comes ten seconds late, and with it room for more messages."""

    def late(number: int) -> list[Event]:
        return [Acknowledged(each) for each in range(1, 51)] if number == 50 else acknowledged(number) * (number > 50)

    time = Time()
    broker, run = Broker(time, late), cast(Run, StandIn(time, Aws(True)))
    get_nowait = broker.get_nowait

    def get(timeout: float) -> Event:
        if len(broker.sent) == 50 and broker.waiting:
            time.seconds += 10
        elif not broker.waiting:
            time.seconds += timeout
        return get_nowait()

    broker.get = get  # type: ignore[method-assign] # this broker is late once
    Publisher({"roof": cast(Connection, broker)}, NAMES, run).send(outgoing(readings(300), 1, ()))
    assert len(broker.sent) == 300 and most_in_a_second(broker) <= 100


@pytest.mark.parametrize("batch", [1, 10])
def test_a_rate_is_one_of_readings_however_many_a_message_has(batch: int) -> None:
    tally, broker, _ = publish(readings(100), rate=20, batch=batch)
    assert len(tally.accepted) == 100
    first, last = broker.sent[0][0], broker.sent[-1][0]
    assert last - first == pytest.approx((100 - batch) / 20, abs=0.5)


def test_aws_limits_messages_and_not_the_readings_in_them() -> None:
    _, broker, _ = publish(readings(1000), rate=100_000, batch=25)
    assert len(broker.sent) == 40
    assert broker.sent[-1][0] - broker.sent[0][0] < 1


def test_a_refused_message_is_told_with_its_reason_and_a_bad_one_that_is_taken_is_followed_later() -> None:
    tally, _, _ = publish(
        readings(3), lambda number: [Acknowledged(number, "Not authorized" if number == 3 else "")], bad=1
    )
    assert [reason for _, reason in tally.refused] == ["Not authorized"]
    assert (len(tally.accepted), len(tally.bad_refused)) == (2, 1)


def test_a_device_without_acknowledgements_ends_with_what_is_known_of_its_connection() -> None:
    tally, _, _ = publish(readings(3), lambda number: [Closed("Not authorized")] if number == 1 else [])
    assert [reason for _, reason in tally.failed] == ["Not authorized"] * 3
    assert tally.error and "dev:roof gets no acknowledgement from AWS IoT: Not authorized" in tally.error.message
    assert tally.retried == {"Not authorized": 1}


def test_what_the_device_is_told_meanwhile_is_kept() -> None:
    told = Notice(NAMES.errors_topic("dev:roof"), b'{"problems": []}')
    _, _, publisher = publish(readings(1), lambda number: [told, Acknowledged(number)])
    assert publisher.notices == {"roof": [told.payload]}


def test_it_publishes_to_basic_ingest_and_does_not_say_who_it_is() -> None:
    _, broker, _ = publish(readings(1))
    [(_, topic, payload)] = broker.sent
    assert topic == "$aws/rules/iotpipe_dev/iotpipe/dev/dev:roof/readings"
    assert b"device_id" not in payload and b'"temperature"' in payload
