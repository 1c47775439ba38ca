"""GET /query of several devices, and of some of the metrics."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from iotpipe.handlers import page_token
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import Query
from tests.support.handlers_world import NOON, TODAY, Calls, World, answered, failure, reading

DEVICES = ["roof", "cellar", "none", "attic"]
EMOJI = "\N{THERMOMETER}" * 255


@pytest.fixture
def house(world: World) -> World:
    """Three devices with three rows each, and one that has sent nothing."""
    for device in ("attic", "cellar", "roof"):
        world.process(
            [reading(index, device_id=device, sensor_data={"n": index, "temperature": index}) for index in range(3)]
        )
    return world


def found(pages: list[list[dict[str, Any]]]) -> list[tuple[str, int]]:
    return [(row["device_id"], row["sensor_data"]["n"]) for page in pages for row in page]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, 1000])
def test_the_rows_come_device_by_device_in_the_order_asked_for(house: World, order: str, limit: int) -> None:
    pages = house.pages(device_id=DEVICES, order=order, limit=limit)
    numbers = range(3) if order == "asc" else range(2, -1, -1)
    assert found(pages) == list(itertools.product(("roof", "cellar", "attic"), numbers))
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1]


@pytest.mark.parametrize("table", ["processed", "raw"])
def test_other_metrics_are_left_out_of_the_rows(world: World, table: str) -> None:
    values = {"temperature": 20.5, "humidity": 60, "a": {"deep": [1]}, "b": 2, "b.c": 3, EMOJI: 4, "status": "x"}
    send = world.process if table == "processed" else world.ingest
    send([reading(sensor_data=values, reading_id="r"), reading(1, sensor_data={"other": 1})])
    (whole, _), (part, none) = (
        answered(world.query(device_id="sensor-001", table=table, **metrics))["items"]
        for metrics in ({}, {"metric": ["temperature", "b.c", "a", EMOJI, "status", "missing"]})
    )
    kept = {name: values[name] for name in ("a", "b.c", EMOJI, "status")}
    if table == "raw":
        kept["temperature"] = 20.5
    else:
        whole.pop("humidity")
    assert part == whole | {"sensor_data": kept}
    assert none["sensor_data"] == {}


def test_only_the_metrics_that_are_asked_for_are_read(house: World, calls: Calls) -> None:
    house.query(device_id="roof", metric="humidity")
    (request,) = calls.of("Query")
    names = request["ExpressionAttributeNames"]
    read = {names[path] for path in request["ProjectionExpression"].split(", ")}
    assert "humidity" in read
    assert read.isdisjoint({"sensor_data", "temperature", "pressure"})


def test_a_metric_without_a_row_is_no_reason_to_leave_out_the_row(house: World) -> None:
    rows = answered(house.query(device_id="roof", metric="x"))["items"]
    assert [row["sensor_data"] for row in rows] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"device_id": [f"d{index}" for index in range(11)]}, ("device_id", "count")),
        ({"device_id": ["a", "b", "a"]}, ("device_id", "repeated")),
        ({"device_id": ["a", "a b"]}, ("device_id", "format")),
        ({"metric": [f"m{index}" for index in range(21)]}, ("metric", "count")),
        ({"metric": ["m", "m"]}, ("metric", "repeated")),
        ({"metric": ""}, ("metric", "format")),
        ({"metric": "m" * 256}, ("metric", "format")),
        ({"metric": "\ud800"}, ("metric", "format")),
    ],
)
def test_what_is_wrong_with_a_list_is_named(world: World, parameters: dict[str, Any], problem: tuple[str, str]) -> None:
    answer = world.query(**{"device_id": "d"} | parameters)
    assert answer["statusCode"] == 400
    assert [(one["field"], one["code"]) for one in answered(answer)["error"]["details"]] == [problem]


def test_as_many_as_are_allowed_are_taken(world: World) -> None:
    devices, metrics = [f"d{index}" for index in range(10)], [f"m{index}" for index in range(20)]
    assert answered(world.query(device_id=devices, metric=metrics)) == {"count": 0, "items": []}


def test_a_token_is_of_these_devices_in_this_order_and_of_these_metrics(house: World) -> None:
    asked = {"device_id": ["roof", "attic"], "metric": ["n", "x"]}
    token = answered(house.query(**asked, limit=4))["next_token"]
    again = answered(house.query(**asked | {"metric": ["x", "n"]}, next_token=token))
    assert found([again["items"]]) == [("attic", 1), ("attic", 2)]
    for other in (
        {"device_id": ["attic", "roof"]},
        {"device_id": "attic"},
        {"device_id": ["roof", "attic", "cellar"]},
        {"metric": "n"},
        {"metric": []},
    ):
        given = {name: value for name, value in (asked | other).items() if value}
        assert house.query(**given, next_token=token)["statusCode"] == 400, other


@pytest.mark.parametrize("device", ["cellar", 5, None, [], {"S": "roof"}])
def test_who_computes_a_token_of_his_own_gets_no_other_device(house: World, device: Any) -> None:
    low, high = f"{TODAY}T00:00:00.000Z", f"{TODAY}T23:59:59.999Z$"
    token = page_token.write(Query(("roof", "attic"), "processed", low, high, "asc", 1), Place(device, low))
    answer = house.query(device_id=["roof", "attic"], event_date=TODAY, next_token=token)
    assert answer["statusCode"] == 400


@pytest.mark.parametrize(
    ("table", "token"),
    [
        (
            "processed",
            "WyIyMDI2LTExLTIyVDEyOjAwOjAwLjAwMFojMDAwMDAwMDAwMDAwMDAwMDAxIiwgIjA1ODMzNmJhNmE0MDAzODgwNjk1ODEzNmM2MzcyMmU2"
            "Il0",
        ),
        ("raw", "WyIxNzk1MzQ4ODAwMDAwLjUiLCAiOTg1OWQ5MTVhZTkxN2Y5ZDZlNGMxYThiMjQ1NmU5NDAiXQ"),
    ],
)
def test_a_token_that_was_given_before_there_were_several_devices_is_still_taken(
    world: World, table: str, token: str
) -> None:
    world.ingest([reading(-1, timestamp=NOON - 1), reading(timestamp=NOON + 1)])
    world.deliver()
    period = {"event_date": TODAY} if table == "processed" else {}
    answer = answered(world.query(device_id="sensor-001", table=table, next_token=token, **period))
    assert [int(row["timestamp"]) for row in answer["items"]] == [NOON + 1]


def test_what_was_found_before_dynamodb_fails_at_another_device_is_answered(house: World, calls: Calls) -> None:
    asked = {"device_id": ["roof", "attic"]}
    calls.answer("Query", lambda request: failure("Odd") if "attic" in str(request) else None)
    first = answered(house.query(**asked))
    assert first["count"] == 3
    calls.let_through("Query")
    rest = answered(house.query(**asked, next_token=first["next_token"]))
    assert found([rest["items"]]) == [("attic", 0), ("attic", 1), ("attic", 2)]
