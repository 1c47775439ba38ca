"""Readings that are made up: the same for the same seed, like weather, and such as the API takes."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import islice

from iotpipe.handlers import parsing, readings
from iotpipe.handlers.settings import Settings
from iotpipe.readings import bad_readings
from iotpipe.readings.generate import DAY, body, generate
from tests.support.handlers_world import NOON


def test_the_same_seed_makes_the_same_readings_and_another_seed_others() -> None:
    made = list(generate(3, 60, 7, NOON))
    assert made == list(generate(3, 60, 7, NOON))
    others = list(generate(3, 60, 8, NOON))
    assert not {str(one.metrics) for one in made} & {str(one.metrics) for one in others}
    assert not {one.reading_id for one in made} & {one.reading_id for one in others}


def test_a_second_sending_goes_on_with_the_climate_of_the_first() -> None:
    first, second = (list(generate(3, 300, seed, NOON)) for seed in (1, 2))
    for one, other in zip(first, second, strict=True):
        for name, noise in {"temperature": 2, "humidity": 8, "pressure": 2, "battery": 0}.items():
            assert abs(one.metrics.get(name, 0) - other.metrics.get(name, 0)) <= noise
    assert len({one.metrics["temperature"] for one in first[-3:]}) == 3, "each device has its own"


def test_devices_share_the_count_and_the_last_reading_comes_when_asked() -> None:
    made = list(generate(3, 100, 7, NOON))
    assert sorted([one.device_id for one in made].count(f"sensor-00{number}") for number in (1, 2, 3)) == [33, 33, 34]
    moments = [one.timestamp for one in made]
    assert moments == sorted(set(moments))
    assert moments[-1] == NOON
    assert len({one.reading_id for one in made}) == 100


def test_a_device_covers_a_day_and_is_warmer_in_the_afternoon_than_before_dawn() -> None:
    made = list(generate(1, 288, 7, NOON))
    assert DAY * 0.99 <= made[-1].timestamp - made[0].timestamp <= DAY
    hours = [(one.timestamp % DAY // 3_600_000, one.metrics["temperature"]) for one in made]
    afternoon = [value for hour, value in hours if 13 <= hour < 17]
    night = [value for hour, value in hours if 1 <= hour < 5]
    assert sum(afternoon) / len(afternoon) > sum(night) / len(night) + 4
    assert len({value for _, value in hours}) > 100, "no noise"


def test_numbers_are_exact_decimals_with_one_or_two_places() -> None:
    for one in generate(4, 400, 7, NOON):
        assert {"temperature", "humidity", "pressure"} <= one.metrics.keys()
        assert all(
            isinstance(value, Decimal) and value.as_tuple().exponent in (-1, -2) for value in one.metrics.values()
        )
        assert 0 < one.metrics["humidity"] < 100
    assert 'temperature": ' + str(one.metrics["temperature"]) in body([one])


def test_however_many_are_asked_for_none_is_older_than_a_year() -> None:
    assert next(generate(1, 1_000_000, 7, NOON)).timestamp > NOON - 301 * DAY


def test_the_handlers_take_every_reading_as_it_is() -> None:
    for one in islice(generate(20, 1000, 3, NOON), 200):
        examined = readings.validate(parsing.parse(body([one])).value, Settings(), NOON)
        assert isinstance(examined, readings.Reading)
        assert (examined.device_id, examined.timestamp) == (one.device_id, one.timestamp)


def test_each_poison_has_a_body_of_its_own_and_no_two_runs_share_one() -> None:
    made = [one.body for one in bad_readings.poisons(40, "one") + bad_readings.poisons(40, "two")]
    assert len(set(made)) == 80


def test_each_bad_reading_is_bad_by_itself_also_when_its_window_is_as_wide_as_can_be() -> None:
    good = list(generate(2, 20, 7, NOON))
    widest = Settings(past_days=36_500, future_minutes=525_600)
    for bad in bad_readings.rejections(40, good, "run"):
        try:
            parsed = parsing.parse(bad.body)
        except parsing.NotJson as error:
            assert (bad.field, bad.code) == ("body", error.code)
        else:
            flaws = list(parsing.flaws(parsed.value))
            examined = readings.validate(parsed.value, widest, NOON, flaws=flaws)
            assert isinstance(examined, list)
            assert (bad.field, bad.code) in {problem[:2] for problem in examined}
            assert json.dumps(parsed.value, default=str).count("run-bad-") == 1
