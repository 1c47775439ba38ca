"""Chooses which cases of a parametrized test run: a sample in `make test`, all of them in `make matrix`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest


def sampled(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The items, in their order, without the cases beyond the sample of a test marked `sampled(most)`.

    A sample has `most` cases, and more only where a value of a parameter would otherwise be in none.
    """
    kept = {each for cases in _by_test(items) for each in _sample(cases)}
    return [each for each in items if each in kept]


def evenly_spread(items: Sequence[pytest.Item], most: int) -> list[pytest.Item]:
    """The items, in their order, with at most so many cases of each test."""
    kept = {each for cases in _by_test(items) for each in cases[:: -(-len(cases) // most)]}
    return [each for each in items if each in kept]


def _by_test(items: Iterable[pytest.Item]) -> Iterable[list[pytest.Item]]:
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return cases.values()


def _sample(cases: Sequence[pytest.Item]) -> Iterable[pytest.Item]:
    marker = cases[0].get_closest_marker("sampled")
    if marker is None:
        return cases
    (most,) = marker.args
    # The same cases in every run, and no regular distance that would always meet the same value.
    drawn = sorted(cases, key=lambda case: sha256(case.nodeid.encode()).digest())
    wanted = _values_to_cover(cases, most)
    kept = []
    for case in drawn:
        if new := wanted & _values(case):
            wanted -= new
            kept.append(case)
    return kept + [case for case in drawn if case not in kept][: max(0, most - len(kept))]


def _values_to_cover(cases: Iterable[pytest.Item], most: int) -> set[tuple[str, Any]]:
    """Every value of the parameters that have no more values than a sample has cases."""
    by_parameter: dict[str, set[tuple[str, Any]]] = {}
    for case in cases:
        for value in _values(case):
            by_parameter.setdefault(value[0], set()).add(value)
    return {value for values in by_parameter.values() if len(values) <= most for value in values}


def _values(case: pytest.Item) -> set[tuple[str, Any]]:
    """The parameters with their values; a value that has no text of its own stands for itself."""
    callspec = getattr(case, "callspec", None)
    parameters: Mapping[str, Any] = callspec.params if callspec else {}
    return {(name, value if isinstance(value, str | int) else id(value)) for name, value in parameters.items()}
