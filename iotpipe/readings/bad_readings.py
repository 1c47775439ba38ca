"""Generate bad readings: bodies that the API must reject with 400, and poison messages that must end in the DLQ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iotpipe.readings import exact_json
from iotpipe.readings.generate import DAY, Reading


@dataclass(frozen=True)
class Rejection:
    """A body that must be refused with, among the problems, this field and code: by the API with 400, of an MQTT
    message of the device as a dead letter."""

    what: str
    body: str
    field: str
    code: str
    reading_id: str
    device_id: str


@dataclass(frozen=True)
class Poison:
    """A message that the processor cannot process, however often it is retried.

    Ingestion never writes one, so it is sent directly to the queue, as if by an incompatible producer.
    """

    what: str
    body: str


def rejections(count: int, readings: Sequence[Reading], marker: str) -> list[Rejection]:
    """`count` bad bodies, made from good readings, cycling through all kinds. Their ids contain `marker`."""
    return [
        _KINDS[number % len(_KINDS)](readings[number % len(readings)], f"{marker}-bad-{number + 1}")
        for number in range(count)
    ]


def _changed(what: str, field: str, code: str, **changes: object) -> Callable[[Reading, str], Rejection]:
    def make(reading: Reading, reading_id: str) -> Rejection:
        document = reading.document() | {"reading_id": reading_id} | changes
        return Rejection(what, exact_json.dumps(document), field, code, reading_id, reading.device_id)

    return make


def _rewritten(what: str, field: str, code: str, old: str, new: str) -> Callable[[Reading, str], Rejection]:
    """Replace text of the JSON document, for bodies that a JSON encoder cannot produce."""

    def make(reading: Reading, reading_id: str) -> Rejection:
        document = reading.document() | {"reading_id": reading_id, "sensor_data": {"temperature": 1}}
        text = exact_json.dumps(document).replace(old, new)
        return Rejection(what, text, field, code, reading_id, reading.device_id)

    return make


def _from_the_future(reading: Reading, reading_id: str) -> Rejection:
    # Later than any clock and any configurable time window.
    document = reading.document() | {"reading_id": reading_id, "timestamp": reading.timestamp + 5_000 * DAY}
    return Rejection(
        "a time in years to come", exact_json.dumps(document), "timestamp", "range", reading_id, reading.device_id
    )


_KINDS: tuple[Callable[[Reading, str], Rejection], ...] = (
    _changed("text for a number", "sensor_data.temperature", "type", sensor_data={"temperature": "hot"}),
    _changed("no metrics", "sensor_data", "type", sensor_data=None),
    _from_the_future,
    _rewritten("NaN", "sensor_data.temperature", "number", '"temperature": 1', '"temperature": NaN'),
    _changed("a device that cannot be", "device_id", "format", device_id="no such device"),
    _rewritten(
        "a key twice",
        "sensor_data.temperature",
        "duplicate_key",
        '"temperature": 1',
        '"temperature": 1, "temperature": 2',
    ),
    _changed("a boolean for a number", "sensor_data.humidity", "type", sensor_data={"humidity": True}),
    _changed("an unknown field", "sensor_dta", "unknown", sensor_dta={}),
    _rewritten("cut off", "body", "json", "}}", ""),
)


def poisons(count: int, marker: str) -> list[Poison]:
    """`count` poison messages, cycling through all kinds. `marker` in the body makes each unique."""
    return [_poison(number, f"{marker}-{number + 1}") for number in range(count)]


def _poison(number: int, marker: str) -> Poison:
    message = {
        "version": 1,
        "device_id": "poison",
        "event_date": "2024-01-15T10:30:00.000Z#000000000000000001",
        "timestamp": 1_705_314_600_000,
        "received_at": "2024-01-15T10:30:00.000Z",
        "reading_id": marker,
        "sensor_data": {"temperature": 20},
    }
    kinds = (
        ("cut off", json.dumps(message)[:-2]),
        ("of a version to come", json.dumps(message | {"version": 99})),
        ("text for a number", json.dumps(message | {"sensor_data": {"temperature": "hot"}})),
        ("without a key", json.dumps({name: message[name] for name in message if name != "event_date"})),
        ("no JSON", f"poison {marker}"),
    )
    return Poison(*kinds[number % len(kinds)])
