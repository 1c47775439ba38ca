"""Time that passes only when everybody waits: threads take turns, and the clock jumps to whoever wakes next.

One thread runs at a time. Whoever sleeps, or waits for another thread, hands over to the thread that is due next,
so that the same commands take the same turns and the same virtual seconds on every machine.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from iotpipe.provision import graph, parallel_reads, run


@dataclass(frozen=True)
class Slept:
    """One thread's rest: `doing` is what it was at, `why` what it waited for."""

    begin: float
    end: float
    doing: str
    why: str


@dataclass(frozen=True)
class Woken:
    """A thread went on because another one, at that place of its own past, had let it."""

    by: Turn
    place: int


@dataclass(eq=False)
class Turn:
    """One thread's place in the order: it runs while it holds the baton."""

    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    past: list[Slept | Woken] = field(default_factory=list)
    doing: str = ""
    why: str = ""


class Stuck(BaseException):
    """Everybody waits for somebody else: on AWS this command would hang."""


class VirtualTime:
    """A clock for `Run`, and the stand-ins for what its threads wait with."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start
        self._due: list[tuple[float, int, Turn]] = []
        self._number = itertools.count()
        self._mine = threading.local()
        self._main = self.turn
        self._stuck = False

    @property
    def turn(self) -> Turn:
        """The place of the thread that asks."""
        if not hasattr(self._mine, "turn"):
            self._mine.turn = Turn()
        turn: Turn = self._mine.turn
        return turn

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Let the others go on; return when it is that much later. `stop` is looked at by the caller, afterwards."""
        me, begin = self.turn, self.time
        self._wake(me, begin + seconds)
        self.rest()
        me.past.append(Slept(begin, self.time, me.doing, me.why))

    def rest(self) -> None:
        """Hand over until somebody wakes this thread."""
        me = self.turn
        if self._next() is not me:
            me.baton.acquire()
        if self._stuck:
            raise Stuck("every thread waits for another one")

    def wake(self, other: Turn) -> None:
        """Let a resting thread go on, after those that are due already."""
        other.past.append(Woken(self.turn, len(self.turn.past)))
        self._wake(other, self.time)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """What the thread's rests are for, meanwhile."""
        me, before = self.turn, self.turn.doing
        me.doing = what
        try:
            yield
        finally:
            me.doing = before

    def start(self, work: Callable[[], None]) -> None:
        """Do it in a thread of its own, which takes its turn from now on."""
        turn = Turn()

        def run() -> None:
            turn.baton.acquire()
            self._mine.turn = turn
            if not self._stuck:
                work()
                self._next()

        threading.Thread(target=run, daemon=True).start()
        self.wake(turn)

    def _wake(self, turn: Turn, when: float) -> None:
        heapq.heappush(self._due, (when, next(self._number), turn))

    def _next(self) -> Turn:
        if self._due:
            when, _, turn = heapq.heappop(self._due)
            self.time = max(self.time, when)
        else:
            self._stuck, turn = True, self._main
        if turn is not self.turn:
            turn.baton.release()
        return turn

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Everything in iotpipe's engine that waits, waits in this time."""
        pool = lambda **settings: Pool(self, **settings)  # noqa: E731 - they take the place of classes
        stand_ins = (
            (graph, "ThreadPoolExecutor", pool),
            (graph, "SimpleQueue", lambda: Queue(self)),
            (parallel_reads, "ThreadPoolExecutor", pool),
            (run, "Future", lambda: Answer(self)),
            (run, "threading", SimpleNamespace(Lock=lambda: Lock(self), Event=threading.Event)),
        )
        with ExitStack() as stack:
            for module, name, stand_in in stand_ins:
                stack.enter_context(patch.object(module, name, stand_in))
            yield


class Answer(Future[Any]):
    """A Future that is waited for in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time
        self._waiting: list[Turn] = []
        self.add_done_callback(lambda _: self._tell())

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self._waiting.append(self._time.turn)
            self._time.rest()
        return super().result()

    def _tell(self) -> None:
        for each in self._waiting:
            self._time.wake(each)


class Queue:
    """Like SimpleQueue."""

    def __init__(self, time: VirtualTime) -> None:
        self._time, self._items, self._waiting = time, deque[Any](), deque[Turn]()

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._waiting:
            self._time.wake(self._waiting.popleft())

    def get(self) -> Any:
        while not self._items:
            self._waiting.append(self._time.turn)
            self._time.rest()
        return self._items.popleft()


class Lock:
    """Like threading.Lock, as a context; whoever waits longest gets it next."""

    def __init__(self, time: VirtualTime) -> None:
        self._time, self._held, self._waiting = time, False, deque[Turn]()

    def __enter__(self) -> None:
        while self._held:
            self._waiting.append(self._time.turn)
            self._time.rest()
        self._held = True

    def __exit__(self, *error: object) -> None:
        self._held = False
        if self._waiting:
            self._time.wake(self._waiting.popleft())


class Pool:
    """Like ThreadPoolExecutor, as a context, with at most `max_workers` threads in virtual time."""

    def __init__(self, time: VirtualTime, max_workers: int, thread_name_prefix: str = "") -> None:
        self._time, self._free = time, max_workers
        self._jobs: deque[tuple[Answer, Callable[[], Any]]] = deque()
        self._answers: list[Answer] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._answers:
            while not each.done():
                each._waiting.append(self._time.turn)
                self._time.rest()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Answer:
        answer = Answer(self._time)
        self._answers.append(answer)
        self._jobs.append((answer, lambda: work(*arguments)))
        if self._free:
            self._free -= 1
            self._time.start(self._work)
        return answer

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        answers = [self.submit(work, each) for each in items]
        return (each.result() for each in answers)

    def _work(self) -> None:
        while self._jobs:
            answer, job = self._jobs.popleft()
            try:
                found = job()
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                answer.set_exception(error)
            else:
                answer.set_result(found)
        self._free += 1


def together(time: VirtualTime, *work: Callable[[], Any]) -> list[Any]:
    """Do it all at once, each in a thread of its own, and answer with the results."""
    with Pool(time, max_workers=len(work)) as pool:
        return list(pool.map(lambda each: each(), work))


def longest_chain(time: VirtualTime, since: float) -> list[Slept]:
    """The rests, one after the other, that this thread's own end had to wait for, back to `since`."""
    turn, place, chain = time.turn, len(time.turn.past), []
    while place:
        place -= 1
        entry = turn.past[place]
        if isinstance(entry, Woken):
            turn, place = entry.by, entry.place
        elif entry.end <= since:
            break
        else:
            chain.append(entry)
    return chain[::-1]
