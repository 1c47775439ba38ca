"""`query -o`: what the file has, that it is whole or not there, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.readings import exact_json
from tests.readings.test_readings_commands import Type, env, rows, rows_of, typed
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, Reply, Request, answering

__all__ = ["env", "rows", "typed"]  # fixtures

EXACT = "12345678901234567890.123456789012345678"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def row_text(number: int) -> str:
    """A stored row as the API answers it, with digits that a float does not have."""
    other = f', "rain": {number}.10' if number % 3 == 0 else ""
    return (
        f'{{"device_id": "A", "timestamp": {NOON - number}, "temperature": 20.{number:020}, '
        f'"sensor_data": {{"sky": "fair, {number}"{other}}}}}'
    )


def serve(gateway: Gateway, count: int) -> None:
    """Let the API have so many rows."""

    def page(request: Request) -> Reply:
        first = int(request.parameters.get("next_token", 0))
        last = min(count, first + int(request.parameters["limit"]))
        token = f', "next_token": "{last}"' if last < count else ""
        return 200, {}, f'{{"items": [{", ".join(map(row_text, range(first, last)))}]{token}}}'

    gateway.faults.extend([page] * (count // 1000 + 1))


@pytest.mark.matrix
def test_many_rows_come_back_equal_from_json_lines(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    serve(gateway, 20_000)
    result = typed("query", "A", "-o", str(tmp_path / "rows.jsonl"), "--format", "jsonl")
    assert (result.stdout, result.exception) == ("", None)
    assert result.stderr == f"wrote 20000 rows to {tmp_path / 'rows.jsonl'}\n", "there is no progress without terminal"
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert list(map(exact_json.loads, lines)) == [exact_json.loads(row_text(number)) for number in range(20_000)]


@pytest.mark.matrix
def test_many_rows_come_back_equal_from_csv(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    serve(gateway, 20_000)
    assert typed("query", "A", "-o", str(tmp_path / "rows.csv")).exception is None
    found = read_csv(tmp_path / "rows.csv")
    assert list(found[0]) == ["device_id", "time", "temperature", "rain", "sky"]
    assert [row["temperature"] for row in found] == [f"20.{number:020}" for number in range(20_000)]
    assert [row["sky"] for row in found] == [f"fair, {number}" for number in range(20_000)]
    assert [row["rain"] for row in found[:4]] == ["0.10", "", "", "3.10"]
    assert found[1]["time"] == "2026-11-22T11:59:59.999Z"
    assert os.listdir(tmp_path) == ["rows.csv"]


@pytest.mark.parametrize("table", ["raw", "processed"])
def test_stored_readings_are_exported_in_tidy_columns(typed: Type, world: World, tmp_path: Path, table: str) -> None:
    for index, data in enumerate((f'"zinc": 1, "temperature": -5.50, "odd": {EXACT}', '"air": null, "humidity": 1')):
        world.ingest(f'{{"device_id": "A", "timestamp": {NOON + index}, "sensor_data": {{{data}}}}}')
    world.deliver()
    file = tmp_path / "rows.csv"
    typed("query", "A", "--table", table, "--order", "asc", "-o", str(file))
    header, first, second = file.read_text("utf-8").splitlines()
    assert header == "device_id,time,temperature,humidity,air,odd,zinc"
    assert first == f"A,2026-11-22T12:00:00.000Z,-5.5,,,{EXACT},1"
    assert second == "A,2026-11-22T12:00:00.001Z,,1,null,,"


def test_json_lines_are_the_rows_of_json(typed: Type, world: World, tmp_path: Path) -> None:
    rows_of(world, sky="\x1b[2J\u2028")
    typed("query", "A", "-o", str(tmp_path / "rows"), "--format", "jsonl")
    text = (tmp_path / "rows").read_text("utf-8")
    assert not {each for each in text if not each.isprintable()} - {"\n"}
    assert [json.loads(line) for line in text.split("\n")[:-1]] == json.loads(typed("query", "A", "--json").stdout)[
        "items"
    ]


def test_a_file_of_csv_is_as_harmless_as_csv_on_stdout(typed: Type, world: World, tmp_path: Path) -> None:
    data = {"=1+1": "@SUM(A1)", "time": 1, "device_id": 2, "sky": "\x1b[2J\n"}
    world.ingest(json.dumps({"device_id": "A", "timestamp": NOON, "sensor_data": data}))
    world.deliver()
    typed("query", "A", "-o", str(tmp_path / "rows.csv"))
    (row,) = read_csv(tmp_path / "rows.csv")
    assert row == {
        "device_id": "A",
        "time": "2026-11-22T12:00:00.000Z",
        "'=1+1": "'@SUM(A1)",
        "sensor_data.device_id": "2",
        "sky": "\\x1b[2J\\n",
        "sensor_data.time": "1",
    }


@pytest.mark.parametrize("words", [["query", "A", "-o"], ["query", "A", "--csv"], ["devices", "--csv"]], ids=" ".join)
def test_no_two_columns_of_csv_have_one_name(typed: Type, world: World, tmp_path: Path, words: list[str]) -> None:
    data = {"=a": 1, "'=a": 2, "a\nb": 3, "a\\nb": 4, "time": 5, "sensor_data.time": 6, "last_seen": 7}
    world.ingest(json.dumps({"device_id": "A", "timestamp": NOON, "sensor_data": data}))
    world.deliver()
    path = tmp_path / "rows.csv"
    result = typed(*words, *([str(path)] if words[-1] == "-o" else []))
    header, row = csv.reader((path.read_text("utf-8") if words[-1] == "-o" else result.stdout).splitlines())
    assert len({*header}) == len(header)
    assert [row[header.index(name)] for name in header if name.endswith("nb")] in (["3", "4"], ["4", "3"])
    assert {"1", "2", "3", "4", "5", "6", "7"} <= {*row}


def test_limits_limit_an_export_too(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    serve(gateway, 3000)
    result = typed("query", "A", "--limit", "1500", "-o", str(tmp_path / "rows.csv"))
    assert len(read_csv(tmp_path / "rows.csv")) == 1500
    assert "there are more than these 1500 rows" in result.stderr


@pytest.mark.parametrize(("how", "text"), [("csv", "device_id,time\n"), ("jsonl", "")])
def test_an_export_without_readings_is_a_file_without_rows(typed: Type, tmp_path: Path, how: str, text: str) -> None:
    assert typed("query", "nobody", "-o", str(tmp_path / "rows"), "--format", how).exception is None
    assert (tmp_path / "rows").read_text("utf-8") == text


def test_an_existing_file_is_only_replaced_if_that_is_said(
    typed: Type, world: World, gateway: Gateway, tmp_path: Path
) -> None:
    rows_of(world)
    file, link = tmp_path / "rows.csv", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(file)
    result = typed("query", "A", "-o", str(file))
    assert isinstance(result.exception, UsageError) and f"{file} exists. Name another" in str(result.exception)
    assert file.read_text() == "precious" and not gateway.requests
    assert typed("query", "A", "-o", str(link), "--overwrite").exception is None
    assert len(read_csv(file)) == 5 and link.is_symlink()


@pytest.mark.parametrize("how", ["csv", "jsonl"])
def test_an_export_that_fails_leaves_what_was_there(typed: Type, gateway: Gateway, tmp_path: Path, how: str) -> None:
    serve(gateway, 3000)
    gateway.faults.insert(1, answering(414, "URI Too Long"))
    (tmp_path / "rows").write_text("old")
    result = typed("query", "A", "-o", str(tmp_path / "rows"), "--format", how, "--overwrite")
    assert isinstance(result.exception, IotpipeError) and "the query failed: 414" in str(result.exception)
    assert os.listdir(tmp_path) == ["rows"] and (tmp_path / "rows").read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_no_file(
    typed: Type, gateway: Gateway, tmp_path: Path, number: signal.Signals
) -> None:
    serve(gateway, 5000)
    main = threading.main_thread().ident
    assert main

    def interrupt(request: Request) -> Reply | None:
        signal.pthread_kill(main, number)
        return None

    gateway.faults.insert(2, interrupt)
    result = typed("query", "A", "-o", str(tmp_path / "rows.csv"))
    assert isinstance(result.exception, Interrupted) and "rows.csv was not written" in str(result.exception)
    assert os.listdir(tmp_path) == []


def test_a_file_may_have_the_longest_name_that_there_is(typed: Type, world: World, tmp_path: Path) -> None:
    rows_of(world)
    path = tmp_path / f"{'温' * 83}.csv"
    assert typed("query", "A", "-o", str(path)).exception is None
    assert len(read_csv(path)) == 5


def test_a_directory_that_is_not_there_is_told(typed: Type, tmp_path: Path) -> None:
    result = typed("query", "A", "-o", str(tmp_path / "none" / "rows.csv"))
    assert isinstance(result.exception, IotpipeError)
    assert f"cannot write {tmp_path}/none/rows.csv: No such file or directory" in str(result.exception)


def test_a_name_that_no_file_can_have_is_told_before_anything_is_read(
    typed: Type, gateway: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / f"{'a' * 300}.csv"
    result = typed("query", "A", "-o", str(file))
    assert isinstance(result.exception, IotpipeError)
    assert f"cannot write {file}: File name too long" in str(result.exception)
    assert not gateway.requests


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "csv"], "--format and --overwrite need -o"),
        (["-o", ""], "-o needs the name of a file"),
        (["-o", "-"], "-o needs the name of a file"),
        (["--overwrite"], "--format and --overwrite need -o"),
        (["--csv", "-o", "rows.csv"], "--csv and -o exclude each other"),
        (["-o", os.devnull, "--overwrite"], f"{os.devnull} is not a regular file"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    typed: Type, gateway: Gateway, words: list[str], told: str
) -> None:
    result: Any = typed("query", "A", *words)
    assert isinstance(result.exception, UsageError) and told in str(result.exception)
    assert not gateway.requests
