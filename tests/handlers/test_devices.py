"""GET /devices: which devices are listed, with which row, and in pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotpipe.handlers import page_token
from tests.support.handlers_world import NOON, TODAY, Calls, World, answered, failure, reading, success

NAMES = ["roof", "a/b:c#d.e-_", "0", "Z" * 128, "#", "sensor-001"]


@pytest.fixture
def house(world: World) -> World:
    """Send three readings of each device, the latest one neither first nor last."""
    for name in NAMES:
        world.process([reading(n, device_id=name, sensor_data={"n": n}) for n in (0, 2, 1)])
    return world


def pages(world: World, **parameters: Any) -> list[list[dict[str, Any]]]:
    found, token = [], {}
    while not found or token:
        body = answered(world.get("/devices", parameters | token))
        assert body["count"] == len(body["items"])
        found.append(body["items"])
        token = {"next_token": body["next_token"]} if "next_token" in body else {}
    return found


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 200])
def test_every_device_is_listed_once_with_its_latest_row(house: World, limit: int) -> None:
    found = pages(house, limit=limit)
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert found[-1]
    listed = [one for page in found for one in page]
    assert sorted(one["device_id"] for one in listed) == sorted(NAMES)
    for one in listed:
        (row,) = answered(house.query(device_id=one["device_id"], order="desc", limit=1))["items"]
        assert one["latest"] == row
        assert row["sensor_data"] == {"n": 2}


def test_without_a_device_the_list_is_empty(world: World) -> None:
    assert answered(world.get("/devices", {})) == {"count": 0, "items": []}


def test_a_device_costs_the_reading_of_two_rows(house: World, calls: Calls) -> None:
    pages(house)
    assert all(request["Limit"] == 1 for request in calls.of("Scan") + calls.of("Query"))
    assert (len(calls.of("Scan")), len(calls.of("Query"))) == (len(NAMES) + 1, len(NAMES))


def test_rows_that_no_device_has_sent_are_not_listed(house: World) -> None:
    for device, key in (("iotpipe alerts", "last"), ("roof", "~~"), ("roof", "\N{SNOWMAN}"), ("empty", "~~~")):
        item = {"device_id": {"S": device}, "event_date": {"S": key}}
        house.dynamodb.put_item(TableName=house.processed, Item=item)
    for limit in (1, 200):
        listed = [one["device_id"] for page in pages(house, limit=limit) for one in page]
        assert sorted(listed) == sorted(NAMES)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"limit": 0}, ("limit", "range")),
        ({"limit": 201}, ("limit", "range")),
        ({"limit": "1e1"}, ("limit", "range")),
        ({"limit": [1, 2]}, ("limit", "repeated")),
        ({"device_id": "roof"}, ("device_id", "unknown")),
        ({"next_token": ""}, ("next_token", "token")),
        ({"next_token": "x"}, ("next_token", "token")),
        ({"next_token": page_token.encode(["roof", "0" * 32])}, ("next_token", "token")),
        ({"next_token": page_token.encode(["roof", "\u00fc"])}, ("next_token", "token")),
        ({"next_token": page_token.encode([[], None])}, ("next_token", "token")),
        ({"next_token": page_token.encode(["a b", page_token.digest_of(["devices", "a b"])])}, ("next_token", "token")),
        ({"next_token": page_token.encode([5, page_token.digest_of(["devices", 5])])}, ("next_token", "token")),
    ],
)
def test_a_bad_parameter_is_named(world: World, parameters: dict[str, Any], problem: tuple[str, str]) -> None:
    answer = world.get("/devices", parameters)
    assert answer["statusCode"] == 400
    assert [(one["field"], one["code"]) for one in answered(answer)["error"]["details"]] == [problem]


def test_the_tokens_of_queries_and_of_the_list_are_not_mistaken_for_each_other(house: World) -> None:
    listed = answered(house.get("/devices", {"limit": 1}))["next_token"]
    assert house.query(device_id="roof", next_token=listed)["statusCode"] == 400
    queried = answered(house.query(device_id="roof", limit=1))["next_token"]
    assert house.get("/devices", {"next_token": queried})["statusCode"] == 400


@pytest.mark.parametrize("operation", ["Scan", "Query"])
def test_what_was_found_before_dynamodb_fails_is_answered_and_the_rest_follows(
    house: World, calls: Calls, operation: str
) -> None:
    calls.answer(operation, lambda _: failure("Odd") if len(calls.of(operation)) > 3 else None)
    first = answered(house.get("/devices", {}))
    assert first["count"] == 3
    calls.answer(operation, lambda _: failure("Odd"))
    assert house.get("/devices", {})["statusCode"] == 503
    calls.let_through(operation)
    rest = answered(house.get("/devices", {"next_token": first["next_token"]}))
    assert sorted(one["device_id"] for one in first["items"] + rest["items"]) == sorted(NAMES)


def test_an_answer_stays_below_what_lambda_returns(house: World, calls: Calls) -> None:
    row = {"device_id": {"S": "d"}, "event_date": {"S": f"{TODAY}T12:00:00.000Z#1"}, "text": {"S": "x" * 390_000}}
    calls.answer("Query", lambda _: success(Items=[row | {"timestamp": {"N": str(NOON)}}]))
    for number in range(20):
        house.dynamodb.put_item(TableName=house.processed, Item={
            "device_id": {"S": f"d{number}"}, "event_date": {"S": "x"}})  # fmt: skip
    found, token = 0, {}
    while not found or token:
        answer = house.get("/devices", token)
        assert len(json.dumps(answer)) < 6_000_000
        found += answered(answer)["count"]
        token = {"next_token": answered(answer)["next_token"]} if "next_token" in answered(answer) else {}
    assert found == len(NAMES) + 20
