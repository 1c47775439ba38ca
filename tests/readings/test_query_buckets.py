"""`query` of several devices, of some metrics, and of buckets: the table, --json, --csv and files of each."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click
import pytest

from iotpipe.errors import UsageError
from iotpipe.handlers import identifiers, query_parameters
from iotpipe.handlers import readings as handlers_readings
from iotpipe.readings import buckets
from iotpipe.readings import query as limits
from tests.readings.test_readings_commands import Type, env, rows, typed
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway

__all__ = ["env", "rows", "typed"]  # fixtures

HOUR = 3_600_000
EXACT = "12345678901234567890.123456789012345678"


@pytest.fixture
def house(world: World) -> World:
    """Two devices: the roof with four readings in two hours before noon, the cellar with one."""
    for minutes, temperature in ((110, "1"), (100, "3"), (50, "5.5"), (40, EXACT)):
        data = f'"temperature": {temperature}, "rain": 0.1, "sky": "fair"'
        world.ingest(
            f'{{"device_id": "roof", "timestamp": {NOON - minutes * 60_000}, "sensor_data": {{{data}}}}}',
        )
    world.ingest({"device_id": "cellar", "timestamp": NOON - 30 * 60_000, "sensor_data": {"temperature": -4}})
    world.deliver()
    return world


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_of_several_devices_come_device_by_device_and_say_which(typed: Type, house: World) -> None:
    lines = typed("query", "roof", "cellar", "--last", "1h").stdout.splitlines()
    assert lines[0].split() == ["time", "device_id", "temperature", "rain", "sky"]
    assert lines[1].split()[:3] == ["2026-11-22T11:20:00.000Z", "roof", EXACT]
    assert lines[3].split() == ["2026-11-22T11:30:00.000Z", "cellar", "-4"]
    assert [line.split()[:2] for line in lines[5:]] == [
        ["roof", "temperature"],
        ["roof", "rain"],
        ["cellar", "temperature"],
    ]


def test_a_limit_is_one_of_each_device(typed: Type, house: World) -> None:
    result = typed("query", "roof", "cellar", "--limit", "1", "--json")
    found = json.loads(result.stdout)
    assert [row["device_id"] for row in found["items"]] == ["roof", "cellar"]
    assert found["more"] is True and "there are more than these 2 rows" in result.stderr
    assert json.loads(typed("query", "cellar", "roof", "--limit", "4", "--json").stdout)["more"] is False


def test_a_device_without_readings_is_named(typed: Type, house: World) -> None:
    assert typed("query", "roof", "attic").stderr == "attic has no readings in this period\n"
    assert typed("query", "attic", "shed").stderr == "attic, shed have no readings in this period\n"
    shown = typed("query", "roof", "attic", "--last", "1d", "--every", "1h")
    assert shown.stderr == "attic has no numeric readings in this period\n"


def test_only_the_metrics_that_are_named_are_shown(typed: Type, house: World, gateway: Gateway) -> None:
    lines = typed("query", "roof", "--metric", "sky", "--metric", "rain").stdout.splitlines()
    assert lines[0].split() == ["time", "rain", "sky"]
    assert gateway.requests[-1].all_values["metric"] == ["sky", "rain"]
    assert typed("query", "roof", "--metric", "sky", "--table", "raw").stdout.splitlines()[0].split() == ["time", "sky"]


def test_a_metric_that_no_row_has_is_named(typed: Type, house: World) -> None:
    for words in ([], ["--last", "1d", "--every", "1h"]):
        asked = ["query", "roof", *words, "--metric", "rain", "--metric", "ran", "--metric", "sun"]
        assert typed(*asked).stderr == f"none of these {'buckets' if words else 'rows'} has ran or sun\n"


def test_buckets_are_a_table_with_exact_numbers(typed: Type, house: World) -> None:
    lines = typed("query", "roof", "--last", "1d", "--every", "1h", "--metric", "temperature").stdout.splitlines()
    assert lines[0].split() == ["time", "metric", "count", "min", "mean", "max", "last"]
    assert lines[1].split()[:4] == ["2026-11-22T11:00:00.000Z", "temperature", "2", "5.5"]
    assert lines[1].split()[5:] == [EXACT, EXACT]
    assert lines[2].split() == ["2026-11-22T10:00:00.000Z", "temperature", "2", "1", "2", "3", "3"]
    assert lines[4].startswith("temperature  ▁█  2 to ")


def test_buckets_in_csv_json_and_files_are_the_same(typed: Type, house: World, tmp_path: Path) -> None:
    question = ["query", "cellar", "roof", "--last", "1d", "--every", "1h", "--order", "asc"]
    shown = read(typed(*question, "--csv").stdout)
    assert list(shown[0]) == ["device_id", "metric", "time", "count", "min", "max", "sum", "mean", "last"]
    assert [(row["device_id"], row["metric"], row["time"][11:13], row["count"]) for row in shown] == [
        ("cellar", "temperature", "11", "1"),
        ("roof", "rain", "10", "2"),
        ("roof", "temperature", "10", "2"),
        ("roof", "rain", "11", "2"),
        ("roof", "temperature", "11", "2"),
    ]
    assert shown[-1]["max"] == EXACT
    typed(*question, "-o", str(tmp_path / "buckets.csv"))
    assert read((tmp_path / "buckets.csv").read_text("utf-8")) == shown
    told = typed(*question, "-o", str(tmp_path / "buckets.jsonl"), "--format", "jsonl").stderr
    assert told == f"wrote 5 buckets to {tmp_path / 'buckets.jsonl'}\n"
    lines = [json.loads(line, parse_float=str) for line in (tmp_path / "buckets.jsonl").read_text("utf-8").splitlines()]
    assert [(line["metric"], line["start"], str(line["max"])) for line in lines] == [
        (row["metric"], NOON - 2 * HOUR if row["time"][11:13] == "10" else NOON - HOUR, row["max"]) for row in shown
    ]
    found = json.loads(typed(*question, "--json").stdout, parse_float=str)
    assert (found["every"], found["count"], found["more"]) == ("1h", 5, False)
    assert [(each["device_id"], each["metric"], each["count"]) for each in found["series"]] == [
        ("cellar", "temperature", [1]),
        ("roof", "rain", [2, 2]),
        ("roof", "temperature", [2, 2]),
    ]


def test_buckets_of_many_pages_come_in_their_order(
    typed: Type, house: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ["query", "roof", "cellar", "--last", "1d", "--every", "1h", "--csv"]
    whole = typed(*question).stdout
    asked = len(gateway.requests)
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 1)
    assert typed(*question, "--all").stdout == whole
    assert len(gateway.requests) - asked >= len(read(whole))


def test_an_offset_moves_the_days(typed: Type, house: World) -> None:
    question = ["query", "roof", "--last", "1d", "--every", "1d", "--csv", "--metric", "rain"]
    assert [row["time"] for row in read(typed(*question).stdout)] == ["2026-11-22T00:00:00.000Z"]
    (row,) = read(typed(*question, "--offset", "+02:00").stdout)
    assert row["time"] == "2026-11-21T22:00:00.000Z"


def test_buckets_are_limited_too(typed: Type, house: World) -> None:
    result = typed("query", "roof", "--last", "1d", "--every", "1h", "--limit", "3", "--json")
    assert json.loads(result.stdout)["count"] == 3 and "more than these 3 buckets" in result.stderr


@pytest.mark.parametrize("how", ["--json", "--csv"])
def test_an_answer_without_buckets_is_empty(typed: Type, how: str) -> None:
    result = typed("query", "nobody", "--last", "1d", "--every", "1h", how)
    assert result.stdout == "" if how == "--csv" else json.loads(result.stdout)["series"] == []


def test_a_file_without_buckets_has_its_header(typed: Type, tmp_path: Path) -> None:
    typed("query", "nobody", "--last", "1d", "--every", "1h", "-o", str(tmp_path / "none.csv"))
    assert (tmp_path / "none.csv").read_text() == "device_id,metric,time,count,min,max,sum,mean,last\n"


def test_odd_names_of_metrics_are_asked_for_and_shown_harmlessly(typed: Type, world: World) -> None:
    name = "a&b=\x1b[31m+%ü 🌡\u202e"
    world.ingest(json.dumps({"device_id": "A", "timestamp": NOON, "sensor_data": {name: 1, "=other": 2}}))
    world.deliver()
    for words in ([], ["--last", "1d", "--every", "1h"]):
        for how in ([], ["--csv"], ["--json"]):
            shown = typed("query", "A", "--metric", name, *words, *how)
            assert not {each for each in shown.output if not each.isprintable()} - {"\n"}
            assert "a&b=" in shown.stdout and "other" not in shown.stdout
    assert "'=other" in typed("query", "A", "--last", "1d", "--every", "1h", "--csv").stdout


def test_the_limits_are_those_of_the_api() -> None:
    assert {"device_id": limits.MAX_DEVICES, "metric": limits.MAX_METRICS} == query_parameters.REPEATABLE
    assert handlers_readings.MAX_NAME_LENGTH == limits.MAX_NAME_LENGTH
    assert identifiers.PATTERN == limits.DEVICE_ID
    assert buckets.MAX_BUCKETS == query_parameters.MAX_BUCKETS


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["A", "A"], "the device A is named twice"),
        ([f"d{number}" for number in range(11)], "11 devices are more than one query may ask for. Name at most 10"),
        (["A", "--metric", "a", "--metric", "a"], "the metric a is named twice"),
        (["A", *(word for n in range(21) for word in ("--metric", str(n)))], "21 metrics are more than one query"),
        (["A", "--metric", ""], "--metric needs a name of 1 to 255 characters"),
        (["A", "--metric", "m" * 256], "--metric needs a name of 1 to 255 characters"),
        (["A", "--every", "1h"], "--every needs --last, --from or --date"),
        (["A", "--every", "1h", "--to", "1h"], "--every needs --last, --from or --date"),
        (["A", "--every", "hourly", "--last", "1d"], "'hourly' is not a length of buckets"),
        (["A", "--every", "0m", "--last", "1d"], "'0m' is not a length of buckets"),
        (["A", "--every", "1h", "--last", "1d", "--table", "raw"], "--every excludes --table raw"),
        (["A", "--offset", "+02:00"], "--offset needs --every"),
        (["A", "--every", "1h", "--last", "1d", "--offset", "2"], "'2' is not an offset from UTC"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_request(
    typed: Type, gateway: Gateway, words: list[str], told: str
) -> None:
    result: Any = typed("query", *words)
    assert isinstance(result.exception, UsageError) and told in str(result.exception)
    assert not gateway.requests


def test_no_device_at_all_is_a_question_of_usage(typed: Type) -> None:
    error = typed("query").exception
    assert isinstance(error, click.UsageError) and error.format_message() == "Missing argument 'DEVICE...'."
