"""Print the progress of `iotpipe send-test-data` on stderr, and its result as text or JSON."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from iotpipe.readings.send import Tally
from iotpipe.readings.verify import TABLES, Findings
from iotpipe.render import console
from iotpipe.render.terminals import terminal

_MOST_LISTED = 20
Tell = Callable[[int, int], None]
"""Called with the number of finished items and the total."""


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show a bar on a terminal; elsewhere print a line per tenth."""
    if not terminal(sys.stderr):
        yield _Tenths(what).tell
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console.stderr().rich, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Tenths:
    def __init__(self, what: str) -> None:
        self.what = what
        self.told = 0
        self.lock = threading.Lock()

    def tell(self, done: int, total: int) -> None:
        tenth = done * 10 // total if total else 10
        with self.lock:
            if tenth > self.told:
                self.told = tenth
                console.stderr().line(f"{self.what}: {done} of {total}")


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 by the nearest-rank method."""
    ordered = sorted(values)
    return {f"p{part}": round(ordered[-(-len(ordered) * part // 100) - 1], 1) for part in (50, 95, 99) if ordered}


def sent(tally: Tally, seed: int | None) -> dict[str, Any]:
    """The sending's result for JSON. Latencies are of single requests, from the first byte sent to the last read."""
    return {
        "readings": tally.total,
        "sent": tally.settled,
        "accepted": len(tally.accepted),
        "duplicates": tally.duplicates,
        "refused": len(tally.refused),
        "failed": len(tally.failed),
        "unsent": tally.unsent,
        "bad_refused": len(tally.bad_refused),
        "bad_not_refused": len(tally.bad_not_refused),
        "requests": len(tally.latencies),
        "retries": dict(tally.retried),
        "seconds": round(tally.seconds, 3),
        "readings_per_second": round(tally.rate, 1),
        "latency_ms": percentiles([1000 * seconds for seconds in tally.latencies]),
        "seed": seed,
        "interrupted": tally.interrupted,
        "problems": [f"{reading}: {reason}" for reading, reason in tally.refused + tally.failed],
    }


def show_sent(tally: Tally, seed: int | None, *, over_mqtt: bool = False) -> None:
    """Print the sending's result as text."""
    out, data = console.stdout(), sent(tally, seed)
    out.line(
        f"sent {data['sent']} of {tally.total} readings in {data['seconds']} s: {data['accepted']} accepted"
        f" ({tally.duplicates} duplicates), {data['refused']} refused, {data['failed']} failed"
    )
    if bad := len(tally.bad_refused) + len(tally.bad_not_refused):
        asked = "published" if over_mqtt else "posted"
        given = "acknowledged, to be refused later" if over_mqtt else "rejected with 400 as required"
        out.line(f"  {bad} bad {asked}, {len(tally.bad_refused)} of them {given}")
    again = ", ".join(f"{count} times after {reason}" for reason, count in tally.retried.most_common()) or "never"
    what = "messages acknowledged; connections lost" if over_mqtt else "requests; tried again"
    out.line(f"  {data['readings_per_second']} readings/s; {data['requests']} {what} {again}")
    out.line(f"  latency {_percentiles(data['latency_ms'])}")
    if seed is not None:
        out.line(f"  --seed {seed} sends the same readings again")
    listed(data["problems"])


def verified(findings: Findings) -> dict[str, Any]:
    """The verification's result for JSON."""
    return {
        "proven": findings.proven,
        "expected": findings.expected,
        "raw": findings.found["raw"],
        "processed": findings.found["processed"],
        "bad_posted": findings.bad,
        "bad_refused": findings.refused,
        "devices_told": findings.told,
        "poison_queued": findings.poison,
        "poison_in_dlq": findings.dead,
        "missing": findings.missing,
        "doubled": findings.doubled,
        "different": findings.different,
        "astray": findings.astray,
        "hops_ms": {_key(hop): _figures(values) for hop, values in findings.hops.items()},
        "queries": findings.queries,
        "seconds": round(findings.seconds, 3),
    }


def _key(hop: str) -> str:
    """The JSON name of a hop: `sent → received` becomes sent_to_received."""
    return hop.replace(" → ", "_to_")


def _figures(values: Sequence[float]) -> dict[str, float]:
    return {"count": len(values), **percentiles(values)}


def show_verified(findings: Findings, tally: Tally) -> None:
    """Print the verification's result as text."""
    out, data = console.stdout(), verified(findings)
    tables = ", ".join(f"{table} {findings.found[table]}" for table in TABLES)
    out.line(
        f"{'verified' if findings.proven else 'NOT verified'} in {data['seconds']} s ({findings.queries} queries):"
        f" of {findings.expected} accepted readings, each exactly once and unchanged: {tables}"
    )
    if left := tally.total - len(tally.accepted):
        out.line(f"  {left} more were not accepted and are not verified")
    if findings.bad or findings.poison:
        out.line(
            f"  bad: {findings.refused} of {findings.bad} refused, {findings.dead} of {findings.poison} in the DLQ"
        )
    if findings.told:
        out.line(f"  {findings.told} devices were told over MQTT what was refused of them")
    for hop, values in findings.hops.items():
        if (figures := _figures(values))["count"]:
            out.line(f"  {hop:<22} {_percentiles(figures)}  ({figures['count']} readings)")
    for kind in ("missing", "doubled", "different", "astray"):
        listed([f"{kind}: {one}" for one in data[kind]])


def listed(problems: Sequence[str]) -> None:
    """Print the first problems on stderr, and the number of the others."""
    out = console.stderr()
    for problem in problems[:_MOST_LISTED]:
        out.line(f"  {problem}")
    if len(problems) > _MOST_LISTED:
        out.line(f"  and {len(problems) - _MOST_LISTED} more; --json lists all")


def _percentiles(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figures[name]:.1f} ms" for name in ("p50", "p95", "p99") if name in figures) or "unknown"
