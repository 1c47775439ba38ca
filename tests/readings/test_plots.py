"""`query --plot`: what is drawn of which numbers, and what the API is asked for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpipe.errors import UsageError
from iotpipe.readings.chart import Chart, Point, Series
from iotpipe.render import console
from iotpipe.render.plot import ASCII, BRAILLE, Signs, as_lines
from iotpipe.render.time_axis import ticks
from tests.readings.test_readings_commands import Type, env, rows, rows_of, typed
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, Reply, Request

__all__ = ["env", "rows", "typed"]  # fixtures

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WIDTH = 40


def drawn(*values: Any, width: int = WIDTH, signs: Signs = BRAILLE) -> list[str]:
    """The plot of one value a minute, None where there is none, without the lines above it."""
    points = [
        Point(NOON + index * MINUTE, value, value, value) for index, value in enumerate(values) if value is not None
    ]
    chart = Chart([Series("A", "m", points, points[-1].value)], len(points), "", None, None)
    return plain(chart, width, signs)[3:]


def plain(chart: Chart, width: int = WIDTH, signs: Signs = BRAILLE) -> list[str]:
    return [console.line(*parts).plain for parts in as_lines(chart, width, signs)]


def body(lines: Sequence[str]) -> list[str]:
    """What is to the right of the value axis."""
    corner = len(lines[-2]) - len(lines[-2].lstrip())
    return [line[corner + 1 :] for line in lines[:-2]]


def columns_without_dots(lines: Sequence[str], width: int) -> list[int]:
    return [at for at in range(width) if all(line[at : at + 1].strip() == "" for line in body(lines))]


def test_a_rising_line_in_ascii() -> None:
    assert drawn(*range(21), width=24, signs=ASCII) == [
        "20 +                   :",
        "   |                 .'",
        "   |               .'",
        "   |             .'",
        "   |           .'",
        "10 +        .''",
        "   |      .'",
        "   |    .'",
        "   |  .'",
        " 0 +.'",
        "   +----------+---------",
        "            12:10",
    ]


def test_a_rising_line_in_braille() -> None:
    assert drawn(0, 1, width=14)[:-2] == [
        "1.0 ┤         ⡜",
        "    │        ⡜",
        "    │       ⡜",
        "    │      ⡜",
        "    │     ⡜",
        "0.5 ┤    ⡰⠁",
        "    │   ⡰⠁",
        "    │  ⡰⠁",
        "    │ ⡰⠁",
        "0.0 ┤⡰⠁",
    ]


def test_a_gap_stays_a_gap_and_what_is_regular_is_joined() -> None:
    lines = drawn(*range(20), *[None] * 20, *range(20))
    width = WIDTH - 4
    blank = columns_without_dots(lines, width)
    assert blank == list(range(blank[0], blank[-1] + 1)), "one gap"
    assert 0.28 * width < len(blank) < 0.36 * width
    assert columns_without_dots(drawn(1, 5, 2), width) == []


def test_of_many_values_the_lowest_and_the_highest_are_seen() -> None:
    values = [0] * 10_000
    values[3333], values[6666] = 100, -100
    lines = body(drawn(*values))
    spike, dip = ([at for at, each in enumerate(lines[index]) if each.strip()] for index in (0, -1))
    assert len(spike) == len(dip) == 1 and dip[0] == pytest.approx(2 * spike[0], abs=1)


@pytest.mark.parametrize("value", [0, 7, -7, Decimal("1e125"), Decimal("-1e-300"), 10**120])
@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("signs", [BRAILLE, ASCII], ids=["braille", "ascii"])
def test_a_constant_is_a_straight_line_between_higher_and_lower_numbers(value: Any, count: int, signs: Signs) -> None:
    lines = body(drawn(*[value] * count, signs=signs))
    (line,) = (each for each in lines if each.strip())
    assert line not in (lines[0], lines[-1])
    assert len(set(line.strip())) <= 2


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (Decimal("16.75"), Decimal("26.08"), ["25.0", "22.5", "20.0", "17.5"]),
        (-3, 4, ["2.5", "0.0", "-2.5"]),
        (Decimal("1e-300"), Decimal("9e-300"), ["7.5e-300", "5e-300", "2.5e-300"]),
        (Decimal("-9e125"), Decimal("9e125"), ["5e+125", "0", "-5e+125"]),
        (Decimal("1e-130"), Decimal("1e125"), ["1e+125", "5e+124"]),
        (Decimal("1e20"), Decimal("1e20") + 1, []),
    ],
)
def test_the_value_axis_has_round_numbers(low: Any, high: Any, labels: list[str]) -> None:
    lines = drawn(low, high, low)
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line and line.split("┤")[0].strip()] == labels


def test_numbers_that_differ_in_the_last_of_38_digits_are_told_apart() -> None:
    base = Decimal("12345678901234567890.123456789012345678")
    with_step = Decimal("12345678901234567890.123456789012345679")
    lines = body(drawn(base, with_step))
    assert lines[0].strip() and lines[-1].strip()


@pytest.mark.parametrize("width", [1, 12, 20, 80, 300])
def test_no_line_of_a_plot_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(Decimal("-1234.5"), Decimal("98765.25"), 3, width=width)
    assert max(map(len, lines)) <= max(width, 24)


@given(start=st.integers(0, 250_000_000_000_000), span=st.integers(1, 3_000_000_000_000), columns=st.integers(10, 400))
def test_the_texts_of_the_time_axis_lie_within_it_and_apart(start: int, span: int, columns: int) -> None:
    free = 0
    for at, text in ticks(start, start + span, columns):
        begin = at - len(text) // 2
        assert begin >= free and begin + len(text) <= columns
        free = begin + len(text) + 1


@pytest.mark.parametrize(
    ("span", "texts"),
    [
        (20, ["12:00:00.005", "12:00:00.010", "12:00:00.015"]),
        (20_000, ["12:00:05", "12:00:10", "12:00:15"]),
        (DAY, ["15:00", "18:00", "21:00", "23 Nov", "03:00", "06:00", "09:00"]),
        (7 * DAY, ["23 Nov", "24 Nov", "25 Nov", "26 Nov", "27 Nov", "28 Nov", "29 Nov"]),
        (366 * DAY, ["Jan 2027", "Mar 2027", "May 2027", "Jul 2027", "Sep 2027", "Nov 2027"]),
        (4000 * DAY, ["2028", "2030", "2032", "2034", "2036"]),
        (2_000_000 * DAY, ["3000", "4000", "5000", "6000", "7000"]),
    ],
)
def test_the_time_axis_has_round_moments(span: int, texts: list[str]) -> None:
    assert [text for _, text in ticks(NOON, NOON + span, 76)] == texts


def test_each_metric_has_a_plot_as_wide_as_80_characters_in_a_pipe(typed: Type, world: World) -> None:
    rows_of(world, 30)
    result = typed("query", "A", "--plot")
    lines = result.stdout.splitlines()
    assert lines[0] == "2026-11-22T11:30:00Z to 2026-11-22T11:59:00Z   30 rows"
    assert lines[2] == "temperature   20 to 49   last 49" and lines[16] == "rain   0.5 to 0.5   last 0.5"
    assert max(map(len, lines)) == 80 and result.stderr == ""


@pytest.mark.parametrize("columns", [20, 47, 150])
def test_on_a_terminal_a_plot_is_as_wide_as_it(
    typed: Type, world: World, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    rows_of(world, 3)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("iotpipe.cli.query_plot.terminal", lambda stream: stream is sys.stdout)
    assert max(map(len, typed("query", "A", "--plot", "--metric", "rain").stdout.splitlines()[3:])) == columns


def test_devices_of_a_metric_have_the_same_scale(typed: Type, world: World) -> None:
    rows_of(world, 3)
    world.ingest({"device_id": "B", "timestamp": NOON, "sensor_data": {"temperature": 100}})
    world.deliver()
    result = typed("query", "B", "A", "nobody", "--plot", "--metric", "temperature")
    lines = result.stdout.splitlines()
    headings = [index for index, line in enumerate(lines) if "last" in line]
    assert [lines[index] for index in headings] == [
        "B  temperature   100 to 100   last 100",
        "A  temperature   20 to 22   last 22",
    ]
    first, second = (lines[index + 1 : index + 9] for index in headings)
    assert [line[:5] for line in first] == [line[:5] for line in second]
    assert body(first)[0].strip() and body(second)[-1].strip()
    assert result.stderr == "nobody has no numeric readings in this period\n"


def test_the_period_that_is_asked_for_is_the_axis(typed: Type, world: World) -> None:
    rows_of(world, 3)
    assert typed("query", "A", "--plot", "--last", "2h").stdout.startswith("2026-11-22T10:00:00Z to 2026-11-22T12:00")
    day = typed("query", "A", "--plot", "--date", "2026-11-22").stdout
    assert day.startswith("2026-11-22T00:00:00Z to 2026-11-22T23:59:59Z")
    days = typed("query", "A", "--plot", "--from", "2026-11-21", "--to", "2026-11-22").stdout
    assert days.startswith("2026-11-21T00:00:00Z to 2026-11-22T23:59:59Z")
    zone = typed("query", "A", "--plot", "--from", "2026-11-22T12:00:00+02:00").stdout
    assert zone.startswith("2026-11-22T10:00:00Z to 2026-11-22T12:00:00Z")


def test_a_device_whose_clock_is_fast_is_seen_as_well(typed: Type, world: World) -> None:
    world.ingest({"device_id": "A", "timestamp": NOON + 4 * MINUTE, "sensor_data": {"temperature": 1}})
    world.deliver()
    assert "to 2026-11-22T12:04:00Z" in typed("query", "A", "--plot", "--from", "1h").stdout


@pytest.mark.matrix
def test_more_rows_than_dots_are_asked_for_as_buckets(typed: Type, world: World, gateway: Gateway) -> None:
    readings = [
        {"device_id": "A", "timestamp": NOON - 20_000 * index, "sensor_data": {"temperature": -5 if index == 77 else 5}}
        for index in range(400)
    ]
    for index in range(0, 400, 100):
        world.ingest({"readings": readings[index : index + 100]})
    world.deliver()
    asked = len(gateway.requests)
    whole = typed("query", "A", "--plot", "--all").stdout
    assert whole.splitlines()[0].startswith("2026-11-22T09:47:00Z to 2026-11-22T12:00:00Z")
    assert "buckets of 30s" in whole.splitlines()[0]
    assert "-5 to 5   last 5" in whole and body(whole.splitlines()[3:])[-1].strip(), "no spike is lost"
    assert len(gateway.requests) - asked <= 3
    assert "160 rows" in typed("query", "A", "--plot", "--limit", "160").stdout.splitlines()[0]
    assert "121 rows" in typed("query", "A", "--plot", "--from", "40m").stdout.splitlines()[0]
    typed("query", "A", "--plot", "--date", "2026-11-22")
    assert gateway.requests[-1].all_values.get("every") == ["5m"]


def test_a_year_takes_few_requests_and_little_of_the_screen(typed: Type, gateway: Gateway) -> None:
    row = f'{{"device_id": "A", "timestamp": {NOON}, "temperature": 1, "sensor_data": {{}}}}'

    def many_rows(request: Request) -> Reply:
        return 200, {}, f'{{"items": [{", ".join([row] * int(request.parameters["limit"]))}], "next_token": "x"}}'

    def few_buckets(request: Request) -> Reply:
        starts = range(NOON - 365 * DAY, NOON, 2 * DAY)
        figures = {name: [1] * len(starts) for name in ("count", "min", "max", "sum", "mean", "last")}
        series = {"device_id": "A", "metric": "temperature", "start": [*starts], **figures}
        return 200, {}, json.dumps({"every": request.parameters["every"], "count": len(starts), "series": [series]})

    gateway.faults.extend([many_rows, few_buckets])
    result = typed("query", "A", "--plot", "--last", "365d")
    assert "183 buckets of 2d" in result.stdout and len(result.stdout.splitlines()) == 15
    assert [request.all_values.get("every") for request in gateway.requests] == [None, ["2d"]]


@pytest.mark.matrix
def test_buckets_of_too_many_rows_are_asked_for_again_in_shorter_ones(
    typed: Type, world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(0, 200, 100):
        times = [NOON - 40_000 * number for number in range(index, index + 100)]
        batch = [{"device_id": "A", "timestamp": time, "sensor_data": {"temperature": 1}} for time in times]
        world.ingest({"readings": batch})
    world.deliver()
    monkeypatch.setattr("iotpipe.handlers.buckets.MAX_ROWS", 20)
    assert "15 buckets of 10m" in typed("query", "A", "--plot", "--last", "2d").stdout
    asked = [request.parameters["every"] for request in gateway.requests if "every" in request.parameters]
    assert list(dict.fromkeys(asked)) == ["15m", "10m"] and asked[-1] == "10m"
    refused = typed("query", "A", "--plot", "--last", "2d", "--every", "1h").exception
    assert isinstance(refused, UsageError) and "ask for a shorter every" in str(refused)


def test_buckets_that_are_asked_for_are_drawn(typed: Type, world: World, gateway: Gateway) -> None:
    rows_of(world, 30)
    lines = typed("query", "A", "--plot", "--last", "1h", "--every", "10m").stdout.splitlines()
    assert lines[0].endswith("6 buckets of 10m") and "20 to 49   last 49" in lines[2]
    assert len(gateway.requests) == 1


def test_a_bucket_that_is_longer_than_the_period_is_in_its_middle(typed: Type, world: World) -> None:
    rows_of(world, 30)
    lines = typed("query", "A", "--plot", "--last", "1h", "--every", "366d", "--metric", "rain").stdout.splitlines()
    (line,) = (each for each in body(lines[3:]) if each.strip())
    assert len(line) == pytest.approx(38, abs=1)


def test_a_limit_that_leaves_rows_out_is_told(typed: Type, world: World) -> None:
    rows_of(world, 5)
    result = typed("query", "A", "--plot", "--limit", "3")
    assert "22 to 24" in result.stdout and "more than these 3 rows" in result.stderr


def test_where_the_locale_has_no_braille_the_plot_is_ascii(
    typed: Type, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of(world, 5)
    monkeypatch.setattr("iotpipe.cli.query_plot.can_show", lambda *_: False)
    shown = typed("query", "A", "--plot").stdout
    assert shown.isascii() and "20 +" in shown


def test_texts_are_not_plotted_and_names_stay_on_their_line(typed: Type, world: World) -> None:
    rows_of(world, 2, sky="fair", rain=1)
    assert typed("query", "A", "--plot", "--metric", "sky").output == "A has no numeric readings in this period\n"
    told = typed("query", "A", "--plot", "--metric", "sky", "--metric", "rain").stderr
    assert told == "there are no numbers to plot of sky\n"
    rows_of(world, 3, **{"\x1b[2J\n\u202ename": 1})
    shown = typed("query", "A", "--plot").output
    assert "\\x1b[2J\\n\\u202ename   1 to 1" in shown
    assert not {each for each in shown if not each.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--plot", "--json"], "--plot excludes --csv, --json and -o"),
        (["--plot", "--csv"], "--plot excludes --csv, --json and -o"),
        (["--plot", "-o", "file"], "--plot excludes --csv, --json and -o"),
        (["--plot", "--table", "raw"], "--plot excludes --table raw"),
    ],
)
def test_what_cannot_be_plotted_is_refused_before_any_request(
    typed: Type, gateway: Gateway, words: list[str], told: str
) -> None:
    result: Any = typed("query", "A", *words)
    assert isinstance(result.exception, UsageError) and told in str(result.exception)
    assert not gateway.requests
