"""Nothing is lost or duplicated while a quarter of the AWS calls fail, clients retry and workers die."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from iotpipe.handlers import aws, ingestion, processor
from tests.support.handlers_world import NOON, World, failure, proxy_event, sqs_record

pytestmark = pytest.mark.matrix

READINGS = 640
OPERATIONS = [("dynamodb", "BatchWriteItem"), ("sqs", "SendMessageBatch")]
ERRORS = [
    ("ProvisionedThroughputExceededException", 400),
    ("ThrottlingException", 400),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
]


class Killed(BaseException):
    """The worker dies during a call; handlers must not catch this."""


class Faults:
    """Fails a quarter of the calls: before, after (a lost response) or in part; sometimes the worker dies."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self._kind = ""
        self._undone: dict[str, Any] = {}

    def before_call(self, model: Any, params: dict[str, Any], **_: Any) -> Any:
        self._undone = {}
        self._kind = self._draw()
        self.seen[self._kind] += 1
        if self._kind == "killed before":
            raise Killed
        if self._kind == "before":
            return failure(*self.random.choice(ERRORS))
        if self._kind == "partly":
            self._leave_some_out(params)
        return None

    def _draw(self) -> str:
        if self.random.random() < 0.25:
            return self.random.choice(["before", "lost", "partly"])
        return self.random.choice(["killed before", "killed after"]) if self.random.random() < 0.05 else "none"

    def _leave_some_out(self, params: dict[str, Any]) -> None:
        body = json.loads(params["body"])
        table, entries = next(iter(body.get("RequestItems", {"": body.get("Entries")}).items()))
        out = self.random.sample(entries, self.random.randrange(len(entries)))
        for entry in out:
            entries.remove(entry)
        params["body"] = json.dumps(body).encode()
        failed = [{"Id": entry.get("Id"), "SenderFault": False, "Code": "InternalError"} for entry in out]
        self._undone = {"UnprocessedItems": {table: out}} if table else {"Failed": failed}

    def before_send(self, event_name: str, request: Any, **_: Any) -> Any:
        if self._kind not in ("lost", "killed after"):
            return None
        botocore_stubber(event_name, request)
        raise Killed if self._kind == "killed after" else ConnectionClosedError(endpoint_url=request.url)

    def after_call(self, parsed: dict[str, Any], **_: Any) -> None:
        parsed.update(self._undone)


@pytest.fixture(params=range(3))
def faults(world: World, request: pytest.FixtureRequest) -> Iterator[Faults]:
    planned = Faults(request.param)
    world.clock.jitter = planned.random.random
    hooks = [
        (aws.client(service).meta.events, f"{event}.{service}.{operation}", hook)
        for service, operation in OPERATIONS
        for event, hook in [
            ("before-call", planned.before_call),
            ("before-send", planned.before_send),
            ("after-call", planned.after_call),
        ]
    ]
    for events, name, hook in hooks:
        events.register_first(name, hook)
    yield planned
    for events, name, hook in hooks:
        events.unregister(name, hook)


def some_readings(dice: random.Random) -> list[dict[str, Any]]:
    """Return distinct readings of a few devices, many within the same few milliseconds."""
    return [
        {
            "device_id": f"sensor-{dice.randrange(4)}",
            "timestamp": NOON - dice.randrange(50),
            "sensor_data": {"temperature": dice.randrange(-400, 400) / 10, "n": index},
        }
        for index in range(READINGS)
    ]


class Clients:
    """Clients that retry their batches until they are acknowledged, and sometimes once more."""

    def __init__(self, world: World, readings: list[dict[str, Any]], dice: random.Random) -> None:
        self._world, self._dice = world, dice
        self.waiting: list[list[dict[str, Any]]] = []
        while readings:
            count = dice.randrange(1, 25)
            self.waiting.append(readings[:count])
            readings = readings[count:]

    def send_one(self) -> None:
        batch = self.waiting.pop(self._dice.randrange(len(self.waiting)))
        event = proxy_event("POST", "/ingest", body=json.dumps({"readings": batch}))
        try:
            answer = ingestion.lambda_handler(event, self._world.context())
        except Killed:
            answer = {"statusCode": 502}
        assert answer["statusCode"] in (200, 502, 503)
        if answer["statusCode"] != 200 or self._dice.random() < 0.1:
            self.waiting.append(batch)


class Poller:
    """A poller that delivers messages out of order and sometimes twice, and returns them when the worker dies."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world, self._dice = world, dice
        self._delivered: list[dict[str, Any]] = []
        self.redriven = 0

    def deliver_one(self) -> bool:
        messages = self._world.receive(self._world.queue)
        self._dice.shuffle(messages)
        if not messages:
            return False
        again = self._dice.sample(self._delivered, min(len(self._delivered), self._dice.randrange(3)))
        known = {message["MessageId"] for message in messages}
        batch = messages + [message for message in again if message["MessageId"] not in known]
        try:
            answer = processor.lambda_handler({"Records": list(map(sqs_record, batch))}, self._world.context())
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        except Killed:
            failed = {message["MessageId"] for message in messages}
        self._world.settle(messages, failed)
        self._delivered += [message for message in messages if message["MessageId"] not in failed]
        return True

    def redrive(self) -> bool:
        """Redrive the dead-letter queue; returns whether it had messages."""
        bodies = self._world.bodies(self._world.dead)
        for body in bodies:
            self._world.put_message(body)
        self.redriven += len(bodies)
        return bool(bodies)


def test_every_reading_is_in_both_tables_exactly_once(world: World, faults: Faults) -> None:
    readings = some_readings(faults.random)
    clients, poller = Clients(world, readings, faults.random), Poller(world, faults.random)
    while clients.waiting:
        clients.send_one()
        for _ in range(faults.random.randrange(8)):
            poller.deliver_one()
    while poller.deliver_one() or poller.redrive():
        pass
    assert min(faults.seen[kind] for kind in ("before", "lost", "partly")) > 20
    assert min(faults.seen[kind] for kind in ("killed before", "killed after")) > 1
    expected = sorted(
        (one["device_id"], one["timestamp"], one["sensor_data"]["n"], Decimal(str(one["sensor_data"]["temperature"])))
        for one in readings
    )
    assert sorted(map(raw_facts, world.rows(world.raw))) == expected
    assert sorted(map(processed_facts, world.rows(world.processed))) == expected


def raw_facts(row: dict[str, Any]) -> tuple[Any, ...]:
    metrics = row["sensor_data"]["M"]
    return facts(row, metrics["n"], metrics["temperature"])


def processed_facts(row: dict[str, Any]) -> tuple[Any, ...]:
    assert Decimal(row["temperature_fahrenheit"]["N"]) == Decimal(row["temperature"]["N"]) * 9 / 5 + 32
    return facts(row, row["sensor_data"]["M"]["n"], row["temperature"])


def facts(row: dict[str, Any], number: dict[str, str], temperature: dict[str, str]) -> tuple[Any, ...]:
    milliseconds = int(Decimal(row["timestamp"]["N"]))
    return row["device_id"]["S"], milliseconds, int(number["N"]), Decimal(temperature["N"])
