"""GET /query with `every`: what is in a bucket, pages of buckets, and questions that cannot be answered."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from iotpipe.handlers import buckets, rows
from iotpipe.handlers.attributes import encode
from tests.support.bucket_questions import QuickTable, check, question, store
from tests.support.handlers_world import NOON, TODAY, Calls, World, answered, failure, reading, success

MINUTE = 60_000


@pytest.fixture
def hour(world: World) -> World:
    """Send a reading a minute for an hour, from noon on."""
    world.configure(future_minutes=100)
    world.process([reading(timestamp=NOON + n * MINUTE, sensor_data={"n": n, "temperature": n / 2}) for n in range(60)])
    return world


def ask(world: World, **parameters: Any) -> Any:
    answer = world.query(**{"device_id": "sensor-001", "from_": TODAY} | parameters)
    assert answer["statusCode"] == 200, answer["body"]
    return answered(answer)


def test_buckets_have_the_shape_that_is_described(hour: World) -> None:
    assert ask(hour, every="30m", metric="n") == {
        "every": "30m",
        "count": 2,
        "series": [
            {
                "device_id": "sensor-001",
                "metric": "n",
                "start": [NOON, NOON + 30 * MINUTE],
                "count": [30, 30],
                "min": [0, 30],
                "max": [29, 59],
                "sum": [435, 1335],
                "mean": [Decimal("14.5"), Decimal("44.5")],
                "last": [29, 59],
            }
        ],
    }


@pytest.mark.parametrize(
    ("parameters", "starts"),
    [
        ({"every": "1d"}, [NOON - 720 * MINUTE]),
        ({"every": "1d", "offset": "+05:00"}, [NOON - 1020 * MINUTE]),
        ({"every": "1d", "offset": "-05:00"}, [NOON - 420 * MINUTE]),
        ({"every": "30m", "offset": "+00:10"}, [NOON - 10 * MINUTE, NOON + 20 * MINUTE, NOON + 50 * MINUTE]),
        ({"every": "30m", "order": "desc"}, [NOON + 30 * MINUTE, NOON]),
        ({"every": "30m", "from_": NOON + 31 * MINUTE}, [NOON + 30 * MINUTE]),
    ],
)
def test_where_buckets_begin(hour: World, parameters: dict[str, Any], starts: list[int]) -> None:
    assert [one["start"] for one in ask(hour, metric="n", **parameters)["series"]] == [starts]


def test_the_last_value_is_the_latest_in_either_order(hour: World) -> None:
    for order in ("asc", "desc"):
        (series,) = ask(hour, every="1d", metric="n", order=order)["series"]
        assert series["last"] == [59]


def test_without_a_metric_every_number_that_was_sent_has_a_series(world: World) -> None:
    values = {"b": 1, "a": True, "temperature": 2, "pressure": 3, "c": "4", "d": {"n": 5}, "temperature_celsius": 6}
    world.process(reading(sensor_data=values))
    found = [one["metric"] for one in ask(world, every="1h")["series"]]
    assert found == ["b", "pressure", "temperature", "temperature_celsius"]


def test_the_sum_is_rounded_once_and_the_mean_half_to_even(world: World) -> None:
    numbers = ["9" * 38, "1E-130", "1", "-" + "9" * 38]
    texts = [
        f'{{"device_id":"d","timestamp":{NOON - n},"sensor_data":{{"n":{text}}}}}' for n, text in enumerate(numbers)
    ]
    world.process(f"[{','.join(texts)}]")
    (series,) = ask(world, device_id="d", every="1d", metric="n")["series"]
    assert (series["sum"], series["mean"]) == ([1], [Decimal("0.25")])
    world.process([reading(n, device_id="e", sensor_data={"n": n}) for n in (0, 1, -3)])
    (series,) = ask(world, device_id="e", every="1d", metric="n")["series"]
    assert series["mean"] == [Decimal("-0.66666666666666667")]


def test_only_what_is_needed_is_read(hour: World, calls: Calls) -> None:
    ask(hour, every="1h", metric="humidity")
    (request,) = calls.of("Query")
    assert sorted(request["ExpressionAttributeNames"].values()) == ["event_date", "event_date", "humidity"]
    assert "Limit" not in request


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"every": "0s"}, ("every", "format")),
        ({"every": "01s"}, ("every", "format")),
        ({"every": "-1s"}, ("every", "format")),
        ({"every": "1.5h"}, ("every", "format")),
        ({"every": "1w"}, ("every", "format")),
        ({"every": "Infinity"}, ("every", "format")),
        ({"every": "100000s"}, ("every", "format")),
        ({"every": "\N{ARABIC-INDIC DIGIT THREE}s"}, ("every", "format")),
        ({"every": ""}, ("every", "format")),
        ({"every": "367d"}, ("every", "range")),
        ({"every": "99999d"}, ("every", "range")),
        ({"every": "8785h"}, ("every", "range")),
        ({"every": ["1h", "1h"]}, ("every", "repeated")),
        ({"every": "1h", "offset": "+99:99"}, ("offset", "format")),
        ({"every": "1h", "offset": "+24:00"}, ("offset", "format")),
        ({"every": "1h", "offset": "02:00"}, ("offset", "format")),
        ({"every": "1h", "offset": " 02:00"}, ("offset", "format")),
        ({"offset": "+02:00"}, ("offset", "conflict")),
        ({"every": "1h", "table": "raw"}, ("table", "conflict")),
        ({"every": "1h", "from_": []}, ("from", "required")),
        ({"every": "1h", "from_": [], "to": TODAY}, ("from", "required")),
        ({"every": "1h", "limit": "5001"}, ("limit", "range")),
        ({"every": "1h", "limit": "0"}, ("limit", "range")),
        ({"limit": "1001"}, ("limit", "range")),
    ],
)
def test_what_is_wrong_with_a_question_is_named(
    world: World, parameters: dict[str, Any], problem: tuple[str, str]
) -> None:
    given = {name: value for name, value in ({"device_id": "d", "from_": TODAY} | parameters).items() if value != []}
    answer = world.query(**given)
    assert answer["statusCode"] == 400
    assert [(one["field"], one["code"]) for one in answered(answer)["error"]["details"]] == [problem]


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("offset", ["+23:59", "-23:59"])
def test_the_first_and_the_last_moment_of_all_are_in_a_bucket(world: World, moment: str, offset: str) -> None:
    key = f"{moment[:19]}.{moment[20:23] if '.' in moment else '000'}Z#{0:018}"
    world.dynamodb.put_item(
        TableName=world.processed,
        Item={"device_id": {"S": "d"}, "event_date": {"S": key}, "sensor_data": encode({"n": Decimal(1)})[0]},
    )
    for order in ("asc", "desc"):
        assert ask(world, device_id="d", from_=0, every="366d", offset=offset, order=order)["count"] == 1


def test_rows_that_no_reading_has_made_are_in_no_bucket(world: World) -> None:
    for key in (f"{TODAY}T12", f"{TODAY}T12:00:00+05:00#1", f"{TODAY} \N{SNOWMAN}", "2027-13-01T00:00:00.000Z#1"):
        item = {"device_id": {"S": "sensor-001"}, "event_date": {"S": key}, "sensor_data": {"S": "none"}}
        world.dynamodb.put_item(TableName=world.processed, Item=item)
    world.process(reading(sensor_data={"n": 1}))
    assert ask(world, every="1h")["count"] == 1


@pytest.mark.parametrize("stored", ["Infinity", "NaN", "-Infinity"])
def test_what_is_no_number_is_never_answered_as_one(world: World, calls: Calls, stored: str) -> None:
    """DynamoDB holds no such number, but others answer in its place."""
    rows_ = [
        {"event_date": {"S": f"{TODAY}T12:00:00.000Z#{n:018}"}, "temperature": {"N": text}}
        for n, text in enumerate(["1", stored])
    ]
    calls.answer("Query", lambda _: success(Items=rows_))
    assert world.query(device_id="d", from_=TODAY, every="1h")["statusCode"] == 503


def test_a_page_ends_with_the_rows_that_it_may_read_and_never_within_a_bucket(
    hour: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MAX_ROWS", 25)
    pages, token = [], {}
    while not pages or token:
        body = ask(hour, every="10m", metric="n", **token)
        pages.append(body["series"][0]["count"])
        token = {"next_token": body["next_token"]} if "next_token" in body else {}
    assert pages == [[10, 10], [10, 10], [10, 10]]


def test_a_bucket_with_too_many_rows_is_refused_with_what_to_do(hour: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_ROWS", 59)
    answer = hour.query(device_id="sensor-001", from_=TODAY, every="1h")
    assert answer["statusCode"] == 400
    (detail,) = answered(answer)["error"]["details"]
    assert (detail["field"], detail["code"]) == ("every", "too_many_rows")
    assert "ask for a shorter every" in detail["message"]
    monkeypatch.setattr(buckets, "MAX_ROWS", 60)
    assert ask(hour, every="1h", metric="n")["count"] == 1


def slow_pages(world: World, seconds: float) -> Any:
    """Let DynamoDB answer a row a minute, one a page, after so many seconds each."""

    def answer(request: dict[str, Any]) -> Any:
        world.clock.pass_(seconds)
        after = request.get("ExclusiveStartKey", {}).get("event_date", {"S": f"{TODAY}T12:00"})["S"]
        minute = int(after[14:16]) + 1 if "#" in after or "$" in after else 0
        key = {"event_date": {"S": f"{TODAY}T12:{minute:02}:00.000Z#{0:018}"}}
        more = {"LastEvaluatedKey": {"device_id": {"S": "d"}, **key}} if minute < 59 else {}
        return success(Items=[{**key, "temperature": {"N": str(minute)}}], **more)

    return answer


def test_a_page_ends_in_time(world: World, calls: Calls) -> None:
    calls.answer("Query", slow_pages(world, 1))
    began = world.clock.elapsed()
    first = ask(world, device_id="d", every="5m")
    assert world.clock.elapsed() - began <= 20
    assert first["series"][0]["max"] == [4, 9, 14]
    assert "next_token" in first
    rest = ask(world, device_id="d", every="5m", next_token=first["next_token"])
    assert rest["series"][0]["min"][0] == 15


def test_a_bucket_that_cannot_be_read_in_time_is_refused_with_what_to_do(world: World, calls: Calls) -> None:
    calls.answer("Query", slow_pages(world, 1))
    answer = world.query(device_id="d", from_=TODAY, every="1h")
    assert answer["statusCode"] == 400
    assert answered(answer)["error"]["details"][0]["code"] == "too_many_rows"


def test_complete_buckets_are_answered_where_dynamodb_fails_and_without_one_it_is_unavailable(
    world: World, calls: Calls
) -> None:
    slow = slow_pages(world, 0)
    calls.answer("Query", lambda request: failure("Odd") if "12:06" in str(request) else slow(request))
    first = ask(world, device_id="d", every="5m")
    assert first["series"][0]["max"] == [4]
    assert world.query(device_id="d", from_=TODAY, every="1h")["statusCode"] == 503
    calls.answer("Query", slow)
    assert ask(world, device_id="d", every="5m", next_token=first["next_token"])["series"][0]["min"][0] == 5


@pytest.mark.parametrize(
    "other",
    [
        {"every": "20m"},
        {"every": "600s", "offset": "+00:01"},
        {"device_id": "b"},
        {"device_id": ["sensor-001", "b"]},
        {"metric": "m"},
        {"order": "desc"},
        {"to": TODAY},
        {"every": []},
    ],
)
def test_a_token_is_of_this_question_alone(hour: World, other: dict[str, Any]) -> None:
    asked = {"device_id": "sensor-001", "from_": TODAY, "every": "10m", "metric": "n"}
    token = answered(hour.query(**asked, limit=1))["next_token"]
    assert hour.query(**asked, limit=2, next_token=token)["statusCode"] == 200
    given = {name: value for name, value in (asked | other).items() if value != []}
    assert hour.query(**given, next_token=token)["statusCode"] == 400


def test_an_answer_of_long_names_stays_below_what_lambda_returns(world: World, calls: Calls) -> None:
    names = [f"{chr(0x1F300 + number // 64)}{chr(0x1F300 + number % 64)}" + "\N{THERMOMETER}" * 253
             for number in range(2000)]  # fmt: skip
    row = {
        "event_date": {"S": f"{TODAY}T12:00:00.000Z#{0:018}"},
        "sensor_data": {"M": {name: {"N": "1"} for name in names}},
    }
    calls.answer("Query", lambda _: success(Items=[row]))
    found, token = [], {}
    while not found or token:
        answer = world.query(device_id="d", from_=TODAY, every="1h", limit=5000, **token)
        assert len(answer["body"]) <= rows.MAX_BYTES
        body = answered(answer)
        found += [one["metric"] for one in body["series"]]
        token = {"next_token": body["next_token"]} if "next_token" in body else {}
    assert found == sorted(names)


def test_more_names_in_a_bucket_than_fit_into_the_memory_are_answered_page_by_page(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 5)
    monkeypatch.setattr(buckets, "_MAX_NAMES", 10)
    dice = random.Random(3)
    sent = [
        {"event_date": {"S": f"{TODAY}T12:00:00.000Z#{n:018}"}, "temperature": {"N": "1"},
         "sensor_data": {"M": {f"m{dice.randrange(100):02}": {"N": "1"} for _ in range(5)}}} for n in range(200)
    ]  # fmt: skip
    calls.answer("Query", lambda _: success(Items=sent))
    found, token = {}, {}
    while not found or token:
        body = ask(world, device_id="d", every="1h", limit=5, **token)
        found |= {one["metric"]: one["count"][0] for one in body["series"]}
        token = {"next_token": body["next_token"]} if "next_token" in body else {}
    names = [name for row in sent for name in row["sensor_data"]["M"]]
    assert found == {"temperature": 200} | {name: names.count(name) for name in names}


@pytest.mark.parametrize("seed", [10, 11])
def test_every_bucket_is_what_its_rows_add_up_to(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A sample of whole_buckets.py; a few of the questions go to moto."""
    dice = random.Random(seed)
    store(world, dice, 20)
    stored = world.rows(world.processed)
    for number in range(23):
        if number == 3:
            calls.answer("Query", QuickTable(stored, dice))
        asked = question(dice)
        asked.parameters["limit"] = max(asked.parameters.get("limit", 20), 20)
        check(world, stored, asked, monkeypatch)
