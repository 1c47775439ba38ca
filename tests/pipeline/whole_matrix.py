"""The whole fault matrix, cell by cell: `make matrix`. The sample of it that every run of the suite takes is apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix_cells import whole, wrong

SHARES = 64


@pytest.mark.parametrize("share", range(SHARES))
def test_every_call_meets_every_fault(matrix: Path, share: int) -> None:
    assert not wrong(whole(matrix)[share::SHARES], matrix)
