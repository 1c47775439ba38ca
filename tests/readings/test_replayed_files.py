"""Readings out of files: what is in them is sent exactly, what is no reading is told by its line."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from iotpipe.errors import UsageError
from iotpipe.readings import replay as files
from iotpipe.readings.generate import DAY
from iotpipe.readings.replay import Replay
from tests.support.handlers_world import NOON

Read = Callable[..., Replay]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str | bytes, *maps: str, name: str = "data.csv", **changes: Any) -> Replay:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        given = {"device": "", "time_format": "", "limit": None} | changes
        return files.replay(path, maps, **given)

    return read_text


def test_columns_are_taken_as_they_are_mapped_and_others_left_out(read: Read) -> None:
    text = "station,time,tmax,tmin\nA1,2026-11-22T12:00:00Z,25.50,3\n"
    replay = read(text, "device_id=station", "timestamp=time", "temperature=tmax")
    (one,) = replay.readings
    assert (one.device_id, one.timestamp, one.metrics) == ("A1", NOON, {"temperature": Decimal("25.50")})
    assert str(one.metrics["temperature"]) == "25.50"


def test_without_a_mapped_metric_every_other_column_is_one(read: Read) -> None:
    (one,) = read("device_id,timestamp,temperature,rain,sky\nA,1795348800000,1.5,0,fair\n").readings
    assert one.metrics == {"temperature": Decimal("1.5"), "rain": Decimal(0), "sky": "fair"}


@pytest.mark.parametrize(
    ("cell", "time_format", "moment"),
    [
        ("1795348800", "", NOON),
        ("1795348800.5", "", NOON + 500),
        ("1795348800000", "", NOON),
        ("2026-11-22T12:00:00Z", "", NOON),
        ("2026-11-22 13:00:00+01:00", "", NOON),
        ("2026-11-22 12:00", "", NOON),
        ("2026-11-22", "", NOON - DAY // 2),
        ("22.11.2026 12:00", "%d.%m.%Y %H:%M", NOON),
        ("22.11.2026 14:00 +0200", "%d.%m.%Y %H:%M %z", NOON),
    ],
)
def test_times_are_understood(read: Read, cell: str, time_format: str, moment: int) -> None:
    (one,) = read(f"device_id,timestamp,rain\nA,{cell},1\n", time_format=time_format).readings
    assert one.timestamp == moment


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_and_a_byte_order_mark_do_not_matter(read: Read, separator: str) -> None:
    rows = [["device_id", "timestamp", "rain"], ["A", "1795348800", "0.5"]]
    text = "\ufeff" + "\r\n".join(separator.join(row) for row in rows)
    assert read(text).readings[0].metrics == {"rain": Decimal("0.5")}


@pytest.mark.parametrize("cell", ["", " ", "NA", "NaN", "null", "-"])
def test_a_missing_cell_is_left_out_and_a_row_without_any_metric_altogether(read: Read, cell: str) -> None:
    replay = read(f"device_id,timestamp,rain,wind\nA,1795348800,{cell},2\nA,1795348801,{cell},{cell}\n")
    assert [one.metrics for one in replay.readings] == [{"wind": 2}]
    assert not replay.bad


def test_rows_that_are_no_readings_are_told_by_line_and_the_others_taken(read: Read) -> None:
    text = (
        "device_id,timestamp,temperature\n"
        "A,1795348800,1\n"
        "A,yesterday,1\n"
        ",1795348800,1\n"
        "A,1795348800,hot\n"
        "A,1795348800\n"
        '"A\nB",1795348800,3\n'
        "A,,1\n"
        "A,1E+999999,1\n"
        "A,1795348801,2\n"
    )
    replay = read(text)
    assert [one.line for one in replay.readings] == [2, 8, 11]
    assert [line for line, _ in replay.bad] == [3, 4, 5, 6, 9, 10]
    told = dict(replay.bad)
    assert "yesterday" in told[3] and "device" in told[4] and "hot" in told[5] and "2 cells" in told[6]


def test_json_lines_are_read_flat_or_as_the_api_takes_them(read: Read) -> None:
    text = (
        '{"device_id": "A", "timestamp": 1795348800000, "sensor_data": {"temperature": 25.50}}\n'
        "\n"
        '{"device_id": "A", "timestamp": 1795348801000, "temperature": 20.1, "reading_id": "x"}\n'
        "{broken\n"
        "[1]\n"
    )
    replay = read(text, name="data.jsonl")
    assert [(str(one.metrics["temperature"]), one.reading_id) for one in replay.readings] == [
        ("25.50", ""),
        ("20.1", "x"),
    ]
    assert [line for line, _ in replay.bad] == [4, 5]


def test_what_only_looks_like_a_number_stays_what_it_is(read: Read) -> None:
    (one,) = read("device_id,timestamp,room,shelf,rain\nA,1795348800,1_2,\uff11\uff12,+.5E1\n").readings
    assert one.metrics == {"room": "1_2", "shelf": "\uff11\uff12", "rain": Decimal(5)}
    told = dict(read("device_id,timestamp,temperature\nA,1795348800,1_2\nA,1_795_348_800,1\n").bad)
    assert "temperature is not a number" in told[2] and "no time" in told[3]


def test_columns_without_a_name_or_with_that_of_another_are_kept_apart(read: Read) -> None:
    (one,) = read(",device_id,timestamp,rain,rain,\n0,A,1795348800,1,2,\n").readings
    assert one.metrics == {"column 1": 0, "rain": 1, "rain.1": 2}
    (one,) = read("device_id,timestamp,rain,rain,rain.1\nA,1795348800,1,2,3\n", "wet=rain.1").readings
    assert one.metrics == {"wet": 2}


@pytest.mark.parametrize("moment", ["0", "2026", "20261122", "46348.5", "99999999", "20261122120000"])
def test_a_number_that_is_evidently_no_epoch_time_is_told_apart(read: Read, moment: str) -> None:
    """As seconds a year would be half past midnight in 1970, and --until would hide it."""
    problem = dict(read(f"device_id,timestamp,rain\nA,{moment},1\n").bad)[2]
    assert problem == f"no time: {moment} is evidently neither epoch seconds nor milliseconds; see --time-format"
    assert read(f"device_id,timestamp,rain\nA,{moment},1\nA,1795348800,1\n").readings[0].timestamp == NOON


@pytest.mark.parametrize("moment", ["-99999999999999", "-62135596801", "253402300800000", "1E+400"])
def test_a_time_that_no_calendar_has_is_told_by_line(read: Read, moment: str) -> None:
    assert "no time" in dict(read(f"device_id,timestamp,rain\nA,{moment},1\n").bad)[2]


def test_json_that_says_less_than_a_reading_is_told_or_left_out(read: Read) -> None:
    start = '{"device_id": "A", "timestamp": 1795348800'
    text = (
        f'{start}, "rain": NaN, "wind": 1}}\n{start}, "sensor_data": [1]}}\n{start}, "sensor_data": null, "wind": 2}}\n'
    )
    replay = read(text, name="data.jsonl")
    assert [one.metrics for one in replay.readings] == [{"wind": 1}, {"wind": 2}]
    assert replay.bad == [(2, "sensor_data is no object")]


def test_one_device_may_be_named_for_a_whole_file(read: Read) -> None:
    assert read("timestamp,rain\n1795348800,1\n", device="seattle").readings[0].device_id == "seattle"
    (one,) = read("device_id,timestamp,rain\nA,1795348800,1\n", device="seattle").readings
    assert (one.device_id, one.metrics) == ("seattle", {"rain": 1})


def test_only_so_many_are_read_as_are_asked_for(read: Read) -> None:
    text = "device_id,timestamp,rain\n" + "".join(f"A,{1795348800 + second},1\n" for second in range(9))
    assert len(read(text, limit=4).readings) == 4


def test_times_move_together_so_that_the_last_is_when_asked(read: Read) -> None:
    text = "device_id,timestamp,rain\nA,1700001000,1\nA,1700009000,1\nA,1700005000,1\n"
    moved = files.shifted(read(text).readings, NOON)
    assert [one.timestamp - NOON for one in moved] == [-8_000_000, 0, -4_000_000]


@pytest.mark.parametrize(
    ("text", "maps", "told"),
    [
        ("station,time,tmax\nA,1,2\n", ["temperature=tmx"], "no column tmx.*Did you mean tmax"),
        ("station,timestamp,tmax\nA,1,2\n", [], "no column device_id.*--map device_id=station .or --device"),
        ("device_id,time,tmax\nA,1,2\n", [], "no column timestamp.*It has: device_id, time, tmax"),
        ("device_id,timestamp\nA,1\n", ["temperature"], "is not a mapping"),
        (b"device_id,timestamp,sky\nA,1,\xff\n", [], "cannot read.*UTF-8"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_sentence(
    read: Read, text: str | bytes, maps: list[str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        read(text, *maps)


def test_a_compressed_file_is_read_whatever_it_is_called(read: Read) -> None:
    packed = gzip.compress(b"device_id,timestamp,rain\nA,1795348800,1\n")
    for name in ("data.csv.gz", "data"):
        assert [one.device_id for one in read(packed, name=name).readings] == ["A"]
    with pytest.raises(UsageError, match="cannot read"):
        read(packed[:-12], name="cut.csv.gz")


def test_stdin_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"device_id,timestamp,rain\nA,1795348800,1\n"
    for given in (text, gzip.compress(text)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        found = files.replay(Path("-"), (), device="", time_format="", limit=None)
        assert [one.device_id for one in found.readings] == ["A"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    with pytest.raises(UsageError, match="stdin has no column timestamp"):
        files.replay(Path("-"), (), device="", time_format="", limit=None)


def test_between_semicolons_a_comma_is_the_decimal_point(read: Read) -> None:
    (one,) = read("device_id;timestamp;temperature;note\nA;1795348800;-1,50;1,2 and more\n").readings
    assert one.metrics == {"temperature": Decimal("-1.50"), "note": "1,2 and more"}


def test_a_device_and_a_reading_keep_the_comma_in_their_names(read: Read) -> None:
    """Otherwise the readings of 1,2 would be stored as those of 1.2."""
    (one,) = read("device_id;timestamp;reading_id;temperature\n1,2;1795348800,5;7,1;-1,50\n").readings
    assert (one.device_id, one.reading_id, one.timestamp) == ("1,2", "7,1", NOON + 500)
    assert one.metrics == {"temperature": Decimal("-1.50")}


@pytest.mark.parametrize(
    ("header", "proposed"),
    [
        ("Station,Date,tmax", "--map timestamp=Date --map device_id=Station"),
        ("YEAR,JAN", "--map timestamp=YEAR --map device_id=COLUMN (or --device NAME if all are of one)"),
        ("sensor name;measured at (time);v", "--map 'timestamp=measured at (time)' --map 'device_id=sensor name'"),
        ("device_id,a,b", "--map timestamp=COLUMN. It has: device_id, a, b"),
    ],
)
def test_the_map_that_is_probably_right_is_proposed(read: Read, header: str, proposed: str) -> None:
    separator = ";" if ";" in header else ","
    with pytest.raises(UsageError) as refused:
        read(f"{header}\n{separator.join('1' * len(header.split(separator)))}\n")
    assert proposed in refused.value.hint


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere"):
        files.replay(tmp_path / "nowhere.csv", (), "", "", None)
