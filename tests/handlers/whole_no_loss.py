"""The whole run of test_no_loss.py: `make matrix` prints its figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.handlers.test_no_loss import EXACT, STORING
from tests.support.handlers_world import World
from tests.support.no_loss.run import Run, Size

pytestmark = pytest.mark.matrix

CALLED = STORING | {"GetParameter", "PutItem", "Publish"}


@pytest.mark.parametrize("size", [Size(seed, timed=36_000, untimed=4_000, outages=0.06) for seed in (1, 2)], ids=str)
def test_every_acknowledged_reading_is_in_both_tables_exactly_once(
    world: World, worker: Callable[[], None], size: Size
) -> None:
    figures = Run(world, worker, size).figures()
    print(figures)
    assert (figures.raw_table, figures.processed_table) == (EXACT, EXACT)
    assert figures.acknowledged == figures.distinct_readings
    assert figures.calls.keys() == CALLED
    assert not figures.faults_not_met
    assert min(figures.answers[answer] for answer in ("200", "207", "503", "died")) > 50
    assert figures.workers_killed.keys() == {"before a call", "after a call", "timeout"}
    assert min(figures.messages_handed_back["by the processor"], figures.delivered_though_done) > 50
