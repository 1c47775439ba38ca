"""Queries and scans that read a few items answer the same as ministack does when it reads all items."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb

from iotpipe.local.storage import bounds, items, sortkeys
from iotpipe.local.storage.store import References, Store
from iotpipe.local.time_to_live import delete_expired

Read = Callable[[dict[str, Any]], tuple[int, Any, bytes]]

NUMBERS = ["0", "-0.5", "7", "7.0", "1E2", "1e-3", "-12", "-123", "12", "123", "99", "100", "1732610000000.000001"]
TEXTS = ["", "a", "a b", "aa", "b", "ä", "\U0001f600", "￿", "a\0b", "7", "12"]


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Read]]:
    """Return ministack's original Query and Scan, and patch ministack to keep its tables in a store."""
    own = {"Query": dynamodb._query, "Scan": dynamodb._scan}
    for name in ("_tables", "_ttl_settings", "_backups", "_query", "_scan", "_condition_syntax_error"):
        monkeypatch.setattr(dynamodb, name, getattr(dynamodb, name))
    dynamodb._ttl_settings = AccountRegionScopedDict()
    store = Store(tmp_path / "engine.db")
    items.patch_ministack(store)
    yield own
    store.close()


def table(kind: str) -> Any:
    keys = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "moment", "KeyType": "RANGE"}]
    types = [{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "moment", "AttributeType": kind}]
    asked = {"TableName": "rows", "KeySchema": keys, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST"}
    assert dynamodb._create_table(asked)[0] == 200
    return dynamodb._tables["rows"]


def save(rows: Any) -> None:
    store: Store = rows["items"]._store
    store.save({}, References(store.begin_save(), {rows["items"].number}), 1)


def put(chance: random.Random, kind: str, keys: list[str]) -> None:
    item = {"id": {"S": chance.choice("ab")}, "moment": {kind: chance.choice(keys)}, "pad": {"S": "x" * 200_000}}
    if chance.random() < 0.9:
        item["pad"] = {"S": "x"}
    dynamodb._put_item({"TableName": "rows", "Item": item})


def asked(chance: random.Random, kind: str, keys: list[str]) -> dict[str, Any]:
    values = {":id": {"S": chance.choice("abc")}, ":a": {kind: chance.choice(keys)}, ":b": {kind: chance.choice(keys)}}
    conditions = ["#m BETWEEN :a AND :b", "(#m between :a and :b)", "#m >= :a", "#m < :b", "moment = :a", "#m<=:b"]
    conditions += ["begins_with(#m, :a)", "#m > :a", "moment >= :a AND moment <= :b", "#m <> :a", ""]
    condition = chance.choice(conditions)
    data: dict[str, Any] = {
        "TableName": "rows",
        "KeyConditionExpression": f"id = :id AND {condition}" if condition else "id = :id",
        "ExpressionAttributeValues": {name: values[name] for name in values if name in f":id{condition}"},
        "ScanIndexForward": chance.choice([True, False]),
    }
    if "#m" in condition:
        data["ExpressionAttributeNames"] = {"#m": "moment"}
    return data | limits(chance, kind, keys, values[":id"])


def limits(chance: random.Random, kind: str, keys: list[str], device: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if chance.random() < 0.7:
        data["Limit"] = chance.choice([1, 2, 3, 5, 50])
    if chance.random() < 0.5:
        data["ExclusiveStartKey"] = {"id": device, "moment": {kind: chance.choice(keys)}}
    if chance.random() < 0.2:
        data |= {"FilterExpression": "pad = :pad"}
    return data


def answer(read: Read, data: dict[str, Any]) -> Any:
    if "FilterExpression" in data:
        values = data.get("ExpressionAttributeValues", {}) | {":pad": {"S": "x"}}
        data = data | {"ExpressionAttributeValues": values}
    status, _, body = read(json.loads(json.dumps(data)))
    return status, json.loads(body)


@pytest.mark.matrix
@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("kind", "keys"), [("N", NUMBERS), ("S", TEXTS)])
def test_they_answer_the_same(plain: dict[str, Read], kind: str, keys: list[str], seed: int) -> None:
    chance, rows = random.Random(seed), table(kind)
    usable = [key for key in keys if key]
    understood = 0
    for _ in range(120):
        put(chance, kind, usable)
        if chance.random() < 0.3:
            dynamodb._delete_item(
                {"TableName": "rows", "Key": {"id": {"S": "a"}, "moment": {kind: chance.choice(usable)}}}
            )
        if chance.random() < 0.2:
            save(rows)
        query = asked(chance, kind, keys)
        understood += bounds.of_query(rows, query) is not None
        assert answer(dynamodb._query, query) == answer(plain["Query"], query)
        scan = {"TableName": "rows"} | limits(chance, kind, keys, {"S": chance.choice("abc")})
        assert answer(dynamodb._scan, scan) == answer(plain["Scan"], scan)
    assert understood > 80


def test_a_page_of_many_rows_reads_a_few(plain: dict[str, Read]) -> None:
    rows = table("N")
    for number in range(100):
        put_one = {"id": {"S": "a"}, "moment": {"N": str(number)}}
        dynamodb._put_item({"TableName": "rows", "Item": put_one})
    for saved in (False, True):
        if saved:
            save(rows)
        found = bounds.of_query(
            rows,
            {
                "KeyConditionExpression": "id = :id AND #m BETWEEN :a AND :b",
                "ExpressionAttributeNames": {"#m": "moment"},
                "ExpressionAttributeValues": {":id": {"S": "a"}, ":a": {"N": "10"}, ":b": {"N": "90"}},
                "ExclusiveStartKey": {"id": {"S": "a"}, "moment": {"N": "50"}},
                "ScanIndexForward": False,
                "Limit": 3,
            },
        )
        assert found
        assert list(found["a"]) == ["50", "49", "48", "47", "46", "45", "44"]


@pytest.mark.parametrize("kind", ["N", "S"])
def test_a_page_without_a_limit_reads_no_more_than_it_holds(
    plain: dict[str, Read], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bounds, "_FIRST_READ", 4)
    rows = table(kind)
    for number in range(60):
        item = {"id": {"S": "a"}, "moment": {kind: str(number)}, "pad": {"S": 100_000 * "x"}}
        dynamodb._put_item({"TableName": "rows", "Item": item})
    query = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "a"}}}
    start = {"ExclusiveStartKey": {"id": {"S": "a"}, "moment": {kind: "10"}}}
    for data in ({}, start, start | {"ScanIndexForward": False}):
        found = bounds.of_query(rows, query | data)
        assert found
        assert len(found["a"]) <= 16
        read = {"TableName": "rows"} | query | data
        assert answer(dynamodb._query, read) == answer(plain["Query"], read)
    found = bounds.of_scan(rows, {})
    assert found
    assert len(found["a"]) < 20
    for data in ({}, start, {"Segment": 0, "TotalSegments": 2}, {"Segment": 1, "TotalSegments": 2}):
        read = {"TableName": "rows"} | data
        assert answer(dynamodb._scan, read) == answer(plain["Scan"], read)


def test_another_thread_writes_while_a_page_is_read(plain: dict[str, Read]) -> None:
    rows = table("N")
    item = {"id": {"S": "a"}, "moment": {"N": "1"}}
    with rows["items"].showing_only({}), ThreadPoolExecutor(1) as another:
        assert another.submit(dynamodb._put_item, {"TableName": "rows", "Item": item}).result()[0] == 200
    assert rows["items"]["a"]["1"] == item


def test_a_backup_is_in_the_database_and_no_save_copies_it(plain: dict[str, Read]) -> None:
    rows = table("N")
    for moment in ("2", "10"):
        dynamodb._put_item({"TableName": "rows", "Item": {"id": {"S": "a"}, "moment": {"N": moment}}})
    made = answer(dynamodb._create_backup, {"TableName": "rows", "BackupName": "before"})[1]["BackupDetails"]
    dynamodb._delete_item({"TableName": "rows", "Key": {"id": {"S": "a"}, "moment": {"N": "2"}}})
    (kept,) = dynamodb.get_state()["backups"].values()
    assert kept["_items_snapshot"].number > rows["items"].number
    restore = {"TargetTableName": "again", "BackupArn": made["BackupArn"]}
    assert answer(dynamodb._restore_table_from_backup, restore)[1]["TableDescription"]["ItemCount"] == 2
    found = answer(dynamodb._scan, {"TableName": "again"})[1]["Items"]
    assert sorted(item["moment"]["N"] for item in found) == ["10", "2"]


def test_items_go_when_their_time_is_over_and_no_others(plain: dict[str, Read]) -> None:
    rows = table("N")
    dynamodb._ttl_settings.set_scoped(
        *next(iter(dynamodb._tables._data)), {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    )
    expiry_times = {"1": {"N": "100"}, "2": {"N": "200"}, "3": {"S": "100"}, "4": {"N": "99.5"}, "5": None}
    for moment, value in expiry_times.items():
        item = {"id": {"S": "a"}, "moment": {"N": moment}} | ({"expires_at": value} if value else {})
        dynamodb._put_item({"TableName": "rows", "Item": item})
    save(rows)
    # The expiry of one item was extended after it was saved.
    later = {"id": {"S": "a"}, "moment": {"N": "4"}, "expires_at": {"N": "300"}}
    dynamodb._put_item({"TableName": "rows", "Item": later})
    assert asyncio.run(delete_expired(rows["items"]._store, 150)) == 1
    assert rows["items"]["a"].keys() == ["2", "3", "4", "5"]
    assert rows["ItemCount"] == 4


def test_numbers_are_in_their_order_whatever_their_size_and_spelling() -> None:
    chance = random.Random(1)
    numbers = [*NUMBERS, "9.9999999999999999999999999999999999999E+125", "-1E-130", "1E-130", "-9E125"]
    numbers += [f"{chance.randrange(-999, 999)}E{chance.randrange(-120, 120)}" for _ in range(500)]
    by_value = sorted(set(numbers), key=lambda text: (Decimal(text), text))
    assert sorted(set(numbers), key=sortkeys.NUMBERS.encode) == by_value
    assert [sortkeys.NUMBERS.decode(sortkeys.NUMBERS.encode(text)) for text in numbers] == numbers
