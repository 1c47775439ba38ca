"""Random questions about buckets, and the answers that follow from the stored rows in plain arithmetic."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from iotpipe.handlers import buckets
from tests.support.handlers_world import NOON, World, answered, success

DEVICES = ("roof", "a/b:c#d.e-_", "0", "silent", "Z" * 128)
METRICS = ("temperature", "humidity", "pressure", "n", "a.b", "timestamp", "\N{THERMOMETER}" * 255, "never")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LENGTHS = ("1s", "2s", "7s", "59s", "90s", "1m", "7m", "1h", "25h", "1d", "7d", "366d", "8784h", "99999s", "99999m")
FIRST, LAST = 100_000_000_000, 253_402_300_799_999  # of those that can be asked for as a number

Bucket = dict[str, Any]
Series = tuple[str, str]


def store(world: World, dice: random.Random, per_device: int = 60) -> None:
    """Send readings of any time and size through the processor."""
    world.configure(past_days=36_500)
    for device in DEVICES:
        if device != "silent":
            body = [_reading(device, dice) for _ in range(per_device)]
            assert world.process(f"[{','.join(body)}]")["statusCode"] == 200


def _reading(device: str, dice: random.Random) -> str:
    back = dice.choice((5, 3000, 100_000, 4_000_000, 90_000_000, 3_000_000_000, NOON))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOON - dice.randrange(back))
    names = dice.sample(METRICS[:-1], dice.randrange(len(METRICS)))
    values = ",".join(f'"{name}":{_value(name, dice)}' for name in names)
    time = moment.isoformat(timespec="milliseconds")
    return f'{{"device_id":"{device}","timestamp":"{time}","sensor_data":{{{values}}}}}'


def _value(name: str, dice: random.Random) -> str:
    if name not in METRICS[:3] and dice.random() < 0.2:
        return dice.choice(("true", "null", '"21.5"', "[1]", '{"n":1}', '""'))
    sign = dice.choice(("", "-"))
    whole = dice.choice(
        (
            "0",
            "0.1",
            str(dice.randrange(40)),
            f"{dice.randrange(40)}.{dice.randrange(10)}",
            f"{dice.randrange(10**20)}.{dice.randrange(10**18)}",
            "9" * 38,
            "1E-130",
            f"{dice.randrange(1, 10)}.5E-{dice.randrange(129)}",
            f"4.{dice.randrange(10**30)}E{dice.randrange(125)}",
        )
    )
    return sign + whole


class QuickTable:
    """Answers Query from the rows, in pages of a few; moto takes a thousand times as long for some of these."""

    def __init__(self, rows: list[dict[str, Any]], dice: random.Random) -> None:
        self._dice = dice
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in sorted(rows, key=_key):
            self._rows[row["device_id"]["S"]].append(row)

    def __call__(self, request: dict[str, Any]) -> Any:
        device, low, high = (
            request["ExpressionAttributeValues"][f":{name}"]["S"] for name in ("device", "low", "high")
        )
        found = [row for row in self._rows[device] if low <= _key(row) <= high]
        forward = request["ScanIndexForward"]
        if "ExclusiveStartKey" in request:
            start = _key(request["ExclusiveStartKey"])
            found = [row for row in found if (_key(row) > start if forward else _key(row) < start)]
        found = found if forward else found[::-1]
        count = self._dice.randint(1, 60)
        names = request["ExpressionAttributeNames"]
        paths = [[names[name] for name in path.split(".")] for path in request["ProjectionExpression"].split(", ")]
        more = {"LastEvaluatedKey": _keys(found[count - 1])} if len(found) > count else {}
        return success(Items=[_projected(row, paths) for row in found[:count]], **more)


def _key(row: dict[str, Any]) -> str:
    return str(row["event_date"]["S"])


def _keys(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("device_id", "event_date")}


def _projected(row: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    columns = {path[0]: row[path[0]] for path in paths if len(path) == 1 and path[0] in row}
    data = row["sensor_data"]["M"]
    inner = {path[1]: data[path[1]] for path in paths if len(path) == 2 and path[1] in data}
    return columns | ({"sensor_data": {"M": inner}} if inner else {})


@dataclass(frozen=True)
class Question:
    """The parameters of a question, and the most rows that one answer reads."""

    parameters: dict[str, Any]
    max_rows: int


def question(dice: random.Random) -> Question:
    parameters: dict[str, Any] = {"device_id": dice.sample(DEVICES, dice.randint(1, 5)), "every": dice.choice(LENGTHS)}
    if dice.random() < 0.6:
        parameters["metric"] = dice.sample(METRICS, dice.randint(1, len(METRICS)))
    if dice.random() < 0.5:
        sign, hours, minutes = dice.choice("+-"), dice.choice((0, 2, 12, 23)), dice.choice((0, 30, 59))
        parameters["offset"] = f"{sign}{hours:02}:{minutes:02}"
    if dice.random() < 0.2:
        parameters["event_date"] = "2026-11-22"
    else:
        start = NOON - dice.randrange(dice.choice((10_000, 100_000_000, NOON - FIRST)))
        parameters["from_"] = dice.choice((0, start, start))
        if dice.random() < 0.5:
            parameters["to"] = max(start, NOON - dice.randrange(dice.choice((10_000, 4_000_000))))
    if dice.random() < 0.7:
        parameters["limit"] = dice.choice((1, 3, 10, 40, 100, 5000))
    if dice.random() < 0.5:
        parameters["order"] = dice.choice(("asc", "desc"))
    return Question(parameters, dice.choice((10, 40, 100, 100_000)))


def check(world: World, rows: list[dict[str, Any]], asked: Question, patch: pytest.MonkeyPatch) -> int:
    """Compare all pages of the answer with the expected one; return how many pages there were."""
    patch.setattr(buckets, "MAX_ROWS", asked.max_rows)
    expected, most = expectation(rows, asked.parameters)
    found: dict[Series, list[Bucket]] = defaultdict(list)
    token: dict[str, str] = {}
    for number in range(10_000):
        answer = world.query(**asked.parameters, **token)
        body = answered(answer)
        if answer["statusCode"] == 400:
            assert [one["code"] for one in body["error"]["details"]] == ["too_many_rows"]
            assert most > asked.max_rows
            return number + 1
        _collect(body, asked, found)
        if "next_token" not in body:
            assert most <= asked.max_rows
            assert found == expected
            return number + 1
        token = {"next_token": body["next_token"]}
    raise AssertionError("the pages do not end")


def _collect(body: dict[str, Any], asked: Question, found: dict[Series, list[Bucket]]) -> None:
    assert body["every"] == asked.parameters["every"]
    assert body["count"] <= asked.parameters.get("limit", 1000)
    names = [(one["device_id"], one["metric"]) for one in body["series"]]
    devices = asked.parameters["device_id"]
    assert names == sorted(set(names), key=lambda name: (devices.index(name[0]), name[1]))
    listed = 0
    for one in body["series"]:
        series = one.pop("device_id"), one.pop("metric")
        listed += len(one["start"])
        columns = [[Fraction(value) for value in column] for column in one.values()]
        found[series] += [dict(zip(one, values, strict=True)) for values in zip(*columns, strict=True)]
    assert body["count"] == listed


def expectation(rows: list[dict[str, Any]], asked: dict[str, Any]) -> tuple[dict[Series, list[Bucket]], int]:
    """Return the expected buckets of each series, and the most rows that are in one period of a device."""
    width = int(asked["every"][:-1]) * UNITS[asked["every"][-1]] * 1000
    ahead = _offset(asked.get("offset", "+00:00"))
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=_key):
        time, device = int(row["timestamp"]["N"]), row["device_id"]["S"]
        if device in asked["device_id"] and _is_within(row, time, asked):
            groups[device, (time + ahead) // width * width - ahead].append(row)
    expected: dict[Series, list[Bucket]] = defaultdict(list)
    for (device, start), members in sorted(groups.items(), reverse=asked.get("order") == "desc"):
        values: dict[str, list[Fraction]] = defaultdict(list)
        for name, value in (pair for row in members for pair in _numbers(row)):
            if name in asked.get("metric", [name]):
                values[name].append(value)
        for name, numbers in values.items():
            expected[device, name].append({"start": start} | _aggregate(numbers))
    return expected, max(map(len, groups.values()), default=0)


def _offset(text: str) -> int:
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return (-minutes if text[0] == "-" else minutes) * 60_000


def _is_within(row: dict[str, Any], time: int, asked: dict[str, Any]) -> bool:
    if "event_date" in asked:
        return bool(row["event_date"]["S"].startswith(asked["event_date"]))
    return bool(asked["from_"] <= time <= asked.get("to", LAST))


def _numbers(row: dict[str, Any]) -> Iterator[tuple[str, Fraction]]:
    columns = {name: row[name] for name in METRICS[:3] if name in row} | row["sensor_data"]["M"]
    yield from ((name, Fraction(value["N"])) for name, value in columns.items() if "N" in value)


def _aggregate(numbers: list[Fraction]) -> Bucket:
    total = sum(numbers, Fraction())
    return {
        "count": len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "sum": rounded(total, 38),
        "mean": rounded(total / len(numbers), 17),
        "last": numbers[-1],
    }


def rounded(exact: Fraction, digits: int) -> Fraction:
    """Return the number of that many digits that is nearest; of two, the one with the even last digit."""
    if not exact:
        return exact
    exponent = len(str(abs(exact.numerator))) - len(str(exact.denominator)) - digits
    while abs(exact) >= Fraction(10) ** (exponent + digits):
        exponent += 1
    while abs(exact) < Fraction(10) ** (exponent + digits - 1):
        exponent -= 1
    unit = Fraction(10) ** exponent
    return round(exact / unit) * unit
