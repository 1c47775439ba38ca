"""2,000 random questions about buckets, each compared with plain arithmetic: `make matrix` prints the figures."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.support.bucket_questions import QuickTable, check, question, store
from tests.support.handlers_world import Calls, World

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize("seed", range(4))
def test_every_bucket_is_what_its_rows_add_up_to(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    store(world, dice, 100)
    rows = world.rows(world.processed)
    calls.answer("Query", QuickTable(rows, dice))
    pages = Counter(check(world, rows, question(dice), monkeypatch) for _ in range(500))
    print(f"{pages.total()} questions, {sum(number * times for number, times in pages.items())} pages")
    assert len(pages) > 20
