"""Publish readings over MQTT as the devices that made them, one connection for each, and record the outcome."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from iotpipe.devices.connection import Acknowledged, Closed, Connection, Notice
from iotpipe.errors import Interrupted, IotpipeError
from iotpipe.names import Names
from iotpipe.provision.run import Run
from iotpipe.readings import exact_json
from iotpipe.readings.bad_readings import Rejection
from iotpipe.readings.generate import Reading
from iotpipe.readings.send import Receipt, Tally
from iotpipe.readings.workers import run_until_done

_UNACKNOWLEDGED = 50
"""Messages of a connection that may wait for their acknowledgement."""
_FASTEST = 80
"""Messages a second of one connection. AWS IoT takes 100, and drops what is above without an answer."""
_CATCH_UP = 0.2
"""Seconds of messages that a connection may send at once after it had to wait; with more it would exceed AWS's 100."""
PATIENCE = 60
"""Seconds without any acknowledgement after which a device's messages count as failed."""
_LOOK = 0.2
"""Seconds between two looks whether the command was stopped."""


@dataclass(frozen=True)
class Outgoing:
    """One MQTT message: readings of one device, or one bad payload."""

    payload: bytes
    content: Sequence[Reading] | Rejection

    @property
    def readings(self) -> Sequence[Reading]:
        return () if isinstance(self.content, Rejection) else self.content


def outgoing(readings: Sequence[Reading], batch: int, bad: Sequence[Rejection]) -> dict[str, list[Outgoing]]:
    """The messages of each device, at most `batch` readings in one. The bad ones come first: they take longest."""
    of_device: dict[str, list[Reading]] = {}
    for reading in readings:
        of_device.setdefault(reading.device_id, []).append(reading)
    found = {
        device_id: [Outgoing(payload(part), part) for part in _parts(its, batch)]
        for device_id, its in of_device.items()
    }
    for each in bad:
        found[each.device_id].insert(0, Outgoing(each.body.encode(), each))
    return found


def _parts(readings: Sequence[Reading], most: int) -> Iterator[Sequence[Reading]]:
    return (readings[start : start + most] for start in range(0, len(readings), most))


def payload(readings: Sequence[Reading]) -> bytes:
    """What a device publishes: a reading, or an array of several. Who it is, AWS knows from its certificate."""
    documents = [{name: value for name, value in each.document().items() if name != "device_id"} for each in readings]
    return exact_json.dumps(documents[0] if len(documents) == 1 else documents).encode()


@dataclass
class _Device:
    """The state of one device's sending."""

    connection: Connection
    topic: str
    left: deque[Outgoing]
    waiting: dict[int, tuple[Outgoing, float]] = field(default_factory=dict)
    closed: str = ""

    @property
    def done(self) -> bool:
        return not self.left and not self.waiting


class Publisher:
    """The connections of some devices. They stay open until it is left, so that notices of refusals arrive."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        names: Names,
        run: Run,
        rate: float = 0.0,
        tell: Callable[[Tally], None] = lambda tally: None,
        patience: float = PATIENCE,
    ) -> None:
        """`connections` are those of the devices by id; `rate` is in readings per second of all, 0 is unlimited.

        After `patience` seconds without any acknowledgement a device's messages count as failed.
        """
        self._connections = connections
        self._names = names
        self._run = run
        self._rate = rate
        self._tell = tell
        self._patience = patience
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._unexpected: BaseException | None = None
        self.tally = Tally()
        self.notices: dict[str, list[bytes]] = {device_id: [] for device_id in connections}
        """What came on the errors topic of each device."""

    def __enter__(self) -> Publisher:
        for each in self._connections.values():
            each.subscribe(self._names.errors_topic(each.thing))
            self._stack.enter_context(each)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def send(self, messages: Mapping[str, Sequence[Outgoing]]) -> Tally:
        """Publish the messages of each device with QoS 1. A message counts when it is acknowledged.

        Ctrl-C publishes no further message.
        """
        self.tally.total = sum(len(each.readings) for its in messages.values() for each in its)
        began = self._run.clock.now()
        works = [partial(self._work, device_id, its) for device_id, its in messages.items()]
        self.tally.interrupted = run_until_done(works, self._run)
        if self._unexpected:
            raise self._unexpected
        self.tally.seconds = self._run.clock.now() - began
        return self.tally

    def hear(self) -> None:
        """Take the notices that have come since."""
        for device_id, connection in self._connections.items():
            while True:
                try:
                    event = connection.events.get_nowait()
                except queue.Empty:
                    break
                if isinstance(event, Notice):
                    self.notices[device_id].append(event.payload)

    def _work(self, device_id: str, messages: Sequence[Outgoing]) -> None:
        connection = self._connections[device_id]
        device = _Device(connection, self._names.basic_ingest_topic(connection.thing), deque(messages))
        try:
            self._publish_all(device_id, device)
        except Interrupted:
            return
        except BaseException as error:  # noqa: BLE001 - a defect of iotpipe; the main thread raises it
            self._unexpected = error

    def _publish_all(self, device_id: str, device: _Device) -> None:
        clock = self._run.clock
        due = answered = clock.now()
        while not device.done and not self._run.stop.is_set():
            now = clock.now()
            while device.left and len(device.waiting) < _UNACKNOWLEDGED and now >= due:
                message = device.left.popleft()
                number = device.connection.publish(device.topic, message.payload)
                device.waiting[number] = message, now
                due = max(due, now - _CATCH_UP) + self._interval(message)
            room = device.left and len(device.waiting) < _UNACKNOWLEDGED
            wait = max(0.0, min(_LOOK, due - now)) if room else _LOOK
            if self._settle(device_id, device, wait) or not device.waiting:
                answered = clock.now()
            elif clock.now() - answered > self._patience:
                return self._fail(device)

    def _interval(self, message: Outgoing) -> float:
        """Seconds from this message of a connection to its next one."""
        shortest = 1 / _FASTEST if self._run.aws.eventually_consistent else 0.0
        wanted = len(message.readings) * len(self._connections) / self._rate if self._rate else 0.0
        return max(shortest, wanted)

    def _settle(self, device_id: str, device: _Device, wait: float) -> bool:
        """Wait for what happens next to the device's messages; whether one was answered."""
        try:
            event = device.connection.events.get(timeout=wait) if wait else device.connection.events.get_nowait()
        except queue.Empty:
            return False
        if isinstance(event, Closed):
            device.closed = event.reason
            with self._lock:
                self.tally.retried[event.reason] += 1
        elif isinstance(event, Notice):
            self.notices[device_id].append(event.payload)
        elif event.message in device.waiting:
            self._record(event, *device.waiting.pop(event.message))
            return True
        return False

    def _record(self, answer: Acknowledged, message: Outgoing, sent_at: float) -> None:
        now = self._run.clock.now()
        with self._lock:
            self.tally.latencies.append(now - sent_at)
            if isinstance(message.content, Rejection):
                if answer.reason:
                    self.tally.bad_not_refused.append((message.content, answer.reason))
                else:
                    self.tally.bad_refused.append(message.content)
            elif answer.reason:
                self.tally.refused += [(reading, answer.reason) for reading in message.readings]
            else:
                self.tally.accepted += [Receipt(reading, sent_at, now) for reading in message.readings]
        self._tell(self.tally)

    def _fail(self, device: _Device) -> None:
        reason = device.closed or f"no acknowledgement in {self._patience:.0f} s"
        messages = [message for message, _ in device.waiting.values()] + list(device.left)
        error = IotpipeError(
            f"{device.connection.thing} gets no acknowledgement from AWS IoT: {reason}",
            "`iotpipe device show` shows whether its certificate is active. A firewall may close the port, and AWS "
            "needs some minutes after a change of the devices' policy",
        )
        with self._lock:
            for message in messages:
                if isinstance(message.content, Rejection):
                    self.tally.bad_not_refused.append((message.content, reason))
                else:
                    self.tally.failed += [(reading, reason) for reading in message.readings]
            self.tally.error = self.tally.error or error
