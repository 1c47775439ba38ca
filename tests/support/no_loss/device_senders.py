"""Devices that keep each reading until it is acknowledged, and an embedded AWS that is killed meanwhile."""

from __future__ import annotations

import json
import sqlite3
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from iotpipe.names import Names
from tests.support.local_machine import Machine, eventually

NAMES = Names("local")
_IN_FLIGHT = 5
"""Readings of a connection that wait for their acknowledgement."""
_SECONDS = 300
"""How long a run may take."""

Reading = tuple[str, int]
"""A device and the number of its reading."""


@dataclass
class Sender:
    """One device. `acknowledged` has the time of the first acknowledgement of each reading's number."""

    device: str
    folder: Path
    port: int
    count: int
    began: int
    """The time of the first reading, in epoch milliseconds."""
    acknowledged: dict[int, float] = field(default_factory=dict)
    connections: list[float] = field(default_factory=list)
    """When each of them was made."""
    sent_again: int = 0

    def run(self, give_up: threading.Event) -> None:
        """Send every reading, with new connections where one ends."""
        while len(self.acknowledged) < self.count and not give_up.wait(0.05):
            # The embedded AWS is away, or has ended the connection.
            with suppress(OSError):
                self._send_over_one_connection(give_up)

    def _send_over_one_connection(self, give_up: threading.Event) -> None:
        waiting = iter([number for number in range(self.count) if number not in self.acknowledged])
        in_flight: dict[int, int] = {}
        state = {"connected": False, "closed": False}
        client = Client(CallbackAPIVersion.VERSION2, NAMES.thing(self.device), protocol=MQTTProtocolVersion.MQTTv5)
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.connect_timeout = _SECONDS  # paho does not close a socket whose handshake took too long
        client.tls_set_context(self._context())
        client.on_connect = lambda client, data, flags, code, properties: state.update(connected=not code.is_failure)
        client.on_disconnect = lambda client, data, flags, code, properties: state.update(closed=True)
        client.on_publish = lambda client, data, mid, code, properties: self._note(in_flight.pop(mid), code)
        client.connect("localhost", self.port, keepalive=30)
        self.connections.append(time.time())
        while len(self.acknowledged) < self.count and not state["closed"] and not give_up.is_set():
            room = _IN_FLIGHT - len(in_flight) if state["connected"] else 0
            for number in islice(waiting, room):
                in_flight[
                    client.publish(NAMES.basic_ingest_topic(NAMES.thing(self.device)), self._body(number), 1).mid
                ] = number
            client.loop(0.2)
        self.sent_again += len(in_flight)
        client.disconnect()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "private.key")
        return context

    def _body(self, number: int) -> bytes:
        return json.dumps({"sensor_data": {"number": number}, "timestamp": self.began + number}).encode()

    def _note(self, number: int, code: Any) -> None:
        assert not code.is_failure, code
        self.acknowledged.setdefault(number, time.time())


@dataclass(frozen=True)
class Figures:
    """What a run has seen. What is lost is missing in one of the tables, or in both; the counts add both tables."""

    readings: int
    connections: int
    acknowledged_before_the_kill: int
    acknowledged_before_the_last_save: int
    acknowledged_after_it: int
    sent_again: int
    lost_of_those_before_the_last_save: int
    lost_of_those_after_it_and_before_the_kill: int
    lost_of_those_after_the_kill: int
    twice: int
    never_sent: int
    dead_letters: int
    seconds_from_the_last_save_to_the_kill: float
    seconds: float
    acknowledged_per_second: float

    def __str__(self) -> str:
        """Return a table with one figure per line."""
        return "\n".join(f"{one.name.replace('_', ' '):45}{getattr(self, one.name):,}" for one in fields(self))


def run(machine: Machine, connections: int, readings: int) -> Figures:
    """Send the readings while the embedded AWS is killed and started again, and compare the tables with them."""
    return _Run(machine, connections, readings).figures()


class _Run:
    def __init__(self, machine: Machine, connections: int, readings: int) -> None:
        self.machine = machine
        self.devices = [f"device-{number:02}" for number in range(connections)]
        (machine.directory / "fleet.csv").write_text("\n".join(["device_id", *self.devices]))
        machine.run("device", "add", "--from", "fleet.csv")
        each, began = readings // connections, int(time.time() * 1000)
        port, folders = machine.record.mqtt_port, machine.directory / "devices"
        self.senders = [Sender(device, folders / device, port, each, began) for device in self.devices]
        self.readings = readings

    def figures(self) -> Figures:
        began, give_up = time.time(), threading.Event()
        with ThreadPoolExecutor(len(self.senders)) as pool:
            done = [pool.submit(sender.run, give_up) for sender in self.senders]
            try:
                eventually(lambda: self._all_connected() and self._acknowledged() * 4 > self.readings, _SECONDS)
                record = self.machine.record
                self.machine.send("POST", "/_iotpipe/save", {"X-Iotpipe-Secret": record.secret})
                eventually(lambda: self._acknowledged() * 2 > self.readings, _SECONDS)
                self.machine.kill()
                killed = time.time()
                saved = self._last_save()
                self.machine.run("local", "start")
                eventually(lambda: all(each.done() for each in done), _SECONDS)
            finally:
                give_up.set()
            for each in done:
                each.result()
        return self._judge(began, time.time(), saved, killed)

    def _acknowledged(self) -> int:
        return sum(len(sender.acknowledged) for sender in self.senders)

    def _all_connected(self) -> bool:
        return all(sender.connections for sender in self.senders)

    def _last_save(self) -> float:
        """When the last save began of an embedded AWS that has ended."""
        with closing(sqlite3.connect(self.machine.engine_directory.database)) as database:
            (seconds,) = database.execute("SELECT seconds FROM moment").fetchone()
        return float(seconds)

    def _judge(self, began: float, ended: float, saved: float, killed: float) -> Figures:
        tables = self._tables()
        expected = {(sender.device, number) for sender in self.senders for number in range(sender.count)}
        missing = {reading for rows in tables for reading in expected - rows.keys()}
        return Figures(
            readings=len(expected),
            connections=sum(len(sender.connections) for sender in self.senders),
            acknowledged_before_the_kill=len(self._between(0, killed)),
            acknowledged_before_the_last_save=len(self._between(0, saved)),
            acknowledged_after_it=len(self._between(saved, killed)),
            sent_again=sum(sender.sent_again for sender in self.senders),
            lost_of_those_before_the_last_save=len(missing & self._between(0, saved)),
            lost_of_those_after_it_and_before_the_kill=len(missing & self._between(saved, killed)),
            lost_of_those_after_the_kill=len(missing & self._between(killed, ended)),
            twice=sum(count - 1 for rows in tables for reading, count in rows.items()),
            never_sent=sum(reading not in expected for rows in tables for reading in rows),
            dead_letters=self._waiting(NAMES.dead_letter_queue),
            seconds_from_the_last_save_to_the_kill=round(killed - saved, 2),
            seconds=round(ended - began, 1),
            acknowledged_per_second=round(self.readings / (ended - began)),
        )

    def _between(self, begin: float, end: float) -> set[Reading]:
        """The readings whose first acknowledgement came in this time."""
        return {
            (sender.device, number)
            for sender in self.senders
            for number, moment in sender.acknowledged.items()
            if begin <= moment < end
        }

    def _tables(self) -> list[Counter[Reading]]:
        """The readings in the raw and in the processed table, once both queues are empty."""
        for queue in (NAMES.device_queue, NAMES.reading_queue):
            eventually(lambda queue=queue: not self._waiting(queue), _SECONDS)
        return [self._rows(table) for table in (NAMES.raw_table, NAMES.processed_table)]

    def _waiting(self, queue: str) -> int:
        sqs = self.machine.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        hidden = int(attributes["ApproximateNumberOfMessagesNotVisible"])
        return int(attributes["ApproximateNumberOfMessages"]) + hidden

    def _rows(self, table: str) -> Counter[Reading]:
        pages = self.machine.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return Counter(
            (row["device_id"]["S"], int(row["sensor_data"]["M"]["number"]["N"]))
            for page in pages
            for row in page["Items"]
        )
