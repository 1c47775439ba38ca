"""A sample of whole_no_loss.py: no reading is lost or stored twice while calls of AWS fail and workers die."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.handlers_world import World
from tests.support.no_loss.run import Run, Size

pytestmark = pytest.mark.matrix

EXACT = {"lost": 0, "twice": 0, "never sent": 0}
STORING = {"BatchWriteItem", "SendMessageBatch"}


@pytest.mark.parametrize("size", [Size(seed, timed=360, untimed=40, outages=0.2) for seed in (1, 2)], ids=str)
def test_every_acknowledged_reading_is_in_both_tables_exactly_once(
    world: World, worker: Callable[[], None], size: Size
) -> None:
    figures = Run(world, worker, size).figures()
    print(figures)
    assert (figures.raw_table, figures.processed_table) == (EXACT, EXACT)
    assert figures.acknowledged == figures.distinct_readings
    assert figures.failed_calls.keys() >= STORING
    assert figures.messages_handed_back["by the processor"]
