"""The walk over a dependency graph: order, how many at once, and what an end before the end leaves."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotpipe.errors import IotpipeError, ResourceError
from iotpipe.provision.graph import reverse, walk

Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs without a circle: each node needs some of the nodes before it."""
    nodes = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    return {
        node: draw(st.lists(st.sampled_from(nodes[:at]), unique=True)) if at else [] for at, node in enumerate(nodes)
    }


def below(node: str, needs: Graph) -> set[str]:
    """All that needs the node, directly or not."""
    direct = [each for each, needed in needs.items() if node in needed]
    return {*direct, *(deeper for each in direct for deeper in below(each, needs))}


@pytest.mark.matrix
@given(graphs(), st.integers(1, 4))
def test_every_node_is_visited_once_and_after_what_it_needs(needs: Graph, parallel: int) -> None:
    visited: list[str] = []
    result = walk(needs, visited.append, parallel)
    assert sorted(visited) == sorted(needs)
    assert not result.failed and not result.skipped
    assert all(visited.index(needed) < visited.index(node) for node in needs for needed in needs[node])


@pytest.mark.matrix
@given(graphs())
def test_turned_around_every_node_comes_before_what_it_needed(needs: Graph) -> None:
    visited: list[str] = []
    walk(reverse(needs), visited.append, 3)
    assert all(visited.index(needed) > visited.index(node) for node in needs for needed in needs[node])


@pytest.mark.matrix
@given(graphs(), st.data())
def test_a_failure_stops_exactly_what_depends_on_it(needs: Graph, data: st.DataObject) -> None:
    broken = data.draw(st.sampled_from(sorted(needs)))
    visited: list[str] = []

    def visit(node: str) -> None:
        if node == broken:
            raise ResourceError("no")
        visited.append(node)

    result = walk(needs, visit, 3)
    assert set(result.failed) == {broken}
    assert sorted(result.skipped) == sorted(below(broken, needs))
    assert set(visited) == set(needs) - {broken} - below(broken, needs)


@pytest.mark.parametrize("parallel", [1, 3, 8])
def test_as_many_as_allowed_run_at_once_and_no_more(parallel: int) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(parallel)

    def visit(node: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=30)
        with lock:
            running -= 1

    walk({f"n{number}": [] for number in range(parallel * 3)}, visit, parallel)
    assert most == parallel


def test_a_node_starts_as_soon_as_what_it_needs_is_done_not_when_its_layer_is() -> None:
    deep_is_done = threading.Event()

    def visit(node: str) -> None:
        if node == "slow":
            assert deep_is_done.wait(timeout=30), "the other branch waits for us"
        if node == "deep":
            deep_is_done.set()

    walk({"slow": [], "quick": [], "deep": ["quick"]}, visit, 2)
    assert deep_is_done.is_set()


def test_whoever_has_the_longest_chain_waiting_for_it_goes_first() -> None:
    visited: list[str] = []
    walk(
        {"alone": [], "short": [], "long": [], "of short": ["short"], "middle": ["long"], "end": ["middle"]},
        visited.append,
        1,
    )
    assert visited == ["long", "short", "middle", "alone", "of short", "end"]


def test_after_a_stop_nothing_more_is_begun() -> None:
    visited: list[str] = []
    stop = threading.Event()

    def visit(node: str) -> None:
        visited.append(node)
        if len(visited) == 3:
            stop.set()

    needs: Graph = {f"n{number}": [] for number in range(9)} | {"last": ["n8"]}
    result = walk(needs, visit, 1, stop.is_set)
    assert len(visited) == 3, "what was ready but had not begun counts as not begun"
    assert sorted([*visited, *result.skipped]) == sorted(needs)


def test_what_runs_when_told_to_stop_is_let_finish() -> None:
    finished: list[str] = []
    stop, both = threading.Event(), threading.Barrier(2)

    def visit(node: str) -> None:
        both.wait(timeout=30)
        stop.set()
        finished.append(node)

    result = walk({"a": [], "b": [], "c": ["a"]}, visit, 2, stop.is_set)
    assert sorted(finished) == ["a", "b"]
    assert result.skipped == ["c"]


def test_a_bug_is_raised_after_what_runs_has_finished_and_nothing_more_is_begun() -> None:
    finished: list[str] = []
    both = threading.Barrier(2)
    broke = threading.Event()

    def visit(node: str) -> None:
        if node in ("a", "b"):
            both.wait(timeout=30)
        if node == "a":
            broke.set()
            raise ZeroDivisionError("a bug")
        assert broke.wait(timeout=30)
        finished.append(node)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        walk({"a": [], "b": [], "after a": ["a"], "after b": ["b"], "after both": ["a", "b"]}, visit, 2)
    assert "b" in finished
    assert "after a" not in finished and "after both" not in finished


def test_a_bug_in_a_queue_of_independent_nodes_stops_the_queue() -> None:
    visited: list[str] = []

    def visit(node: str) -> None:
        visited.append(node)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        walk({f"n{number}": [] for number in range(9)}, visit, 1)
    assert len(visited) == 1


def test_each_failure_is_told_under_its_own_name() -> None:
    errors = {"a": IotpipeError("first"), "b": ResourceError("second")}

    def visit(node: str) -> None:
        raise errors[node]

    assert walk({"a": [], "b": []}, visit, 2).failed == errors


def test_nothing_to_visit_is_nothing_to_do() -> None:
    result = walk({}, lambda node: None, 4)
    assert not result.failed and not result.skipped
