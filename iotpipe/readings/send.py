"""Sends readings: some connections at once, at a given rate, and keeps account of what became of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from iotpipe.errors import Interrupted, IotpipeError
from iotpipe.provision.run import Run
from iotpipe.readings.api_client import Answer, Api, Unreachable, refuse
from iotpipe.readings.bad_readings import Refusal
from iotpipe.readings.generate import Reading, body

Unit = Sequence[Reading] | Refusal

# So many POSTs in a row that failed for good, with none that succeeded between: the rest would fail as well.
MAX_CONSECUTIVE_FAILURES = 3


@dataclass(frozen=True)
class Receipt:
    """A reading that the API acknowledged; when its POST began and was answered, in epoch seconds."""

    reading: Reading
    sent_at: float
    accepted_at: float


@dataclass
class Tally:
    """What became of everything. `duplicates` are readings that one POST brought twice; they are accepted too.

    Of a failed reading nobody knows whether it was stored. `unsent` were left when the sending ended early.
    """

    total: int = 0
    accepted: list[Receipt] = field(default_factory=list)
    duplicates: int = 0
    refused: list[tuple[Reading, str]] = field(default_factory=list)
    failed: list[tuple[Reading, str]] = field(default_factory=list)
    bad_refused: list[Refusal] = field(default_factory=list)
    bad_otherwise: list[tuple[Refusal, str]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    retried: Counter[str] = field(default_factory=Counter)
    """How often a request was tried again, by reason: a status, or what went wrong on the way."""
    seconds: float = 0.0
    interrupted: bool = False
    trouble: IotpipeError | None = None
    """What ended the sending early."""

    @property
    def settled(self) -> int:
        """How many readings have been answered for, one way or another."""
        return len(self.accepted) + len(self.refused) + len(self.failed)

    @property
    def unsent(self) -> int:
        return self.total - self.settled

    @property
    def rate(self) -> float:
        """Accepted readings per second."""
        return len(self.accepted) / self.seconds if self.seconds else 0.0


def units(readings: Iterable[Reading], batch: int, bad: Sequence[Refusal], total: int) -> Iterator[Unit]:
    """Batches of readings with the bad ones, each alone, spread evenly among them."""
    left, waiting = iter(readings), list(reversed(bad))
    posts = max(1, -(-total // batch))
    for number in range(posts):
        if chunk := list(islice(left, batch)):
            yield chunk
        while waiting and (len(bad) - len(waiting)) * posts < (number + 1) * len(bad):
            yield waiting.pop()


class Sender:
    """Sends units over `connections` at once, at most `rate` readings a second (0: as fast as it goes)."""

    def __init__(
        self, api: Api, run: Run, connections: int, rate: float, tell: Callable[[Tally], None] = lambda tally: None
    ) -> None:
        self.api = api
        self.run = run
        self.connections = connections
        self.rate = rate
        self.tell = tell
        self.tally = Tally()
        self._lock = threading.Lock()
        self._handed_out = 0
        self._failures = 0
        self._over = False
        self._defect: BaseException | None = None

    def send(self, queued: Iterable[Unit], total: int) -> Tally:
        """Send it all, `total` readings. Ctrl-C begins nothing more and lets what is under way be answered."""
        self.tally.total = total
        self._queued = iter(queued)
        self._began = self.run.clock.now()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        try:
            _join(threads)
        except KeyboardInterrupt:
            self.tally.interrupted = True
            self.run.stop.set()
            _join(threads)
        if self._defect:
            raise self._defect
        self.tally.seconds = self.run.clock.now() - self._began
        return self.tally

    def _work(self) -> None:
        try:
            while (unit := self._next()) is not None:
                self._deliver(unit)
        except Interrupted:
            return
        except IotpipeError as error:
            self._give_up(error)
        except BaseException as error:  # noqa: BLE001 - a mistake of ours; the main thread raises it
            self._defect = error
            self._over = True

    def _next(self) -> Unit | None:
        with self._lock:
            unit = None if self._over or self.run.stop.is_set() else next(self._queued, None)
            due = self._began + self._handed_out / self.rate if self.rate else 0.0
            self._handed_out += 1 if isinstance(unit, Refusal) else len(unit or ())
        early = due - self.run.clock.now()
        if unit is not None and early > 0:
            self.run.pause(early)
        return unit

    def _deliver(self, unit: Unit) -> None:
        if isinstance(unit, Refusal):
            return self._deliver_bad(unit)
        waiting = [list(unit)]
        while waiting:
            sent, began = waiting.pop(), self.run.clock.now()
            try:
                answer = self.api.post("/ingest", body(sent))
            except Unreachable as error:
                return self._fail([reading for left in [sent, *waiting] for reading in left], error.message, error)
            refuse(answer)
            waiting += self._account(sent, answer, began)

    def _account(self, sent: list[Reading], answer: Answer, began: float) -> list[list[Reading]]:
        """Note what became of the readings of one POST; answers those worth sending again, each list by itself."""
        now = self.run.clock.now()
        document = answer.document()
        self._note(answer)
        if answer.status == 200:
            if not _acknowledges(document, sent):
                self._fail(sent, f"the answer is not about what was sent: {answer.brief()}")
                return []
            with self._lock:
                self._failures = 0
                self.tally.accepted += [Receipt(reading, began, now) for reading in sent]
                self.tally.duplicates += document.get("duplicates", 0)
            self.tell(self.tally)
            return []
        if answer.status == 400:
            return self._set_apart(sent, answer)
        self._fail(sent, answer.brief())
        return []

    def _set_apart(self, sent: list[Reading], answer: Answer) -> list[list[Reading]]:
        """A batch is refused as a whole: without those that the answer names, the others get in.

        Where it names none, as for a batch that is too large, the halves show which it is.
        """
        named = {index: reason for index, reason in _reasons(answer).items() if 0 <= index < len(sent)}
        if not named and len(sent) > 1:
            return [sent[len(sent) // 2 :], sent[: len(sent) // 2]]
        if not named:
            named = {0: next(map(_reason, answer.details()), answer.brief())}
        with self._lock:
            self._failures = 0
            self.tally.refused += [(sent[index], reason) for index, reason in sorted(named.items())]
        self.tell(self.tally)
        left = [reading for index, reading in enumerate(sent) if index not in named]
        return [left] if left else []

    def _deliver_bad(self, bad: Refusal) -> None:
        try:
            answer = self.api.post("/ingest", bad.body)
        except Unreachable as error:
            with self._lock:
                self.tally.bad_otherwise.append((bad, error.message))
            return
        refuse(answer)
        self._note(answer)
        codes = {(one.get("field"), one.get("code")) for one in answer.details()}
        with self._lock:
            if answer.status == 400 and (bad.field, bad.code) in codes:
                self.tally.bad_refused.append(bad)
            else:
                self.tally.bad_otherwise.append((bad, answer.brief()))

    def _note(self, answer: Answer) -> None:
        with self._lock:
            self.tally.latencies.append(answer.seconds)
            self.tally.retried.update(answer.retried)

    def _fail(self, sent: Sequence[Reading], reason: str, error: IotpipeError | None = None) -> None:
        with self._lock:
            self.tally.failed += [(reading, reason) for reading in sent]
            self._failures += 1
            hopeless = self._failures >= MAX_CONSECUTIVE_FAILURES
        self.tell(self.tally)
        if hopeless:
            hint = "Look at `iotpipe status`; the same command with the same --seed and --until sends the same again"
            self._give_up(
                error
                or IotpipeError(f"{MAX_CONSECUTIVE_FAILURES} consecutive requests failed, the last with {reason}", hint)
            )

    def _give_up(self, error: IotpipeError) -> None:
        with self._lock:
            self._over = True
            self.tally.trouble = self.tally.trouble or error


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _acknowledges(document: Any, sent: Sequence[Reading]) -> bool:
    """Whether a 200 is really about these readings: as many, or the one."""
    if not isinstance(document, dict):
        return False
    if len(sent) == 1:
        named = document.get("device_id"), document.get("timestamp")
        return named == (sent[0].device_id, sent[0].timestamp)
    return document.get("failed") == 0 and document.get("accepted", 0) + document.get("duplicates", 0) == len(sent)


def _reasons(answer: Answer) -> dict[int, str]:
    """Why each reading of a batch was refused, by its index, as far as the answer says so."""
    reasons: dict[int, str] = {}
    for one in answer.details():
        if isinstance(one.get("index"), int):
            reasons.setdefault(one["index"], _reason(one))
    return reasons


def _reason(detail: dict[str, Any]) -> str:
    return f"{detail.get('field')}: {detail.get('message')}"
