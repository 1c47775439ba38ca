"""Where each kind of resource stands in the picture of the data flow, or why it has no box of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.table import Table


@dataclass(frozen=True)
class Boxes:
    """A kind with boxes: their column and row, counted from 0, by the name without its suffix. A row without any box
    is left out of the picture.

    `note` says what the box tells besides the name. A kind that is drawn `together` has one box for all its resources.
    """

    places: Mapping[str, tuple[int, int]]
    note: Callable[[Any], str] = lambda resource: ""
    together: str = ""


@dataclass(frozen=True)
class NoBox:
    """A kind without a box, and the reason."""

    reason: str


def _table(table: Table) -> str:
    return f"DynamoDB, by {table.range_key[0]}"


def _queue(queue: Queue) -> str:
    return f"SQS, keeps {_duration(queue.retention)}"


def _duration(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} s"


DEVICES = (0, 0)
"""The place of whoever calls the API. The columns to the right of it are left to the heading."""

PLACES: Mapping[str, Boxes | NoBox] = {
    "topic-rule": Boxes({"iotpipe": (0, 1)}, lambda rule: "AWS IoT, MQTT"),
    "rest-api": Boxes({"iot-api": (0, 2)}, lambda api: "API Gateway"),
    "function": Boxes(
        {"data-ingestion": (1, 2), "data-processor": (1, 4), "data-query": (2, 3)},
        lambda function: f"Lambda, {function.memory} MB, {function.timeout} s",
    ),
    "table": Boxes({"raw-sensor-data": (2, 2), "processed-data": (2, 4)}, _table),
    "queue": Boxes({"iot-device-queue": (1, 1), "iot-dlq": (0, 3), "iot-ingestion-queue": (1, 3)}, _queue),
    "alarm": Boxes({"": (0, 5)}, lambda alarm: "CloudWatch", together="alarms"),
    "topic": Boxes({"iot-alerts": (1, 5)}, lambda topic: "SNS"),
    "subscription": Boxes({"": (2, 5)}, lambda subscription: "e-mail", together="addresses"),
    "route": NoBox("it is the arrow from the API to its function"),
    "event-source-mapping": NoBox("it is the arrow from the queue to its function"),
    "permission": NoBox("it allows what its route draws"),
    "role": NoBox("it allows what the arrows of its function draw"),
    "stage": NoBox("it publishes the API and is part of its box"),
    "iot-policy": NoBox("it allows what devices do"),
    "layer": NoBox("it holds code"),
    "parameter": NoBox("it holds settings"),
    "secret": NoBox("it holds the API key, which a request has to match"),
    "log-group": NoBox("it holds logs"),
    "api-gateway-account": NoBox("it allows API Gateway to write logs"),
    "dashboard": NoBox("it shows metrics"),
}
"""Every kind of the pipeline. A resource of a kind with boxes needs a place."""


def place_of(resource: Resource) -> tuple[int, int] | None:
    """The column and row of a resource; None if it has no box. Raises LookupError if the table does not know it."""
    kind = PLACES[resource.kind]
    if isinstance(kind, NoBox):
        return None
    for base, place in kind.places.items():
        if not base or resource.name.startswith((f"{base}-", f"{base}_")):
            return place
    raise LookupError(f"{resource.address} has no place in the picture of the data flow")
