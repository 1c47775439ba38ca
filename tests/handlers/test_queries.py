"""GET /query: days, ranges, orders, pages and page tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from iotpipe.handlers import page_token, query, times
from iotpipe.handlers.attributes import encode
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.query_parameters import Query
from tests.support.handlers_world import (
    NOON,
    TODAY,
    Calls,
    World,
    all_queued,
    answered,
    failure,
    proxy_event,
    reading,
    success,
)

DAY_START = NOON - 43_200_000
MINUTE = 60_000


@pytest.fixture(scope="module")
def thousand() -> list[dict[str, Any]]:
    """Ingest a device's readings of one day, some of them within one millisecond."""
    return [reading(timestamp=DAY_START + index // 2 * 72_000, sensor_data={"n": index}) for index in range(1000)]


def numbers(pages: list[list[dict[str, Any]]]) -> list[int]:
    return [item["sensor_data"]["n"] for page in pages for item in page]


@pytest.mark.matrix
@pytest.mark.sampled(1)
@pytest.mark.parametrize("table", ["processed", "raw"])
def test_a_day_of_a_thousand_readings_is_found_in_every_way_and_none_twice(
    world: World, calls: Calls, thousand: list[dict[str, Any]], table: str
) -> None:
    calls.answer("SendMessageBatch", all_queued)  # these tests do not read the queue, and filling it is slow
    send = world.ingest if table == "raw" else world.process
    yesterday, elsewhere = reading(timestamp=DAY_START - 1, sensor_data={"n": -1}), reading(device_id="other")
    for start in range(0, 1000, 500):
        assert send(thousand[start : start + 500])["statusCode"] == 200
    assert send([yesterday, elsewhere])["statusCode"] == 200
    day = {"device_id": "sensor-001", "table": table, "event_date": TODAY}
    upward = numbers(world.pages(**day, limit=170))
    assert sorted(upward) == list(range(1000))
    assert numbers(world.pages(**day, limit=1000, order="desc")) == upward[::-1]
    assert numbers(world.pages(**day, limit=333, order="desc")) == upward[::-1]
    first, last = DAY_START + 100 * 72_000, DAY_START + 199 * 72_000
    ranged = {"device_id": "sensor-001", "table": table, "from_": first, "to": last}
    assert sorted(numbers(world.pages(**ranged, limit=60))) == list(range(200, 400))
    assert len(world.pages(**day, limit=1000)) == 1


@pytest.fixture
def five(world: World) -> Iterator[World]:
    """Ingest five readings, a minute apart, the third at noon."""
    world.process([reading(timestamp=NOON + (index - 2) * MINUTE, sensor_data={"n": index}) for index in range(5)])
    yield world


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"limit": 2}, [0, 1]),
        ({"order": "asc"}, [0, 1, 2, 3, 4]),
        ({"order": "desc", "limit": 1}, [4]),
        ({"from_": NOON}, [2, 3, 4]),
        ({"from_": NOON + 1}, [3, 4]),
        ({"to": NOON}, [0, 1, 2]),
        ({"to": NOON - 1}, [0, 1]),
        ({"from_": NOON, "to": NOON}, [2]),
        ({"from_": f"{TODAY}T12:00:00Z", "to": f"{TODAY}T13:01:00+01:00"}, [2, 3]),
        ({"from_": TODAY}, [0, 1, 2, 3, 4]),
        ({"to": TODAY}, [0, 1, 2, 3, 4]),
        ({"to": "2026-11-21"}, []),
        ({"event_date": TODAY}, [0, 1, 2, 3, 4]),
        ({"event_date": "2026-11-23"}, []),
    ],
)
def test_periods_take_in_both_their_ends(five: World, parameters: dict[str, Any], expected: list[int]) -> None:
    answer = answered(five.query(device_id="sensor-001", **parameters))
    assert numbers([answer["items"]]) == expected
    assert answer["count"] == len(expected)


def test_the_first_moment_of_all_can_be_sent_and_asked_for(world: World) -> None:
    world.configure(past_days=36_500)
    first = "1970-01-01T00:00:00Z"
    world.process([reading(timestamp=first)])
    for period in ({"from_": first, "to": first}, {"event_date": first[:10]}):
        items = answered(world.query(device_id="sensor-001", **period))["items"]
        assert [one["timestamp"] for one in items] == [0]


@pytest.mark.parametrize(
    ("parameters", "field", "code"),
    [
        ({"table": "raw"}, "device_id", "required"),
        ({"device_id": ""}, "device_id", "format"),
        ({"device_id": "a b"}, "device_id", "format"),
        ({"device_id": "d", "table": "other"}, "table", "choice"),
        ({"device_id": "d", "order": "up"}, "order", "choice"),
        ({"device_id": "d", "limit": "0"}, "limit", "range"),
        ({"device_id": "d", "limit": "1001"}, "limit", "range"),
        ({"device_id": "d", "limit": "-1"}, "limit", "range"),
        ({"device_id": "d", "limit": "1e2"}, "limit", "range"),
        ({"device_id": "d", "limit": "٣"}, "limit", "range"),
        ({"device_id": "d", "event_date": "2026-02-30"}, "event_date", "format"),
        ({"device_id": "d", "event_date": "22.11.2026"}, "event_date", "format"),
        ({"device_id": "d", "event_date": "1969-12-31"}, "event_date", "format"),
        ({"device_id": "d", "event_date": TODAY, "from_": "0"}, "event_date", "conflict"),
        ({"device_id": "d", "event_date": TODAY, "to": "0"}, "event_date", "conflict"),
        ({"device_id": "d", "from_": "yesterday"}, "from", "format"),
        ({"device_id": "d", "to": "-5"}, "to", "format"),
        ({"device_id": "d", "to": "999999999999999"}, "to", "format"),
        ({"device_id": "d", "from_": "0001-01-01T00:00:00Z"}, "from", "format"),
        ({"device_id": "d", "to": "1969-12-31"}, "to", "format"),
        ({"device_id": "d", "from_": "1969-12-31"}, "from", "format"),
        ({"device_id": "d", "from_": f"{NOON + 1}", "to": f"{NOON}"}, "from", "range"),
        ({"device_id": "d", "form": "1"}, "form", "unknown"),
        ({"device_id": "d", "next_token": ""}, "next_token", "token"),
    ],
)
def test_a_bad_parameter_is_named(world: World, parameters: dict[str, Any], field: str, code: str) -> None:
    answer = world.query(**parameters)
    assert answer["statusCode"] == 400
    details = answered(answer)["error"]["details"]
    assert [(one["field"], one["code"]) for one in details] == [(field, code)]


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (str(NOON // 1000), "looks like epoch seconds"),
        ("2026", "does not look like epoch milliseconds"),
        ("20261122", "does not look like epoch milliseconds"),
        (f"{NOON}000", "micro- or nanoseconds"),
        (f"{NOON}000000", "micro- or nanoseconds"),
        ("1969-12-31", "1970 to 9999"),
        ("1969-12-31T23:59:59Z", "1970 to 9999"),
    ],
)
def test_a_time_that_is_evidently_no_milliseconds_is_refused_where_it_stands(
    world: World, name: str, text: str, words: str
) -> None:
    """Epoch seconds would mean January 1970: `from` would return everything, `to` nothing."""
    answer = world.query(device_id="d", **{f"{name}_": text})
    (detail,) = answered(answer)["error"]["details"]
    assert (answer["statusCode"], detail["field"], detail["code"]) == (400, name, "format")
    assert words in detail["message"]


def test_from_0_is_from_the_beginning(world: World) -> None:
    assert world.query(device_id="d", from_="0")["statusCode"] == 200


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_was_found_before_dynamodb_is_throttled_is_answered_and_the_rest_follows(
    world: World, calls: Calls, order: str
) -> None:
    for index in range(12):
        assert world.process(reading(index, sensor_data={"n": index, "text": "x" * 200_000}))["statusCode"] == 200
    begun: list[Any] = []

    def throttled_after_the_first(request: dict[str, Any]) -> Any:
        begun.append(request)
        return failure("ThrottlingException") if len(begun) > 1 else None

    calls.answer("Query", throttled_after_the_first)
    first = answered(world.query(device_id="sensor-001", order=order))
    assert 0 < first["count"] < 12
    calls.let_through("Query")
    rest = answered(world.query(device_id="sensor-001", order=order, next_token=first["next_token"]))
    found = numbers([first["items"], rest["items"]])
    assert found == (sorted(found) if order == "asc" else sorted(found, reverse=True))
    assert sorted(found) == list(range(12))
    assert "next_token" not in rest


def test_everything_that_is_wrong_is_listed(world: World) -> None:
    answer = world.query(device_id="", limit="x", order="x", from_="x", to="x", colour="red")
    found = {one["field"] for one in answered(answer)["error"]["details"]}
    assert found == {"device_id", "limit", "order", "from", "to", "colour"}


def test_a_parameter_given_twice_is_refused(world: World) -> None:
    event = proxy_event(
        "GET",
        "/query",
        queryStringParameters={"device_id": "a", "order": "desc"},
        multiValueQueryStringParameters={"device_id": ["a"], "order": ["asc", "desc"]},
    )
    details = answered(query.lambda_handler(event, None))["error"]["details"]
    assert [one["code"] for one in details] == ["repeated"]


def test_a_token_may_continue_with_another_limit(five: World) -> None:
    token = answered(five.query(device_id="sensor-001", limit=2))["next_token"]
    rest = answered(five.query(device_id="sensor-001", limit=1000, next_token=token))
    assert numbers([rest["items"]]) == [2, 3, 4]


@pytest.mark.parametrize(
    "other",
    [
        {"device_id": "sensor-002"},
        {"table": "raw"},
        {"order": "desc"},
        {"event_date": TODAY},
        {"from_": NOON - 5 * MINUTE},
        {"to": NOON + 5 * MINUTE},
    ],
)
def test_a_token_of_another_query_is_refused(five: World, other: dict[str, Any]) -> None:
    token = answered(five.query(device_id="sensor-001", limit=2))["next_token"]
    answer = five.query(**({"device_id": "sensor-001"} | other), next_token=token)
    assert answer["statusCode"] == 400
    assert answered(answer)["error"]["details"][0]["field"] == "next_token"


def forged(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ÿ",
        "%%%%",
        "A" * 100_000,
        forged(None),
        forged([]),
        forged({}),
        forged([1, 2]),
        forged([None, None]),
        forged(["2026-11-22T12:00:00.000Z#0", "0" * 32]),
        forged([{"S": "x"}, "0" * 32]),
        forged(["x", "ü"]),
        base64.urlsafe_b64encode(b"[" * 200_000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_token_that_none_was_given_is_refused(five: World, token: str) -> None:
    for table in ("processed", "raw"):
        answer = five.query(device_id="sensor-001", table=table, next_token=token)
        assert answer["statusCode"] == 400


@pytest.mark.parametrize("last", ["2026-11-21T23:59:59.999Z#0", "2026-11-24", "", 5, None, {"S": "2026-11-22T12"}, []])
def test_who_computes_a_token_of_his_own_gets_no_further_than_his_own_query(five: World, last: Any) -> None:
    """Anybody can compute a token, because it has no secret; but it can only name a row of the same query."""
    day = Query(("sensor-001",), "processed", f"{TODAY}T00:00:00.000Z", f"{TODAY}T23:59:59.999Z$", "asc", 1)
    within = page_token.write(day, Place("sensor-001", f"{TODAY}T12:00:00.000Z#{'9' * 18}"))
    found = answered(five.query(device_id="sensor-001", event_date=TODAY, next_token=within))
    assert numbers([found["items"]]) == [3, 4]
    outside = page_token.write(day, Place("sensor-001", last))
    assert five.query(device_id="sensor-001", event_date=TODAY, next_token=outside)["statusCode"] == 400


def test_a_place_in_a_token_that_dynamodb_would_refuse_is_refused_before(world: World) -> None:
    latest = times.LAST
    raw = ("raw", "0", f"{latest}.{'9' * 18}")
    processed = ("processed", times.iso(0), f"{times.iso(latest)}$")
    places = [(raw, last) for last in (5, [0, [1, 2], 0], " 5 ", "1_000", "٣", "+5", f"1.{'0' * 40}")]
    places += [(processed, last) for last in (f"{TODAY}\ud800", f"{TODAY}{'x' * 1024}")]
    for (table, low, high), last in places:
        token = page_token.write(Query(("d",), table, low, high, "asc", 1), Place("d", last))
        answer = world.query(device_id="d", table=table, next_token=token)
        assert answer["statusCode"] == 400, ascii(last)


def test_a_token_of_a_row_that_others_have_put_there_is_taken(world: World) -> None:
    for table, key in ((world.raw, {"timestamp": {"N": "1E-7"}}), (world.processed, {"event_date": {"S": "2024 ü"}})):
        name, (kind,) = next(iter(key)), next(iter(key.values()))
        later = {name: {kind: "2025"}}
        for one in (key, later):
            world.dynamodb.put_item(TableName=table, Item={"device_id": {"S": "d"}, **one})
    assert [len(page) for page in world.pages(device_id="d", table="raw", limit=1)] == [1, 1]
    assert [len(page) for page in world.pages(device_id="d", limit=1)] == [1, 1]


def test_a_token_with_one_character_changed_is_refused(five: World) -> None:
    token = answered(five.query(device_id="sensor-001", limit=2))["next_token"]
    for position in range(0, len(token) - 1, 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert five.query(device_id="sensor-001", next_token=changed)["statusCode"] == 400


def page_of(*items: dict[str, Any], more: bool) -> Any:
    last = {"LastEvaluatedKey": {name: items[-1][name] for name in ("device_id", "event_date")}} if more else {}
    return success(Items=list(items), **last)


def item(index: int, **metrics: Any) -> dict[str, Any]:
    return {
        "device_id": {"S": "d"},
        "event_date": {"S": f"{TODAY}T12:00:00.{index:03}Z#{index:018}"},
        "sensor_data": encode(metrics)[0],
    }


def test_an_answer_stays_below_what_lambda_returns_and_goes_on_with_a_token(world: World, calls: Calls) -> None:
    big = [item(index, text='"\\\n' * 60_000) for index in range(20)]

    def pages(request: dict[str, Any]) -> Any:
        start = request.get("ExclusiveStartKey", {}).get("event_date", {"S": ""})["S"]
        left = [one for one in big if one["event_date"]["S"] > start]
        return page_of(*left[:2], more=len(left) > 2)

    calls.answer("Query", pages)
    seen, token = [], {}
    while True:
        answer = world.query(device_id="d", limit=1000, **token)
        assert len(json.dumps(answer)) < 6_000_000
        body = answered(answer)
        assert body["items"]
        seen += [one["event_date"] for one in body["items"]]
        if "next_token" not in body:
            break
        token = {"next_token": body["next_token"]}
    assert seen == [one["event_date"]["S"] for one in big]


def test_short_and_empty_pages_of_dynamodb_are_joined(world: World, calls: Calls) -> None:
    pages = [
        page_of(item(1), more=True),
        success(Items=[], LastEvaluatedKey={"device_id": {"S": "d"}, "event_date": {"S": f"{TODAY}T12:00:00.001Z#"}}),
        page_of(item(2), item(3), more=False),
    ]
    calls.answer("Query", lambda _: pages.pop(0))
    body = answered(world.query(device_id="d"))
    assert body["count"] == 3
    assert "next_token" not in body


def test_every_type_that_a_table_can_hold_comes_out_as_json(world: World, calls: Calls) -> None:
    odd = item(1) | {
        "binary": {"B": b"\x00\xff"},
        "strings": {"SS": ["a", "ü"]},
        "numbers": {"NS": ["1", "2.50"]},
        "binaries": {"BS": [b"a"]},
        "null": {"NULL": True},
        "tiny": {"N": "1.5E-130"},
        "list": {"L": [{"BOOL": False}, {"M": {}}]},
    }
    calls.answer("Query", lambda _: page_of(odd, more=False))
    (found,) = json.loads(world.query(device_id="d")["body"])["items"]
    assert found["binary"] == "AP8="
    assert found["strings"] == ["a", "ü"]
    assert found["numbers"] == [1, 2.5]
    assert found["binaries"] == ["YQ=="]
    assert found["null"] is None
    assert found["tiny"] == 1.5e-130
    assert found["list"] == [False, {}]


def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_unavailable(world: World, calls: Calls) -> None:
    world.process(reading())
    faults = [failure("ThrottlingException"), failure("InternalServerError", 500), None]
    calls.answer("Query", lambda _: faults.pop(0))
    assert answered(world.query(device_id="sensor-001"))["count"] == 1
    calls.answer("Query", lambda _: failure("ResourceNotFoundException"))
    answer = world.query(device_id="sensor-001")
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"]
    assert "ResourceNotFound" not in answer["body"]


def test_a_page_is_one_call_whether_there_are_more_or_not(five: World, calls: Calls) -> None:
    for limit in (1, 4, 5, 6):
        five.query(device_id="sensor-001", limit=limit)
    assert len(calls.of("Query")) == 4
