"""Follows every accepted reading to its raw and its processed row, and every bad one to its 400 or the DLQ.

It asks through the API, a page of a thousand rows at a time: two calls per device prove for hundreds of readings at
once that they are readable, by the way on which a user reads them, and show what is there twice. To get each row by
its key would cost more calls and could see no second row; and the keys would have to be worked out by the very code
that is on trial.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from iotpipe.provision.run import Run
from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.bad_readings import Poison, Refusal
from iotpipe.readings.generate import written
from iotpipe.readings.send import Receipt, Tally
from iotpipe.readings.stored_rows import Identity, Place, Row
from iotpipe.times import iso, milliseconds

TABLES = ("raw", "processed")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
# A query need not see at once what another has seen. Milliseconds would do; a row that is gone stays gone.
_LOOKS_AGAIN = 3
# API Gateway refuses a signature whose clock is further from its own. So what it received before is of an earlier run.
_LARGEST_SKEW = 300
# An AWS on this machine has its clock, but says milliseconds.
_ROUNDED_OFF = 0.001

Look = Callable[[], Mapping[str, str]]
Part = tuple[str, str]
"""A device and a table."""


@dataclass
class Findings:
    """What was found. `hops` are milliseconds from one point of a reading's way to the next."""

    expected: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """Readings with exactly one row of exactly their values, by table."""
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    poison: int = 0
    dead: int = 0
    bad: int = 0
    refused: int = 0
    astray: list[str] = field(default_factory=list)
    """Bad readings that ended anywhere but in their 400 or, exactly once, in the DLQ."""
    hops: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    queries: int = 0

    @property
    def proven(self) -> bool:
        """Whether there is anything, and everything is where it belongs, once and unchanged."""
        return bool(self.expected) and not (self.missing or self.doubled or self.different or self.astray)


class Verifier:
    """Looks until all has arrived or `timeout` seconds are over, and then judges by one last look at everything.

    `look` answers the bodies in the DLQ by message id.
    """

    def __init__(
        self,
        api: Api,
        run: Run,
        tally: Tally,
        poisons: Sequence[Poison],
        look: Look,
        *,
        timeout: float,
        connections: int,
        tell: Callable[[int, int], None] = lambda arrived, total: None,
    ) -> None:
        self.api = api
        self.run = run
        self.tally = tally
        self.poisons = {poison.body: poison for poison in poisons}
        self.look = look
        self.timeout = timeout
        self.connections = connections
        self.tell = tell
        self.expected: dict[str, dict[Identity, Receipt]] = defaultdict(dict)
        # Of what was sent twice either may be what is in the tables; both were received after the earlier was sent.
        for receipt in sorted(tally.accepted, key=lambda each: each.sent_at):
            self.expected[receipt.reading.device_id].setdefault(stored_rows.of_reading(receipt.reading), receipt)
        self.outstanding = {
            (device, table): set(readings) for device, readings in self.expected.items() for table in TABLES
        }
        self.altered: dict[Part, set[Identity]] = defaultdict(set)
        self.at: dict[tuple[str, int, str], list[Identity]] = defaultdict(list)
        for device, readings in self.expected.items():
            for identity in readings:
                self.at[device, *identity[:2]].append(identity)
        self.skew = _ROUNDED_OFF if run.aws.emulator else _LARGEST_SKEW
        self.dead: dict[str, str] = {}
        self.findings = Findings(expected=sum(map(len, self.expected.values())))
        self._readable: list[float] = []

    def verify(self) -> Findings:
        """Raises IotpipeError where the API or AWS cannot be asked, Interrupted after Ctrl-C."""
        began = self.run.clock.now()
        with ThreadPoolExecutor(self.connections) as pool:
            try:
                self._wait(pool, began + self.timeout)
                self._judge(pool)
            except KeyboardInterrupt:
                self.run.stop.set()
                raise
        self._judge_bad()
        self.findings.hops["processed → readable"] = self._readable
        self.findings.seconds = self.run.clock.now() - began
        return self.findings

    def _wait(self, pool: ThreadPoolExecutor, deadline: float) -> None:
        pause, again = _FIRST_PAUSE, False
        while True:
            self._look_around(pool, again)
            total = 2 * self.findings.expected + len(self.poisons)
            left = sum(map(len, self.outstanding.values())) + len(self._poison_not_in_dlq())
            self.tell(total - left, total)
            if not left or self.run.clock.now() >= deadline:
                return
            self.run.pause(pause)
            pause, again = min(_LONGEST_PAUSE, pause * 2), True

    def _look_around(self, pool: ThreadPoolExecutor, again: bool) -> None:
        parts = [part for part, identities in self.outstanding.items() if identities]
        for part, found in zip(parts, pool.map(self._outstanding_rows, parts), strict=True):
            now = self.run.clock.now() * 1000
            for row in found:
                identity = stored_rows.IDENTITIES[part[1]](row)
                if (altered := self._altered(part, identity)) and self._of_this_run(part[0], altered, row):
                    # It is there and not as it was sent: no time will mend that.
                    self.outstanding[part].remove(altered)
                    self.altered[part].add(altered)
                elif identity in self.outstanding[part] and self._of_this_run(part[0], identity, row):
                    self.outstanding[part].remove(identity)
                    if again and part[1] == "processed":
                        self._readable.append(now - milliseconds(row["processed_at"]))
        if self._poison_not_in_dlq():
            self.dead |= self.look()

    def _altered(self, part: Part, identity: Identity) -> Identity | None:
        """The reading that this row is of, where its values are others and no second one has its place."""
        if identity in self.expected[part[0]]:
            return None
        alike = self.at.get((part[0], *identity[:2]), [])
        return alike[0] if len(alike) == 1 and alike[0] in self.outstanding[part] else None

    def _poison_not_in_dlq(self) -> set[str]:
        return set(self.poisons) - set(self.dead.values())

    def _outstanding_rows(self, part: Part) -> list[Row]:
        return self._rows(part, self.outstanding[part])

    def _all_rows(self, part: Part) -> list[Row]:
        """All rows of a part; asked for again while one that was seen before is not among them."""
        seen = self.expected[part[0]].keys() - self.outstanding[part] - self.altered[part]
        for _ in range(_LOOKS_AGAIN):
            found = self._rows(part, self.expected[part[0]])
            if seen <= set(map(stored_rows.IDENTITIES[part[1]], found)):
                break
            self.run.pause(_LONGEST_PAUSE)
        return found

    def _of_this_run(self, device: str, identity: Identity, row: Row) -> bool:
        """Whether this sending made the row. One that was there before proves nothing about the pipeline as it is."""
        earliest = (self.expected[device][identity].sent_at - self.skew) * 1000
        return (stored_rows.received(row) or 0) >= earliest

    def _rows(self, part: Part, identities: Iterable[Identity]) -> list[Row]:
        device, table = part
        moments = [moment for moment, _, _ in identities]
        period = {"from": str(written(min(moments))), "to": str(written(max(moments)))}
        parameters = {"device_id": device, "table": table, "limit": str(stored_rows.MOST), **period}
        found: list[Row] = []
        for page in stored_rows.pages(self.api, parameters):
            self.findings.queries += 1
            found += page.items
        return found

    def _judge(self, pool: ThreadPoolExecutor) -> None:
        parts = list(self.outstanding)
        for part, found in zip(parts, pool.map(self._all_rows, parts), strict=True):
            self._compare(part, found)
            if part[1] == "processed":
                self._measure(part[0], found)
        self.dead |= self.look() if self.poisons else {}

    def _compare(self, part: Part, found: Sequence[Row]) -> None:
        device, table = part
        identities = [stored_rows.IDENTITIES[table](row) for row in found]
        counts = Counter(identities)
        ours = {
            identity
            for identity, row in zip(identities, found, strict=True)
            if identity in self.expected[device] and self._of_this_run(device, identity, row)
        }
        others: dict[Place, list[str]] = defaultdict(list)
        for moment, reading_id, values in identities:
            if (moment, reading_id, values) not in self.expected[device]:
                others[moment, reading_id].append(values)
        for identity, receipt in self.expected[device].items():
            place, where = identity[:2], f"{receipt.reading}: {table}"
            if counts[identity] == 1 and identity in ours:
                self.findings.found[table] += 1
            elif counts[identity] == 1:
                self.findings.missing.append(f"{where} row of this run; there is one of an earlier run")
            elif counts[identity] > 1:
                self.findings.doubled.append(f"{where} row {counts[identity]} times")
            elif others[place]:
                self.findings.different.append(f"{where} row has {others[place][0]}, sent was {identity[2]}")
            else:
                self.findings.missing.append(f"{where} row")
        self._spot_bad(device, table, identities)

    def _spot_bad(self, device: str, table: str, identities: Iterable[Identity]) -> None:
        """A bad reading that has a row, whatever it was answered."""
        ids = {bad.reading_id: bad for bad in self._bad()}
        for moment, reading_id, _ in identities:
            if bad := ids.get(reading_id):
                self.findings.astray.append(f"{bad.what} ({device} at {iso(moment)}): has a {table} row")

    def _bad(self) -> list[Refusal]:
        return self.tally.bad_refused + [bad for bad, _ in self.tally.bad_otherwise]

    def _measure(self, device: str, found: Sequence[Row]) -> None:
        hops = self.findings.hops
        for row in found:
            identity = stored_rows.of_processed(row)
            receipt = self.expected[device].get(identity)
            if receipt and self._of_this_run(device, identity, row):
                received, processed = milliseconds(row["received_at"]), milliseconds(row["processed_at"])
                hops.setdefault("sent → received", []).append(received - receipt.sent_at * 1000)
                hops.setdefault("received → accepted", []).append(receipt.accepted_at * 1000 - received)
                hops.setdefault("received → processed", []).append(processed - received)

    def _judge_bad(self) -> None:
        findings, copies = self.findings, Counter(self.dead.values())
        findings.bad, findings.refused = len(self._bad()), len(self.tally.bad_refused)
        findings.astray += [f"{bad.what}: not refused as it must be: {said}" for bad, said in self.tally.bad_otherwise]
        findings.poison, findings.dead = len(self.poisons), sum(copies[body] == 1 for body in self.poisons)
        for body, poison in self.poisons.items():
            if copies[body] != 1:
                findings.astray.append(f"poison, {poison.what}: {copies[body]} times in the DLQ: {body[:120]}")
