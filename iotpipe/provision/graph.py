"""Walks a dependency graph: many at once, each only when what it needs is done."""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from iotpipe.errors import IotpipeError

Needs = Mapping[str, Iterable[str]]


@dataclass
class Walked:
    """How a walk ended: which nodes failed and why, and which were never visited."""

    failed: dict[str, IotpipeError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def reverse(needs: Needs) -> dict[str, list[str]]:
    """The same graph with every arrow turned, for deleting."""
    turned: dict[str, list[str]] = {node: [] for node in needs}
    for node, needed in needs.items():
        for each in needed:
            turned[each].append(node)
    return turned


def _turns(needs: Needs, dependents: Needs) -> dict[str, tuple[int, int]]:
    """Who goes first of those that are ready: whoever has the longest chain waiting for it, else in the given order."""
    height: dict[str, int] = {}
    for node in graphlib.TopologicalSorter(dependents).static_order():
        height[node] = 1 + max((height[each] for each in dependents[node]), default=0)
    return {node: (-height[node], number) for number, node in enumerate(needs)}


def walk(
    needs: Needs, visit: Callable[[str], None], parallel: int, stopped: Callable[[], bool] = lambda: False
) -> Walked:
    """Visit every node after the nodes it needs, at most `parallel` at once.

    A node that fails with an IotpipeError stops only what depends on it. Any other exception is a bug: what
    runs is let finish, then it is raised. Once `stopped` says so, nothing more is begun.
    """
    order, parallel = graphlib.TopologicalSorter(needs), max(1, parallel)
    order.prepare()
    done: SimpleQueue[tuple[str, BaseException | None]] = SimpleQueue()
    result, bug, running, unreachable = Walked(), None, 0, set[str]()
    dependents, ready = reverse(needs), list[tuple[tuple[int, int], str]]()
    turns = _turns(needs, dependents)

    def task(node: str) -> None:
        try:
            visit(node)
        except BaseException as error:  # noqa: BLE001 - it crosses to the walking thread, which raises it
            done.put((node, error))
        else:
            done.put((node, None))

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="iotpipe") as pool:
        while order.is_active():
            for node in order.get_ready():
                heapq.heappush(ready, (turns[node], node))
            # What waited in the pool's own queue would still begin after a stop.
            while ready and running < parallel:
                _, node = heapq.heappop(ready)
                if node in unreachable or bug or stopped():
                    result.skipped.append(node)
                    unreachable.update(dependents[node])
                    order.done(node)
                else:
                    pool.submit(task, node)
                    running += 1
            if not running:
                continue
            node, error = done.get()
            running -= 1
            if isinstance(error, IotpipeError):
                result.failed[node] = error
                unreachable.update(dependents[node])
            elif error is not None:
                bug = bug or error
                unreachable.update(dependents[node])
            order.done(node)
    if bug:
        raise bug
    return result
