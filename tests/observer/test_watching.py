"""The picture in the terminal fits any terminal, and shows nothing that nobody knows."""

from __future__ import annotations

import pytest

from iotpipe.errors import UsageError
from iotpipe.observer.snapshot import Snapshot
from iotpipe.render.watch import ASCII, DRAWN, picture, sparkline
from iotpipe.times import iso
from tests.support.observed_world import NAMES, Observed


@pytest.fixture
def seen(observed: Observed) -> Snapshot:
    """A snapshot with everything in it that a picture can show."""
    observed.put(NAMES.dead_letter_queue, "a")
    observed.alarm("iot-dlq-depth-dev", "ALARM", "Threshold Crossed")
    observed.store("roof", 3_600_000, 3_660_000)
    observed.log("ingestion", {"route": "/ingest", "status": 200, "accepted": 120}, ago=20_000)
    observed.log("processor", {"route": "queue", "processed": 120, "wait": [40] * 100}, ago=20_000)
    observed.log("ingestion", {"route": "/ingest", "status": 400, "rejected": 1, "reasons": ["\x1b[2J" * 50]})
    observed.denied.add("DescribeAlarms")
    return observed.look(observed.observer())


def lines(snapshot: Snapshot, width: int = 120, height: int = 40, held: bool = False) -> list[str]:
    return [each.plain for each in picture(snapshot, 2, held, width, height)]


@pytest.mark.sampled(8)
@pytest.mark.parametrize("width", [1, 10, 30, 48, 60, 80, 120, 300])
@pytest.mark.parametrize("height", [1, 8, 24, 60])
def test_no_terminal_is_too_small(seen: Snapshot, width: int, height: int) -> None:
    for signs in (DRAWN, ASCII):
        drawn = picture(seen, 2, False, width, height, "http://127.0.0.1:1/#token", signs)
        assert len(drawn) <= height
        assert all(each.cell_len <= width and each.plain.isprintable() for each in drawn)


def test_where_there_is_room_the_way_of_a_reading_goes_from_left_to_right(seen: Snapshot) -> None:
    drawn = lines(seen)
    assert drawn[0].startswith("dev  this machine ") and drawn[0].endswith(" UTC")
    assert drawn[2] == "Readings flow. 1 dead letter waits, 1 device is silent."
    names, values, notes, branches = drawn[4:8]
    assert names.split() == ["devices", "API", "data-ingestion", "queue", "data-processor", "processed-data"]
    assert values.split(" ──▶ ")[2].strip() == "2.0 /s"
    assert "120 accepted" in notes and "120 stored" in notes
    assert [each.strip() for each in branches.split("└▶")] == ["", "raw +120", "dlq 1", "alerts ?"]
    assert drawn[-1] == "q ends · space holds · o opens the page"
    axis = drawn[13].split()
    assert axis[1] == drawn[0].split()[-2][:5], "the last minutes end now"


def test_what_devices_publish_has_a_line_of_its_own(with_devices: Observed) -> None:
    batch = {"route": "mqtt", "messages": 60, "accepted": 90, "refused_readings": 3}
    with_devices.log("ingestion", batch, ago=20_000)
    with_devices.put(NAMES.device_queue, "a")
    found = with_devices.look(with_devices.observer())
    boxes = ["topic-rule  1.0 msg/s  3 refused, failures not known", "device-queue  1 waiting  0 in flight"]
    assert lines(found, width=140)[8:10] == ["", f"MQTT  {boxes[0]} ──▶ {boxes[1]} ──▶ data-ingestion"]
    assert lines(found, width=110)[8:11] == ["", *boxes]
    assert boxes[1] in lines(found, width=60)


def test_where_there_is_none_each_box_is_a_line(seen: Snapshot) -> None:
    drawn = lines(seen, width=60)
    assert "data-ingestion  2.0 /s  120 accepted" in drawn
    assert "dlq  1 waiting  0 in flight" in drawn


def test_what_cannot_be_read_is_said_with_its_reason(seen: Snapshot) -> None:
    [told] = [each for each in lines(seen, width=200) if each.startswith("alarms not read since ")]
    assert "not authorized to perform DescribeAlarms" in told


def test_how_far_cloudwatch_is_behind_is_said(observed: Observed) -> None:
    ingestion = {"environment": "dev", "function": "ingestion"}
    observed.metric("iotpipe", "accepted", ingestion, 60, ago=180_000)
    found = observed.look(observed.observer(local=False), 3600)
    assert found.series.told_until
    behind = (found.time - found.series.told_until) // 1000
    told = iso(found.series.told_until)[11:16]
    assert f"counts to {told}, CloudWatch is {round(behind / 60)} min behind" in lines(found)
    assert lines(found)[0].startswith("dev  account 123456789012, us-east-1 ")


def test_on_a_low_terminal_the_keys_stay_in_sight(seen: Snapshot) -> None:
    assert lines(seen, height=12)[-1] == "q ends · space holds · o opens the page"
    assert lines(seen, held=True)[-1] == "q ends · space goes on · o opens the page"
    assert " held every 2 s " in lines(seen, held=True)[0]


def test_a_link_to_the_page_is_shown_above_the_keys(seen: Snapshot) -> None:
    drawn = [each.plain for each in picture(seen, 2, False, 120, 30, "http://127.0.0.1:1/#token")]
    assert drawn[-2:] == [
        "http://127.0.0.1:1/#token  good once, for a minute",
        "q ends · space holds · o opens the page",
    ]


def test_a_reason_is_on_one_line_that_cannot_control_the_terminal(seen: Snapshot) -> None:
    [told] = [each for each in lines(seen) if "1×" in each]  # noqa: RUF001 - the sign for times
    assert told.startswith("      1× \\x1b[2J\\x1b[2J")  # noqa: RUF001 - as above


def test_what_is_not_up_shows_what_to_do(observed: Observed) -> None:
    observed.error = UsageError("dev is not up", "Run `iotpipe up --env dev` first")
    drawn = lines(observed.look(observed.observer()))
    assert drawn[2:5] == ["dev is not up.", "", "Run `iotpipe up --env dev` first"]


@pytest.mark.parametrize(
    ("values", "columns", "shown"),
    [
        ([0.0, 1.0, 2.0, 4.0], 4, "▁▃▅█"),
        ([0.0, 0.01, None, 100.0], 4, "▁▂·█"),
        ([1.0, None, None, 8.0], 2, "▂█"),
        ([4.0, 2.0], 4, "██▅▅"),
        ([0.0, 0.0], 2, "▁▁"),
        ([None, None], 3, "···"),
    ],
)
def test_a_sparkline_shows_the_most_of_each_column_and_leaves_gaps(
    values: list[float | None], columns: int, shown: str
) -> None:
    assert sparkline(values, columns) == shown
