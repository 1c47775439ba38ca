"""Sparklines: drawn from the numbers, gaps shown where nothing was measured."""

from __future__ import annotations

from decimal import Decimal

from iotpipe.render.sparkline import columns_for, sparkline


def test_the_lowest_is_low_the_highest_high_and_between_them_it_rises() -> None:
    points = [(moment, Decimal(moment)) for moment in range(8)]
    assert sparkline(points, 0, 7, 8) == "▁▂▃▄▅▆▇█"


def test_a_gap_is_a_dot_for_each_reading_that_is_missing() -> None:
    points = [(0, 1), (60, 2), (240, 3), (300, 1)]
    columns = columns_for([moment for moment, _ in points], 60)
    assert sparkline(points, 0, 300, columns) == "▁▅··█▁"


def test_more_readings_than_columns_are_drawn_as_means() -> None:
    points = [(moment, 10 if moment < 500 else 20) for moment in range(1000)]
    columns = columns_for([moment for moment, _ in points], 10)
    drawn = sparkline(points, 0, 999, columns)
    assert len(drawn) == 10 and drawn[:5] == "▁▁▁▁▁" and drawn[-4:] == "████"


def test_what_never_changes_is_drawn_in_the_middle() -> None:
    assert sparkline([(0, 5), (1, 5)], 0, 1, 2) == "▄▄"


def test_one_reading_is_one_block() -> None:
    assert columns_for([7], 60) == 1
    assert sparkline([(7, 5)], 7, 7, 1) == "▄"


def test_numbers_too_large_for_a_float_do_no_harm() -> None:
    assert sparkline([(0, Decimal("1E-130")), (1, Decimal("9E+125"))], 0, 1, 2) == "▁█"
