"""`make test` runs a sample of the cases of some tests: the same in every run, and no test is left out."""

from __future__ import annotations

import pytest

from tests.support.case_samples import evenly_spread, sampled

pytest_plugins = ["pytester"]

SOURCE = """
import pytest

@pytest.mark.sampled(12)
@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("kind", ["queue", "table", "topic"])
def test_cells(number, kind): pass

@pytest.mark.sampled(2)
@pytest.mark.parametrize("number", range(40))
def test_rows(number): pass

@pytest.mark.sampled(5)
@pytest.mark.parametrize("number", range(3))
def test_few(number): pass

@pytest.mark.parametrize("number", range(30))
def test_every_case(number): pass

def test_no_case(): pass
"""


def names(items: list[pytest.Item], test: str) -> list[str]:
    return [each.name for each in items if each.name.startswith(test)]


@pytest.fixture
def items(pytester: pytest.Pytester) -> list[pytest.Item]:
    pytester.makeini("[pytest]\nmarkers = sampled")
    return pytester.getitems(SOURCE)


@pytest.mark.matrix
def test_a_sample_has_as_many_cases_as_its_marker_says(items: list[pytest.Item]) -> None:
    kept = sampled(items)
    assert [len(names(kept, test)) for test in ("test_cells", "test_rows", "test_few")] == [12, 2, 3]


def test_each_value_of_a_parameter_with_few_is_in_the_sample(items: list[pytest.Item]) -> None:
    kinds = {name.partition("[")[2].partition("-")[0] for name in names(sampled(items), "test_cells")}
    assert kinds == {"queue", "table", "topic"}


@pytest.mark.matrix
def test_what_is_not_marked_runs_whole(items: list[pytest.Item]) -> None:
    kept = sampled(items)
    assert len(names(kept, "test_every_case")) == 30
    assert names(kept, "test_no_case") == ["test_no_case"]


def test_the_sample_is_the_same_in_every_run_and_in_every_order(items: list[pytest.Item]) -> None:
    assert set(sampled(items)) == set(sampled(items[::-1]))


@pytest.mark.matrix
def test_evenly_spread_cases_begin_with_the_first(items: list[pytest.Item]) -> None:
    assert names(evenly_spread(items, 2), "test_every_case") == ["test_every_case[0]", "test_every_case[15]"]
