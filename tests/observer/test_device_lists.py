"""Devices: their newest values, their usual interval, and which of them are silent."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpipe.observer import devices
from iotpipe.observer.devices import device_of
from iotpipe.times import iso
from tests.support.observed_world import Observed

NOW = 1_800_000_000_000
MINUTE = 60_000

ages = st.lists(st.integers(0, 3 * 86_400_000), min_size=1, max_size=20)


def rows(readings: Sequence[int], receipts: Sequence[int]) -> list[str]:
    """Rows of readings of these ages in milliseconds, the newest first."""
    pairs = sorted(zip(readings, receipts, strict=True))
    return [json.dumps({"timestamp": NOW - age, "received_at": iso(NOW - receipt)}) for age, receipt in pairs]


def middle(values: list[int]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def gaps(moments: Sequence[int]) -> list[int]:
    ordered = sorted(set(moments))
    return [ordered[number] - ordered[number - 1] for number in range(1, len(ordered))]


@given(ages, st.data())
def test_a_device_is_silent_after_three_usual_intervals_but_not_within_five_minutes(
    readings: list[int], data: st.DataObject
) -> None:
    receipts = data.draw(st.lists(st.integers(0, 3_600_000), min_size=len(readings), max_size=len(readings)))
    found = device_of("d", rows(readings, receipts), NOW)
    assert found
    intervals = [middle(each) for each in (gaps(readings), gaps(receipts)) if each]
    quiet = min(receipts)
    assert found.seen == NOW - quiet
    assert found.interval == (max(intervals) / 1000 if intervals else None)
    assert found.silent is bool(intervals and quiet > 5 * MINUTE and quiet > 3 * max(intervals))


def test_a_row_that_the_processor_has_not_written_is_left_out() -> None:
    strange = ['{"timestamp": 1}', '{"received_at": 7, "timestamp": 1}', '{"received_at": "soon", "timestamp": 1}']
    assert device_of("d", strange, NOW) is None
    found = device_of("d", [*strange, *rows([0], [0])], NOW)
    assert found and found.count == 1


def test_values_keep_all_their_digits_and_derived_ones_are_left_out() -> None:
    row = rows([0], [0])[0][:-1] + (
        ', "temperature": 21.123456789012345678901234567890, "temperature_fahrenheit": 70.0,'
        ' "sensor_data": {"on": true, "place": "roof", "list": [1.50]}}'
    )
    found = device_of("d", [row], NOW)
    assert found and found.latest == {
        "temperature": "21.123456789012345678901234567890",
        "on": "true",
        "place": "roof",
        "list": "[1.50]",
    }


def test_silent_devices_come_first_and_the_others_by_name(observed: Observed) -> None:
    observed.store("b", 0, MINUTE, temperature="21.5")
    observed.store("a", 0, MINUTE)
    observed.store("z", 30 * MINUTE, 31 * MINUTE)
    found = observed.observer().devices()
    assert [(each.device_id, each.silent) for each in found.items] == [("z", True), ("a", False), ("b", False)]
    assert (found.items[2].latest, found.items[2].interval) == ({"temperature": "21.5"}, 60.0)
    assert (found.time, found.complete, found.limit) == (observed.now, True, 2000)


@pytest.mark.matrix
def test_only_the_newest_twenty_rows_are_looked_at(observed: Observed) -> None:
    observed.store("a", *range(0, 19 * MINUTE, MINUTE), *range(3_600_000, 40 * 3_600_000, 3_600_000))
    [found] = observed.observer().devices().items
    assert (found.count, found.interval) == (20, 60.0)


def test_too_many_devices_are_said_to_be_more(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LIMIT", 3)
    for number in range(5):
        observed.store(f"d{number}", 0)
    found = observed.look(observed.observer())
    assert (found.devices.total, found.devices.complete) == (3, False)
    assert found.nodes[0].value == "more than 3"


def test_the_revision_of_the_list_changes_if_and_only_if_a_device_does(observed: Observed) -> None:
    observer = observed.observer()
    observed.store("a", 0)
    first = observer.devices()
    observed.pass_(10)
    again = observer.devices()
    assert (again.revision, again.time) == (first.revision, observed.now)
    observed.store("a", 0)
    observed.pass_(10)
    assert observer.devices().revision == first.revision + 1


def test_a_look_at_the_devices_rests_longer_the_longer_it_took(observed: Observed) -> None:
    def slow(operation: str, parameters: dict[str, object]) -> None:
        observed.pass_(3 if operation == "Scan" else 0)

    observed.world.before = slow
    observer = observed.observer()
    for seconds, scans in ((0, 1), (40, 1), (20, 2)):
        observed.pass_(seconds)
        observer.devices()
        assert observed.world.calls.count("Scan") == scans
