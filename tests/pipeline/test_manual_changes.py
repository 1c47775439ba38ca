"""Whatever somebody changes of a pipeline by hand: no change is silent that opens, drains, stops or hides anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from moto import mock_aws

from iotpipe.errors import ApplyFailed, RefusedError
from tests.support.foreign.world import remembered
from tests.support.manual_changes.every_change import CHANGES
from tests.support.manual_changes.world import Change, Pipeline, told

pytestmark = pytest.mark.together


@pytest.fixture(scope="module", autouse=True)
def account() -> Iterator[None]:
    """Switching moto on costs more than most of these tests."""
    with mock_aws():
        yield


@cache
def pipeline(directory: Path) -> Pipeline:
    """Brought up once per process."""
    return Pipeline.brought_up(directory)


@pytest.fixture
def room(account: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pipeline has its configuration and its state file."""
    directory = tmp_path_factory.getbasetemp() / "manual-changes"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.mark.matrix
def test_nothing_is_said_of_a_pipeline_that_nobody_has_changed(room: Path, tmp_path: Path) -> None:
    there = pipeline(room)
    assert told(there.put_back(tmp_path).planned(there.declared)) == []


def test_every_change_is_told_or_ignored_for_a_reason() -> None:
    assert not [each.what for each in CHANGES if bool(each.told) == bool(each.because)]
    assert not [what for what, times in Counter(each.what for each in CHANGES).items() if times > 1]


@pytest.mark.sampled(24)
@pytest.mark.matrix
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_a_change_by_hand_is_told_and_undone(change: Change, room: Path, tmp_path: Path) -> None:
    there = pipeline(room)
    world = there.put_back(tmp_path)
    with there.quick_reads(), remembered(change.gap):
        change.act()
        if change.remedy:
            assert told(world.planned(there.declared)) == sorted(change.told)
            with pytest.raises((RefusedError, ApplyFailed)) as refused:
                world.bring_up(there.declared, strict=True)
            assert change.remedy in f"{refused.value} {refused.value.hint}"
            return
        assert told(world.bring_up(there.declared, strict=True)) == sorted(change.told)
        assert world.clock.slept == [], "AWS answers at once: nobody waits for what is not there"
        # Nothing is left that an `up` would do.
        assert told(world.planned(there.declared)) == []
