"""Every operation of `up`, of a change and of `down` meets every fault: `up` every death, else a seeded sample."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.support.account_inventory import left_over
from tests.support.fault_matrix.cells import at_once, deaths_of_up, drawn, handfuls, wrong
from tests.support.fault_matrix.commands import looked_at
from tests.support.fault_matrix.judging import untrue
from tests.support.fault_matrix.starts import commands

pytestmark = [pytest.mark.matrix, pytest.mark.together]

SEED = int(os.environ.get("MATRIX_SEED", "2026"))
SHARES = 16
AGAIN = f"to draw the same again: MATRIX_SEED={SEED}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("share", range(SHARES))
def test_any_call_may_be_throttled_fail_drop_lose_its_answer_or_be_denied(matrix: Path, share: int) -> None:
    found = wrong(handfuls(matrix, Random(SEED))[share::SHARES], matrix)
    assert not found, f"{found}\n{AGAIN}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("share", range(SHARES))
def test_an_up_that_is_killed_before_or_after_any_write_is_completed_by_the_next_or_taken_down(
    matrix: Path, share: int
) -> None:
    found = wrong(deaths_of_up(matrix, Random(SEED))[share::SHARES], matrix)
    assert not found, f"{found}\n{AGAIN}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("share", range(SHARES))
def test_at_any_operation_the_credentials_may_expire_the_process_be_killed_or_a_fault_stay(
    matrix: Path, share: int
) -> None:
    found = wrong(drawn(matrix, Random(SEED))[share::SHARES], matrix)
    assert not found, f"{found}\n{AGAIN}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("share", range(SHARES))
def test_faults_may_come_while_many_calls_are_under_way(matrix: Path, share: int) -> None:
    found = wrong(at_once(matrix, Random(SEED))[share::SHARES], matrix)
    assert not found, f"{found}\n{AGAIN}"


@pytest.mark.parametrize("name", ["up", "change"])
def test_where_every_next_run_must_end_is_as_recorded_with_nothing_to_do_and_can_be_taken_down(
    matrix: Path, name: str
) -> None:
    command = commands(matrix)[name]
    subject = command.subject()
    command.act(subject)
    assert not [*untrue(command, subject.rows(), looked_at(command, subject))]
    assert not subject.planned(command.declared).pending
    subject.down(delete_data=True)
    assert left_over() == []
    assert not subject.rows()
