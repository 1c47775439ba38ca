"""Verify that every accepted reading has its raw and processed row, and every bad one its 400 or its dead letter.

The rows are read through the API, as users read them, in pages of a thousand: two calls per device cover hundreds of
readings and also show duplicates. Reading each row by its key would cost more calls, could not find duplicates, and
would compute the keys with the code under test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from iotpipe.provision.run import Run
from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.bad_readings import Poison, Rejection
from iotpipe.readings.generate import api_time
from iotpipe.readings.send import Receipt, Tally
from iotpipe.readings.stored_rows import Identity, Row
from iotpipe.times import iso, milliseconds

TABLES = ("raw", "processed")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
# Queries are eventually consistent: one may miss a row that an earlier one returned. A deleted row stays missing.
_QUERY_ATTEMPTS = 3
# API Gateway rejects signatures with a larger clock skew, in seconds. Rows received earlier are of an earlier run.
_MAX_SKEW = 300
# The embedded AWS has this machine's clock; its times are rounded down to milliseconds.
_ROUNDING = 0.001

ReadDlq = Callable[[], Mapping[str, str]]
Part = tuple[str, str]
"""A device and a table."""


@dataclass
class Findings:
    """The result of a verification. `hops` are milliseconds between two steps of the pipeline, by their names."""

    expected: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """The number of readings with exactly one row with exactly their values, by table."""
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    poison: int = 0
    dead: int = 0
    bad: int = 0
    refused: int = 0
    told: int = 0
    """The number of devices that were told over MQTT what was refused of them."""
    astray: list[str] = field(default_factory=list)
    """Bad readings that did not get their 400, and poison that is not exactly once in the DLQ."""
    hops: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    queries: int = 0

    @property
    def proven(self) -> bool:
        """Whether there are readings, and all of them and the bad ones ended as they must."""
        return bool(self.expected) and not (self.missing or self.doubled or self.different or self.astray)


class Verifier:
    """Poll until everything has arrived or `timeout` seconds have passed, then compare all rows once more.

    `read_dlq` returns the bodies in the DLQ by message id.
    """

    def __init__(
        self,
        api: Api,
        run: Run,
        tally: Tally,
        poisons: Sequence[Poison],
        read_dlq: ReadDlq,
        *,
        timeout: float,
        connections: int,
        tell: Callable[[int, int], None] = lambda arrived, total: None,
    ) -> None:
        self.api = api
        self.run = run
        self.tally = tally
        self.poisons = {poison.body: poison for poison in poisons}
        self.read_dlq = read_dlq
        self.timeout = timeout
        self.connections = connections
        self.tell = tell
        self.expected: dict[str, dict[Identity, Receipt]] = defaultdict(dict)
        # Of a reading that was sent twice, either may be stored: the earlier send time is a lower bound for both.
        for receipt in sorted(tally.accepted, key=lambda each: each.sent_at):
            self.expected[receipt.reading.device_id].setdefault(stored_rows.reading_identity(receipt.reading), receipt)
        self.outstanding = {
            (device, table): set(readings) for device, readings in self.expected.items() for table in TABLES
        }
        self.altered: dict[Part, set[Identity]] = defaultdict(set)
        self.by_key: dict[tuple[str, int, str], list[Identity]] = defaultdict(list)
        for device, readings in self.expected.items():
            for identity in readings:
                self.by_key[device, *identity[:2]].append(identity)
        self.skew = _ROUNDING if run.aws.emulator else _MAX_SKEW
        self.dead: dict[str, str] = {}
        self.findings = Findings(expected=sum(map(len, self.expected.values())))
        self._readable: list[float] = []

    def verify(self) -> Findings:
        """Raises IotpipeError if the API or AWS cannot be read, Interrupted after Ctrl-C."""
        began = self.run.clock.now()
        with ThreadPoolExecutor(self.connections) as pool:
            try:
                self._wait(pool, began + self.timeout)
                self._compare_all(pool)
            except KeyboardInterrupt:
                self.run.stop.set()
                raise
        self._check_bad()
        self.findings.hops["processed → readable"] = self._readable
        self.findings.seconds = self.run.clock.now() - began
        return self.findings

    def _wait(self, pool: ThreadPoolExecutor, deadline: float) -> None:
        pause, is_first = _FIRST_PAUSE, True
        while True:
            self._poll(pool, is_first)
            total = 2 * self.findings.expected + len(self.poisons)
            left = sum(map(len, self.outstanding.values())) + len(self._poison_not_in_dlq())
            self.tell(total - left, total)
            if not left or self.run.clock.now() >= deadline:
                return
            self.run.pause(pause)
            pause, is_first = min(_LONGEST_PAUSE, pause * 2), False

    def _poll(self, pool: ThreadPoolExecutor, is_first: bool) -> None:
        parts = [part for part, identities in self.outstanding.items() if identities]
        for part, rows in zip(parts, pool.map(self._outstanding_rows, parts), strict=True):
            now = self.run.clock.now() * 1000
            for row in rows:
                identity = stored_rows.IDENTITIES[part[1]](row)
                if (altered := self._altered(part, identity)) and self._of_this_run(part[0], altered, row):
                    # The row has other values than were sent, which waiting cannot change.
                    self.outstanding[part].remove(altered)
                    self.altered[part].add(altered)
                elif identity in self.outstanding[part] and self._of_this_run(part[0], identity, row):
                    self.outstanding[part].remove(identity)
                    if not is_first and part[1] == "processed":
                        self._readable.append(now - milliseconds(row["processed_at"]))
        if self._poison_not_in_dlq():
            self.dead |= self.read_dlq()

    def _altered(self, part: Part, identity: Identity) -> Identity | None:
        """The only outstanding reading with the row's time and id, if the row's values differ from those sent."""
        if identity in self.expected[part[0]]:
            return None
        same_key = self.by_key.get((part[0], *identity[:2]), [])
        return same_key[0] if len(same_key) == 1 and same_key[0] in self.outstanding[part] else None

    def _poison_not_in_dlq(self) -> set[str]:
        return set(self.poisons) - set(self.dead.values())

    def _outstanding_rows(self, part: Part) -> list[Row]:
        return self._rows(part, self.outstanding[part])

    def _all_rows(self, part: Part) -> list[Row]:
        """All rows of a part; queried again while a row that was seen before is missing."""
        seen = self.expected[part[0]].keys() - self.outstanding[part] - self.altered[part]
        for _ in range(_QUERY_ATTEMPTS):
            rows = self._rows(part, self.expected[part[0]])
            if seen <= set(map(stored_rows.IDENTITIES[part[1]], rows)):
                break
            self.run.pause(_LONGEST_PAUSE)
        return rows

    def _of_this_run(self, device: str, identity: Identity, row: Row) -> bool:
        """Whether this run stored the row. A row of an earlier run proves nothing about the present pipeline."""
        earliest = (self.expected[device][identity].sent_at - self.skew) * 1000
        return (stored_rows.received_at(row) or 0) >= earliest

    def _rows(self, part: Part, identities: Iterable[Identity]) -> list[Row]:
        device, table = part
        times = [time for time, _, _ in identities]
        period = {"from": str(api_time(min(times))), "to": str(api_time(max(times)))}
        parameters = {"device_id": device, "table": table, "limit": str(stored_rows.MAX_ROWS), **period}
        rows: list[Row] = []
        for page in stored_rows.pages(self.api, parameters):
            self.findings.queries += 1
            rows += page.items
        return rows

    def _compare_all(self, pool: ThreadPoolExecutor) -> None:
        parts = list(self.outstanding)
        for part, rows in zip(parts, pool.map(self._all_rows, parts), strict=True):
            self._compare(part, rows)
            if part[1] == "processed":
                self._measure(part[0], rows)
        self.dead |= self.read_dlq() if self.poisons else {}

    def _compare(self, part: Part, rows: Sequence[Row]) -> None:
        device, table = part
        identities = [stored_rows.IDENTITIES[table](row) for row in rows]
        counts = Counter(identities)
        pairs = zip(identities, rows, strict=True)
        current = {identity for identity, row in pairs if self._is_current(device, identity, row)}
        unexpected = {
            identity[:2]: identity[2] for identity in identities[::-1] if identity not in self.expected[device]
        }
        for identity, receipt in self.expected[device].items():
            where = f"{receipt.reading}: {table} row"
            if counts[identity] > 1:
                self.findings.doubled.append(f"{where} {counts[identity]} times")
            elif counts[identity] == 1 and identity in current:
                self.findings.found[table] += 1
            elif counts[identity] == 1:
                self.findings.missing.append(f"{where} of this run; there is one of an earlier run")
            elif (stored := unexpected.get(identity[:2])) is not None:
                self.findings.different.append(f"{where} has {stored}, sent was {identity[2]}")
            else:
                self.findings.missing.append(where)
        self._find_stored_bad(device, table, identities)

    def _is_current(self, device: str, identity: Identity, row: Row) -> bool:
        """Whether the row is of an expected reading and was stored by this run."""
        return identity in self.expected[device] and self._of_this_run(device, identity, row)

    def _find_stored_bad(self, device: str, table: str, identities: Iterable[Identity]) -> None:
        """Report bad readings that have a row, whatever the API's response was."""
        ids = {bad.reading_id: bad for bad in self._bad()}
        for time, reading_id, _ in identities:
            if bad := ids.get(reading_id):
                self.findings.astray.append(f"{bad.what} ({device} at {iso(time)}): has a {table} row")

    def _bad(self) -> list[Rejection]:
        return self.tally.bad_refused + [bad for bad, _ in self.tally.bad_not_refused]

    def _measure(self, device: str, rows: Sequence[Row]) -> None:
        hops = self.findings.hops
        for row in rows:
            identity = stored_rows.processed_identity(row)
            receipt = self.expected[device].get(identity)
            if receipt and self._of_this_run(device, identity, row):
                received, processed = milliseconds(row["received_at"]), milliseconds(row["processed_at"])
                hops.setdefault("sent → received", []).append(received - receipt.sent_at * 1000)
                hops.setdefault("received → accepted", []).append(receipt.accepted_at * 1000 - received)
                hops.setdefault("received → processed", []).append(processed - received)

    def _check_bad(self) -> None:
        findings, copies = self.findings, Counter(self.dead.values())
        findings.bad, findings.refused = len(self._bad()), len(self.tally.bad_refused)
        for bad, response in self.tally.bad_not_refused:
            findings.astray.append(f"{bad.what}: not refused as it must be: {response}")
        findings.poison, findings.dead = len(self.poisons), sum(copies[body] == 1 for body in self.poisons)
        for body, poison in self.poisons.items():
            if copies[body] != 1:
                findings.astray.append(f"poison, {poison.what}: {copies[body]} times in the DLQ: {body[:120]}")
