"""The whole fault matrix, cell by cell: `make matrix`. The sample of it that every run of the suite takes is apart."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.support.fault_matrix.cells import at_once, whole, wrong

pytestmark = pytest.mark.matrix

SHARES = 64


@pytest.mark.parametrize("share", range(SHARES))
def test_every_call_meets_every_fault(matrix: Path, share: int) -> None:
    found = wrong(whole(matrix)[share::SHARES], matrix)
    assert not found, found


@pytest.mark.parametrize("seed", range(8))
def test_faults_come_while_many_calls_are_under_way(matrix: Path, seed: int) -> None:
    found = wrong(at_once(matrix, Random(seed)), matrix)
    assert not found, found
