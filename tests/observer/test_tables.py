"""The tables as the functions read them, without the API."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import boto3
import pytest

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.handlers import buckets
from iotpipe.observer import tables
from tests.support.dead_letter_world import body
from tests.support.device_messages import published
from tests.support.observed_world import NAMES, Observed

MINUTE = 60_000


@pytest.mark.matrix
def test_the_pages_of_a_series_are_joined(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        observed.store("a", number * MINUTE, temperature=str(number), humidity="50")
        observed.store("b", number * MINUTE, temperature=f"{number}.5")
    observer, asked = observed.observer(), (["b", "a"], ["temperature"], "5m", observed.now - 3_600_000, observed.now)
    whole = observer.series(*asked)
    assert [(each["device_id"], each["metric"], sum(each["count"])) for each in whole["series"]] == [
        ("b", "temperature", 30),
        ("a", "temperature", 30),
    ]
    monkeypatch.setattr(buckets, "MAX_ROWS", 7)
    observed.world.calls.clear()
    assert observer.series(*asked) == whole
    assert observed.world.calls.count("Query") > 8, "which took several pages"
    assert {each["metric"] for each in observer.series(["a"], [], "5m", 0, observed.now)["series"]} == {
        "humidity",
        "temperature",
    }


@pytest.mark.matrix
def test_a_series_that_nobody_waits_for_is_not_read_on(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_ROWS", 2)
    observed.store("a", *range(0, 30 * MINUTE, MINUTE), temperature="1")
    with suppress(IotpipeError):
        observed.observer().series(["a"], [], "1m", 0, observed.now, lambda: "Query" in observed.world.calls)
    assert observed.world.calls.count("Query") == 1


@pytest.mark.matrix
def test_a_series_ends_after_the_most_buckets(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_BUCKETS", 4)
    observed.store("a", *range(0, 30 * MINUTE, MINUTE), temperature="1")
    found = observed.observer().series(["a"], [], "1m", 0, observed.now)
    assert found["count"] == len(found["series"][0]["start"]) == 4


@pytest.mark.parametrize(
    ("device", "every", "problem"),
    [("a b", "5m", "device_id"), ("a", "5 minutes", "every"), ("a", "900d", "every")],
)
def test_a_parameter_that_is_not_valid_is_named(observed: Observed, device: str, every: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"^{problem}: "):
        observed.observer().series([device], [], every, 0, observed.now)


@pytest.mark.matrix
def test_rows_are_as_they_are_stored_the_newest_first(observed: Observed) -> None:
    number = "21.123456789012345678901234567890123456"
    observed.store("a", 2000, 3000, 1000, temperature=number)
    found = observed.observer().rows("a", "processed", 2)
    assert [json.loads(row)["timestamp"] for row in found] == [observed.now - 1000, observed.now - 2000]
    assert json.loads(found[0], parse_float=Decimal)["temperature"] == Decimal(number)
    item = {"device_id": {"S": "a"}, "timestamp": {"N": "17.5"}, "sensor_data": {"M": {"x": {"N": "1"}}}}
    boto3.client("dynamodb").put_item(TableName=NAMES.raw_table, Item=item)
    [raw] = observed.observer().rows("a", "raw", 10)
    assert json.loads(raw) == {"device_id": "a", "timestamp": 17.5, "sensor_data": {"x": 1}}
    assert observed.observer().rows("nobody", "raw", 10) == []
    with pytest.raises(UsageError, match="limit"):
        observed.observer().rows("a", "raw", 1001)


@pytest.mark.matrix
def test_dead_letters_are_read_with_their_reasons_and_stay(observed: Observed) -> None:
    observed.put(NAMES.dead_letter_queue, "null", body())
    observer = observed.observer()
    found = observer.dead_letters()
    assert (found["looked_at"], found["total"]) == (observed.now, 2)
    reasons = {item["body"]: (item["device"], item["reason"]) for item in found["items"]}
    assert reasons == {"null": (None, "not a message from ingestion"), body(): ("sensor-1", None)}
    observed.put(NAMES.dead_letter_queue, published(b"{}"))
    (item,) = [each for each in observer.dead_letters()["items"] if each["payload"] is not None]
    assert (item["device"], item["payload"], item["failure"]) == ("roof", "{}", None)
    assert observer.dead_letters()["total"] == 3
