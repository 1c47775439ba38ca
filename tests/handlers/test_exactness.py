"""Values keep all their digits through ingestion, the queue, processing and the query."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.support.handlers_world import NOON, TODAY, World, answered, reading


def through(world: World, metrics: str, **changes: Any) -> dict[str, Any]:
    """Send a reading through the whole pipeline; `metrics` is a device's JSON text."""
    body = f'{{"device_id": "sensor-001", "timestamp": {NOON}, "sensor_data": {metrics}}}'
    assert world.ingest(body)["statusCode"] == 200
    world.deliver()
    (item,) = answered(world.query(device_id="sensor-001"))["items"]
    return item


def test_the_original_s_example_comes_out_as_the_number_that_went_in(world: World) -> None:
    item = through(world, '{"temperature": 25.5, "humidity": 60.2, "pressure": 1013.25}')
    assert (item["temperature"], item["humidity"], item["pressure"]) == (
        Decimal("25.5"),
        Decimal("60.2"),
        Decimal("1013.25"),
    )
    assert item["temperature_celsius"] == Decimal("25.5")
    assert item["temperature_fahrenheit"] == Decimal("77.9")
    assert item["status"] == "processed"
    assert item["timestamp"] == NOON
    assert item["event_date"].startswith("2026-11-22T12:00:00.000Z#")


@pytest.mark.parametrize(
    "celsius",
    [
        "0",
        "0.0",
        "-0",
        "-40",
        "21",
        "100",
        "36.6",
        "1e2",
        "-273.15",
        "-0.000000000000000000000000000000000001",
        "12345678901234567890.12345678901234567",
        "1E-36",
        "5E125",
    ],
)
def test_every_temperature_survives_and_is_converted_exactly(world: World, celsius: str) -> None:
    item = through(world, f'{{"temperature": {celsius}}}')
    assert item["temperature"] == item["temperature_celsius"] == Decimal(celsius)
    exact = Fraction(celsius) * 9 / 5 + 32
    assert Fraction(item["temperature_fahrenheit"]) == exact or digits_of(exact) > 38


@pytest.mark.parametrize("celsius", ["0." + "1234567890" * 3 + "12345679", "9" * 38, "1E-130", "-" + "9" * 38])
def test_a_conversion_of_more_than_38_digits_is_rounded_once(world: World, celsius: str) -> None:
    item = through(world, f'{{"temperature": {celsius}}}')
    assert item["temperature"] == Decimal(celsius)
    exact = Fraction(celsius) * 9 / 5 + 32
    got = Decimal(item["temperature_fahrenheit"])
    half_a_unit = Fraction(10) ** (got.adjusted() - 37) / 2
    assert abs(Fraction(got) - exact) <= half_a_unit


def digits_of(value: Fraction) -> int:
    scaled = value
    while scaled.denominator != 1:
        scaled *= 10
    return len(str(abs(scaled.numerator)).rstrip("0"))


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ('{"level": 12345678901234567890123456789012345678}', 12345678901234567890123456789012345678),
        ('{"level": 1E-130}', Decimal("1E-130")),
        (
            '{"level": 9.9999999999999999999999999999999999999E125}',
            Decimal("9.9999999999999999999999999999999999999E125"),
        ),
        ('{"level": 0.10000000000000000000000000000000000001}', Decimal("0.10000000000000000000000000000000000001")),
        ('{"Zustand": "grün ☀ \\ud83d\\ude00 😀", "ключ": "значение"}', None),
        ('{"ok": true, "bad": false, "none": null, "empty": "", "list": [], "map": {}}', None),
        ('{"nested": {"list": [1, [2.50, {"deep": "x"}]], "text": "\\u0000\\n\\"quoted\\""}}', None),
    ],
)
def test_other_metrics_come_out_under_sensor_data_as_they_went_in(world: World, metrics: str, expected: Any) -> None:
    item = through(world, metrics)
    sent = json.loads(metrics, parse_float=Decimal)
    assert item["sensor_data"] == sent
    if expected is not None:
        assert item["sensor_data"]["level"] == expected
    assert "temperature_fahrenheit" not in item


def test_the_raw_table_keeps_the_reading_as_it_came(world: World) -> None:
    world.ingest(reading(reading_id="r-1", sensor_data={"temperature": 0, "ünits": ["°C", 1.10]}))
    (item,) = answered(world.query(device_id="sensor-001", table="raw"))["items"]
    assert item["sensor_data"] == {"temperature": 0, "ünits": ["°C", Decimal("1.1")]}
    assert item["reading_id"] == "r-1"
    assert int(item["timestamp"]) == NOON - 60_000


def test_a_temperature_of_zero_is_a_temperature(world: World) -> None:
    item = through(world, '{"temperature": 0, "humidity": 0}')
    assert (item["temperature"], item["humidity"], item["temperature_fahrenheit"]) == (0, 0, 32)


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        (f"{NOON - 1}", NOON - 1),
        (f"{NOON - 1}.25", NOON - 1),
        ("1.795348799999E12", NOON - 1),
        (f'"{TODAY}T11:59:59.999Z"', NOON - 1),
        (f'"{TODAY}t11:59:59.999999z"', NOON - 1),
        (f'"{TODAY} 13:29:59.999+01:30"', NOON - 1),
        (f'"{TODAY}T03:59:59.999-08:00"', NOON - 1),
        (f'"{TODAY}T12:00:00Z"', NOON),
    ],
)
def test_a_timestamp_is_epoch_milliseconds_or_rfc_3339(world: World, timestamp: str, milliseconds: int) -> None:
    answer = world.ingest(f'{{"device_id": "d", "timestamp": {timestamp}, "sensor_data": {{}}}}')
    assert answered(answer)["timestamp"] == milliseconds
    world.deliver()
    (item,) = answered(world.query(device_id="d"))["items"]
    assert item["timestamp"] == milliseconds


def test_a_reading_without_a_timestamp_gets_the_time_of_its_arrival(world: World) -> None:
    answer = world.ingest({"device_id": "d", "sensor_data": {"temperature": 1}})
    assert answered(answer) == {
        "message": "Data ingested successfully",
        "device_id": "d",
        "timestamp": NOON,
    }


def test_process_stores_what_the_queue_would_have(world: World) -> None:
    answer = world.process(reading())
    assert answer["statusCode"] == 200
    assert answered(answer)["processed"] == 1
    world.ingest(reading())
    world.deliver()
    (item,) = answered(world.query(device_id="sensor-001"))["items"]
    assert item["temperature_fahrenheit"] == Decimal("77.9")
