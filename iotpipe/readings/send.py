"""Send readings over several connections at a given rate, and record the outcome of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from iotpipe.errors import Interrupted, IotpipeError
from iotpipe.provision.run import Run
from iotpipe.readings.api_client import Api, Response, Unreachable, raise_for_permanent_error
from iotpipe.readings.bad_readings import Rejection
from iotpipe.readings.generate import Reading, body
from iotpipe.readings.workers import run_until_done

Unit = Sequence[Reading] | Rejection
"""The content of one POST: a batch of readings, or one bad body."""

# After this many consecutive POSTs have failed for good, the others are expected to fail as well.
MAX_CONSECUTIVE_FAILURES = 3


@dataclass(frozen=True)
class Receipt:
    """A reading that the API accepted; when its POST began and ended, in epoch seconds."""

    reading: Reading
    sent_at: float
    accepted_at: float


@dataclass
class Tally:
    """The outcome of all readings. `duplicates` occurred twice in one POST; they count as accepted too.

    A failed reading may have been stored or not. `unsent` readings were left when the sending ended early.
    """

    total: int = 0
    accepted: list[Receipt] = field(default_factory=list)
    duplicates: int = 0
    refused: list[tuple[Reading, str]] = field(default_factory=list)
    failed: list[tuple[Reading, str]] = field(default_factory=list)
    bad_refused: list[Rejection] = field(default_factory=list)
    bad_not_refused: list[tuple[Rejection, str]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    retried: Counter[str] = field(default_factory=Counter)
    """The number of retries by reason: an HTTP status or an exception's name."""
    seconds: float = 0.0
    interrupted: bool = False
    error: IotpipeError | None = None
    """The error that ended the sending early."""

    @property
    def settled(self) -> int:
        """The number of readings with an outcome: accepted, refused or failed."""
        return len(self.accepted) + len(self.refused) + len(self.failed)

    @property
    def unsent(self) -> int:
        return self.total - self.settled

    @property
    def rate(self) -> float:
        """Accepted readings per second."""
        return len(self.accepted) / self.seconds if self.seconds else 0.0


def units(readings: Iterable[Reading], batch: int, bad: Sequence[Rejection], total: int) -> Iterator[Unit]:
    """Batches of readings, with the bad bodies spread evenly between them, one per POST."""
    left, pending = iter(readings), list(reversed(bad))
    posts = max(1, -(-total // batch))
    for number in range(posts):
        if chunk := list(islice(left, batch)):
            yield chunk
        while pending and (len(bad) - len(pending)) * posts < (number + 1) * len(bad):
            yield pending.pop()


class Sender:
    """Send units over `connections` at once, at most `rate` readings per second (0: unlimited)."""

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
        self._scheduled = 0
        self._failures = 0
        self._stopped = False
        self._unexpected: BaseException | None = None

    def send(self, queued: Iterable[Unit], total: int) -> Tally:
        """Send all units, `total` readings. Ctrl-C starts no further POST and waits for those in progress."""
        self.tally.total = total
        self._queued = iter(queued)
        self._began = self.run.clock.now()
        self.tally.interrupted = run_until_done([self._work] * self.connections, self.run)
        if self._unexpected:
            raise self._unexpected
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
        except BaseException as error:  # noqa: BLE001 - a defect of iotpipe; the main thread raises it
            self._unexpected = error
            self._stopped = True

    def _next(self) -> Unit | None:
        with self._lock:
            unit = None if self._stopped or self.run.stop.is_set() else next(self._queued, None)
            due = self._began + self._scheduled / self.rate if self.rate else 0.0
            self._scheduled += 1 if isinstance(unit, Rejection) else len(unit or ())
        wait = due - self.run.clock.now()
        if unit is not None and wait > 0:
            self.run.pause(wait)
        return unit

    def _deliver(self, unit: Unit) -> None:
        if isinstance(unit, Rejection):
            return self._deliver_bad(unit)
        pending = [list(unit)]
        while pending:
            sent, began = pending.pop(), self.run.clock.now()
            try:
                response = self.api.post("/ingest", body(sent))
            except Unreachable as error:
                return self._fail([reading for batch in [sent, *pending] for reading in batch], error.message, error)
            raise_for_permanent_error(response)
            pending += self._record(sent, response, began)

    def _record(self, sent: list[Reading], response: Response, began: float) -> list[list[Reading]]:
        """Record the outcome of one POST. Return the batches to send again without the rejected readings."""
        now = self.run.clock.now()
        document = response.document()
        self._record_latency(response)
        if response.status == 200:
            if not _acknowledges(document, sent):
                self._fail(sent, f"the response does not match the request: {response.summary()}")
                return []
            with self._lock:
                self._failures = 0
                self.tally.accepted += [Receipt(reading, began, now) for reading in sent]
                self.tally.duplicates += document.get("duplicates", 0)
            self.tell(self.tally)
            return []
        if response.status == 400:
            return self._drop_rejected(sent, response)
        self._fail(sent, response.summary())
        return []

    def _drop_rejected(self, sent: list[Reading], response: Response) -> list[list[Reading]]:
        """Return the batches to send again: the API rejects a batch as a whole and names the bad readings.

        If it names none, as for a batch that is too large, split the batch in halves.
        """
        rejected = {index: reason for index, reason in _reasons(response).items() if 0 <= index < len(sent)}
        if not rejected and len(sent) > 1:
            return [sent[len(sent) // 2 :], sent[: len(sent) // 2]]
        if not rejected:
            rejected = {0: next(map(_reason, response.details()), response.summary())}
        with self._lock:
            self._failures = 0
            self.tally.refused += [(sent[index], reason) for index, reason in sorted(rejected.items())]
        self.tell(self.tally)
        others = [reading for index, reading in enumerate(sent) if index not in rejected]
        return [others] if others else []

    def _deliver_bad(self, bad: Rejection) -> None:
        try:
            response = self.api.post("/ingest", bad.body)
        except Unreachable as error:
            with self._lock:
                self.tally.bad_not_refused.append((bad, error.message))
            return
        raise_for_permanent_error(response)
        self._record_latency(response)
        codes = {(detail.get("field"), detail.get("code")) for detail in response.details()}
        with self._lock:
            if response.status == 400 and (bad.field, bad.code) in codes:
                self.tally.bad_refused.append(bad)
            else:
                self.tally.bad_not_refused.append((bad, response.summary()))

    def _record_latency(self, response: Response) -> None:
        with self._lock:
            self.tally.latencies.append(response.seconds)
            self.tally.retried.update(response.retried)

    def _fail(self, sent: Sequence[Reading], reason: str, error: IotpipeError | None = None) -> None:
        with self._lock:
            self.tally.failed += [(reading, reason) for reading in sent]
            self._failures += 1
            give_up = self._failures >= MAX_CONSECUTIVE_FAILURES
        self.tell(self.tally)
        if give_up:
            message = f"{MAX_CONSECUTIVE_FAILURES} consecutive requests failed, the last with {reason}"
            hint = "Run `iotpipe status`; the same --seed and --until send the same readings again"
            self._give_up(error or IotpipeError(message, hint))

    def _give_up(self, error: IotpipeError) -> None:
        with self._lock:
            self._stopped = True
            self.tally.error = self.tally.error or error


def _acknowledges(document: Any, sent: Sequence[Reading]) -> bool:
    """Whether the body of a 200 matches these readings: their number, or the single one's device and time."""
    if not isinstance(document, dict):
        return False
    if len(sent) == 1:
        acknowledged = document.get("device_id"), document.get("timestamp")
        return acknowledged == (sent[0].device_id, sent[0].timestamp)
    return document.get("failed") == 0 and document.get("accepted", 0) + document.get("duplicates", 0) == len(sent)


def _reasons(response: Response) -> dict[int, str]:
    """Why readings of a batch were rejected, by their index in the batch."""
    reasons: dict[int, str] = {}
    for detail in response.details():
        if isinstance(detail.get("index"), int):
            reasons.setdefault(detail["index"], _reason(detail))
    return reasons


def _reason(detail: dict[str, Any]) -> str:
    return f"{detail.get('field')}: {detail.get('message')}"
