"""Walks a dependency graph in parallel: each node after the nodes that it needs."""

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


def _priorities(needs: Needs, dependents: Needs) -> dict[str, tuple[int, int]]:
    """Which of the ready nodes goes first: the one with the longest chain of dependents, else in the given order."""
    height: dict[str, int] = {}
    for node in graphlib.TopologicalSorter(dependents).static_order():
        height[node] = 1 + max((height[each] for each in dependents[node]), default=0)
    return {node: (-height[node], number) for number, node in enumerate(needs)}


def walk(
    needs: Needs, visit: Callable[[str], None], parallel: int, stopped: Callable[[], bool] = lambda: False
) -> Walked:
    """Visit every node after the nodes it needs, at most `parallel` at once.

    A node that fails with an IotpipeError stops only its dependents. Any other exception is a bug: the running visits
    finish, then it is raised. Once `stopped` answers True, no further visit starts.
    """
    return _Walk(needs, visit, max(1, parallel), stopped).run()


class _Walk:
    """The state of one walk. Only the walking thread changes it; visits report through the queue `done`."""

    def __init__(self, needs: Needs, visit: Callable[[str], None], parallel: int, stopped: Callable[[], bool]) -> None:
        self._visit, self._parallel, self._stopped = visit, parallel, stopped
        self._order = graphlib.TopologicalSorter(needs)
        self._order.prepare()
        self._dependents = reverse(needs)
        self._priorities = _priorities(needs, self._dependents)
        self._ready: list[tuple[tuple[int, int], str]] = []
        self._running = 0
        self._unreachable: set[str] = set()
        self._done: SimpleQueue[tuple[str, BaseException | None]] = SimpleQueue()
        self._result = Walked()
        self._bug: BaseException | None = None

    def run(self) -> Walked:
        with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="iotpipe") as pool:
            while self._order.is_active():
                for node in self._order.get_ready():
                    heapq.heappush(self._ready, (self._priorities[node], node))
                self._start_ready(pool)
                if self._running:
                    self._finish(*self._done.get())
        if self._bug:
            raise self._bug
        return self._result

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        # No more than can run: a node that waited in the pool's own queue would still start after a stop.
        while self._ready and self._running < self._parallel:
            _, node = heapq.heappop(self._ready)
            if node in self._unreachable or self._bug or self._stopped():
                self._skip(node)
            else:
                pool.submit(self._visit_in_thread, node)
                self._running += 1

    def _skip(self, node: str) -> None:
        self._result.skipped.append(node)
        self._unreachable.update(self._dependents[node])
        self._order.done(node)

    def _visit_in_thread(self, node: str) -> None:
        try:
            self._visit(node)
        except BaseException as error:  # noqa: BLE001 - it is passed to the walking thread, which raises it
            self._done.put((node, error))
        else:
            self._done.put((node, None))

    def _finish(self, node: str, error: BaseException | None) -> None:
        self._running -= 1
        if isinstance(error, IotpipeError):
            self._result.failed[node] = error
        else:
            self._bug = self._bug or error
        if error is not None:
            self._unreachable.update(self._dependents[node])
        self._order.done(node)
