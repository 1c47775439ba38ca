"""Every operation of `up`, of a change and of `down` meets every fault: a sample of the matrix, drawn with a seed."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from matrix_cells import at_once, drawn, handfuls, wrong

SEED = int(os.environ.get("MATRIX_SEED", "2026"))
SHARES = 8
AGAIN = f"to draw the same again: MATRIX_SEED={SEED}"


@pytest.mark.parametrize("share", range(SHARES))
def test_any_call_may_be_throttled_fail_drop_lose_its_answer_or_be_denied(matrix: Path, share: int) -> None:
    assert not wrong(handfuls(matrix)[share::SHARES], matrix)


@pytest.mark.parametrize("share", range(SHARES))
def test_at_any_operation_the_credentials_may_expire_the_process_be_killed_or_a_fault_stay(
    matrix: Path, share: int
) -> None:
    assert not wrong(drawn(matrix, Random(SEED))[share::SHARES], matrix), AGAIN


@pytest.mark.parametrize("share", range(SHARES))
def test_faults_may_come_while_many_calls_are_under_way(matrix: Path, share: int) -> None:
    assert not wrong(at_once(matrix, Random(SEED))[share::SHARES], matrix), AGAIN
