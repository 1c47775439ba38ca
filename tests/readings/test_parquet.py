"""`query -o FILE --format parquet`: types, exact values, and what is said without pyarrow."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.local import install_hint
from iotpipe.readings.buckets import FIGURES
from tests.readings.test_export import row_text, serve
from tests.readings.test_readings_commands import Type, env, rows, typed
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, answering

__all__ = ["env", "rows", "typed"]  # fixtures

needs_pyarrow = pytest.mark.skipif(not install_hint.installed("parquet"), reason="pyarrow is not installed")
EXACT = "12345678901234567890.123456789012345678"


def read(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(path)


def types(table: Any) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def store(world: World, *data: str) -> None:
    for index, each in enumerate(data):
        world.ingest(f'{{"device_id": "A", "timestamp": {NOON + index}, "sensor_data": {{{each}}}}}')
    world.deliver()


def test_without_pyarrow_the_command_that_installs_it_is_told_before_anything_is_read(
    typed: Type, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_hint, "installed", lambda *_: False)
    for words in (["rows", "--format", "parquet"], ["rows.parquet"]):
        error = typed("query", "A", "-o", str(tmp_path / words[0]), *words[1:]).exception
        assert isinstance(error, UsageError) and "Parquet files need pyarrow, which is not installed" in str(error)
        assert " -m pip install pyarrow>=" in str(error).replace("'", "")
    assert not gateway.requests and not os.listdir(tmp_path)


@needs_pyarrow
def test_many_rows_come_back_equal(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    serve(gateway, 20_000)
    result = typed("query", "A", "-o", str(tmp_path / "rows.parquet"))
    assert result.stderr == f"wrote 20000 rows to {tmp_path / 'rows.parquet'}\n"
    table = read(tmp_path / "rows.parquet")
    assert types(table) == {
        "device_id": "string",
        "time": "timestamp[ms, tz=UTC]",
        "temperature": "decimal128(22, 20)",
        "rain": "decimal128(7, 2)",
        "sky": "string",
    }
    stored = [json.loads(row_text(number), parse_float=Decimal) for number in range(20_000)]
    assert table["temperature"].to_pylist() == [row["temperature"] for row in stored]
    assert table["rain"].to_pylist() == [row["sensor_data"].get("rain") for row in stored]
    assert table["sky"].to_pylist() == [row["sensor_data"]["sky"] for row in stored]
    assert table["time"].cast("int64").to_pylist() == [row["timestamp"] for row in stored]
    assert os.listdir(tmp_path) == ["rows.parquet"]


@needs_pyarrow
@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (["25.5", "-100"], "decimal128(4, 1)", [Decimal("25.5"), Decimal(-100)]),
        ([EXACT], "decimal128(38, 18)", [Decimal(EXACT)]),
        ([EXACT, "0.1234567890123456789"], "string", [EXACT, "0.1234567890123456789"]),
        (["1e37", "-0"], "decimal128(38, 0)", [Decimal("1e37"), Decimal(0)]),
        (["1e38"], "string", None),
        (["1e125", "1e-125"], "string", None),
        (["0"], "decimal128(1, 0)", [Decimal(0)]),
        (["0.001"], "decimal128(3, 3)", [Decimal("0.001")]),
        (["1", '"one"'], "string", ["1", "one"]),
        (["1", "null"], "decimal128(1, 0)", [Decimal(1), None]),
        (["null"], "decimal128(1, 0)", [None]),
        (["true", "[1, 2.50]"], "string", ["true", "[1, 2.5]"]),
        (['"\\u001b[2J\\n"'], "string", ["\x1b[2J\n"]),
    ],
)
def test_a_column_is_decimal_where_the_digits_fit_and_text_elsewhere(
    typed: Type, world: World, tmp_path: Path, values: list[str], type_: str, expected: list[Any] | None
) -> None:
    store(world, *(f'"m": {value}, "n": 1' for value in values))
    typed("query", "A", "--order", "asc", "-o", str(tmp_path / "rows.parquet"))
    table = read(tmp_path / "rows.parquet")
    assert types(table)["m"] == type_
    found = table["m"].to_pylist()
    if expected is None:
        assert list(map(Decimal, found)) == list(map(Decimal, values))
    else:
        assert found == expected


@needs_pyarrow
def test_columns_of_odd_names_are_told_apart(typed: Type, world: World, tmp_path: Path) -> None:
    names = ["time", "sensor_data.time", "device_id", "\x1b[31m\u202e", "=1+1", "ü 🌡"]
    store(world, json.dumps({name: index for index, name in enumerate(names)})[1:-1])
    typed("query", "A", "-o", str(tmp_path / "rows.parquet"))
    (row,) = read(tmp_path / "rows.parquet").to_pylist()
    assert row == {
        "device_id": "A",
        "time": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "sensor_data.sensor_data.time": 0,
        "sensor_data.time": 1,
        "sensor_data.device_id": 2,
        "\x1b[31m\u202e": 3,
        "=1+1": 4,
        "ü 🌡": 5,
    }


@needs_pyarrow
def test_a_text_that_has_no_utf_8_is_escaped(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    row = f'{{"device_id": "A", "timestamp": {NOON}, "sensor_data": {{"\\ud800": "a\\udfff"}}}}'
    gateway.faults.append(answering(200, f'{{"items": [{row}]}}'))
    typed("query", "A", "-o", str(tmp_path / "rows.parquet"))
    (found,) = read(tmp_path / "rows.parquet").to_pylist()
    assert found["\\ud800"] == "a\\udfff"


@needs_pyarrow
def test_buckets_have_a_column_for_each_figure(typed: Type, world: World, tmp_path: Path) -> None:
    store(world, '"temperature": 1', '"temperature": 2', '"temperature": 2.5')
    typed("query", "A", "--from", "1d", "--every", "1h", "-o", str(tmp_path / "buckets.parquet"))
    table = read(tmp_path / "buckets.parquet")
    assert [types(table)[name] for name in ("device_id", "metric", "time", "count", "sum")] == [
        "string",
        "string",
        "timestamp[ms, tz=UTC]",
        "int64",
        "decimal128(2, 1)",
    ]
    (row,) = table.to_pylist()
    assert [row[name] for name in ("count", "min", "max", "sum", "last")] == [3, 1, 2.5, 5.5, 2.5]


@needs_pyarrow
@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ([], ["device_id", "time"]),
        (
            ["--last", "1d", "--every", "1h"],
            ["device_id", "metric", "time", *FIGURES],
        ),
    ],
)
def test_without_rows_there_is_a_file_without_rows(
    typed: Type, tmp_path: Path, words: list[str], columns: list[str]
) -> None:
    typed("query", "nobody", *words, "-o", str(tmp_path / "rows.parquet"))
    table = read(tmp_path / "rows.parquet")
    assert (table.num_rows, table.column_names) == (0, columns)


@needs_pyarrow
def test_a_failed_export_leaves_no_file(typed: Type, gateway: Gateway, tmp_path: Path) -> None:
    serve(gateway, 3000)
    gateway.faults.insert(1, answering(414, "URI Too Long"))
    result = typed("query", "A", "-o", str(tmp_path / "rows.parquet"))
    assert isinstance(result.exception, IotpipeError) and os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "words", "begin"),
    [
        ("rows.csv", [], "device_id,time"),
        ("rows.JSONL", [], "{"),
        ("rows.txt", [], "device_id,time"),
        ("jsonl", [], "device_id,time"),
        ("rows.jsonl", ["--format", "csv"], "device_id,time"),
        ("rows.csv", ["--format", "jsonl"], "{"),
    ],
)
def test_the_ending_says_the_format_unless_it_is_given(
    typed: Type, world: World, tmp_path: Path, name: str, words: list[str], begin: str
) -> None:
    store(world, '"temperature": 1')
    assert typed("query", "A", "-o", str(tmp_path / name), *words).exception is None
    assert (tmp_path / name).read_text().startswith(begin)
