"""What the pipeline on one machine carries: `python benchmarks/local.py [SIZE ...]` prints the table of one run.

The sizes are readings stored, 10000 100000 300000 unless others are given. At each of them, once the queue is empty:

- ingestion: so many readings a second does `send-test-data` get acknowledged, while the processor works too; beside a
  second engine that holds as many readings as the first size, each probed in turn, so that what else the computer does
  slows both;
- devices: at the first size, so many messages a second do DEVICES devices get acknowledged over MQTT, one reading in
  each, beside as many readings over HTTP with 25 in each POST, in turn;
- processing: the time from the moment a reading was received to the one at which it was processed, while readings
  come in at STEADY a second, and at half the rate of ingestion that was just measured;
- memory: what the engine's process holds, less what it held at the start, by 100,000 readings stored;
- pause: the longest time that a request waits which asks for next to nothing, while one reading a second makes every
  snapshot necessary and nothing else happens;
- stop and start: `iotpipe local stop`, `iotpipe local start`.

The way to the second size is sent in one command with --verify: it tells whether verification keeps up with sending.
Everything goes over signed HTTP, and the sender runs on the same cores.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZES = (10_000, 100_000, 300_000)
PROBE = 5_000
PROBES = 5
"""A rate of ingestion is the median of sending this many readings this often."""
DEVICES = 50
STEADY = 1_000
"""Readings a second."""
SECONDS = 10
"""How long readings come in steadily, and how long the pauses are watched."""
BETWEEN_LOOKS = 0.002


@dataclass
class Figures:
    """What was measured with so many readings stored."""

    stored: int
    rate: float = 0.0
    rate_of_first: float = 0.0
    """What the engine with as many readings as the first size took in the same minutes."""
    over_mqtt: float = 0.0
    over_http: float = 0.0
    """What both ways took in the same minutes."""
    verified: dict[str, Any] = field(default_factory=dict)
    steady: dict[str, float] = field(default_factory=dict)
    half: dict[str, float] = field(default_factory=dict)
    megabytes: float = 0.0
    pause: float = 0.0
    stop: float = 0.0
    start: float = 0.0


class Machine:
    """A pipeline in an embedded AWS of its own, used by its commands as anybody would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stored = 0
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "IOTPIPE_STATE_DIR": str(directory / "state"),
            "LANG": "C.UTF-8",
        }

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "iotpipe", *words]
        done = subprocess.run(
            command, env=self.environment, cwd=self.directory, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def send(self, count: int, *words: str) -> dict[str, Any]:
        sent = self.run("send-test-data", "--devices", "100", "--count", str(count), "--json", *words)
        self.stored += count
        return json.loads(sent)

    def engine(self) -> dict[str, Any]:
        return json.loads((self.directory / "state" / "local" / "engine.json").read_text())

    def megabytes(self) -> float:
        status = Path(f"/proc/{self.engine()['pid']}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def drain(self) -> None:
        """Wait until nothing waits to be processed."""
        while True:
            queues = json.loads(self.run("status", "--json"))["queues"]
            if not any(queue["visible"] or queue["in_flight"] for queue in queues.values()):
                return
            time.sleep(1)

    def timed(self, *words: str) -> float:
        began = time.monotonic()
        self.run(*words)
        return time.monotonic() - began


def main(sizes: Sequence[int]) -> None:
    with brought_up() as machine:
        machine.send(200, "--verify")
        empty = machine.megabytes()
        print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; empty engine {empty:.0f} MB\n", flush=True)
        for number, size in enumerate(sizes):
            report(at(machine, size, empty, first=sizes[0] if number else 0, prove=number == 1))


@contextmanager
def brought_up() -> Iterator[Machine]:
    """A pipeline in an embedded AWS that is stopped in the end."""
    with tempfile.TemporaryDirectory() as made:
        machine = Machine(Path(made))
        machine.run("up")
        try:
            yield machine
        finally:
            machine.run("local", "stop")


def at(machine: Machine, size: int, empty: float, *, first: int, prove: bool) -> Figures:
    """Fill up to `size` readings, and measure there, beside an engine with `first` readings unless that is 0."""
    figures = Figures(size)
    missing = size - machine.stored
    if prove:
        figures.verified = machine.send(missing, "--verify", "--timeout", "3600")
    else:
        machine.send(missing)
    machine.drain()
    figures.megabytes = (machine.megabytes() - empty) / machine.stored * 100_000
    if first:
        with brought_up() as small:
            small.send(first)
            small.drain()
            figures.rate, figures.rate_of_first = ingestion(machine, small)
    else:
        (figures.rate,) = ingestion(machine)
        figures.over_mqtt, figures.over_http = ways_in(machine)
    figures.steady = hops(machine, STEADY)
    figures.half = hops(machine, figures.rate / 2)
    machine.drain()
    figures.pause = longest_pause(machine)
    figures.stop = machine.timed("local", "stop")
    figures.start = machine.timed("local", "start")
    return figures


def ingestion(*machines: Machine) -> list[float]:
    """Readings a second that each acknowledges while its processor works too. They are probed in turn."""
    rates: list[list[float]] = [[] for _ in machines]
    for _ in range(PROBES):
        for machine, measured in zip(machines, rates, strict=True):
            measured.append(machine.send(PROBE)["readings_per_second"])
            machine.drain()
    return [statistics.median(each) for each in rates]


def ways_in(machine: Machine) -> list[float]:
    """Readings a second that it acknowledges over MQTT and over HTTP, in turn."""
    ways: list[tuple[str, ...]] = [("--via", "mqtt", "--batch", "1"), ("--batch", "25")]
    rates: list[list[float]] = [[] for _ in ways]
    for _ in range(PROBES):
        for way, measured in zip(ways, rates, strict=True):
            measured.append(machine.send(PROBE, "--devices", str(DEVICES), *way)["readings_per_second"])
            machine.drain()
    return [statistics.median(each) for each in rates]


def hops(machine: Machine, rate: float) -> dict[str, float]:
    """The milliseconds from received to processed of readings that come in at this rate, and the rate achieved."""
    sent = machine.send(int(rate * SECONDS), "--rate", str(rate), "--verify", "--timeout", "3600")
    return sent["verified"]["hops_ms"]["received_to_processed"] | {"rate": sent["readings_per_second"]}


def longest_pause(machine: Machine) -> float:
    """The longest wait of a small request, in milliseconds, while one reading a second comes in."""
    with looking(machine.engine()) as waits:
        machine.send(SECONDS, "--batch", "1", "--rate", "1")
    return 1000 * max(waits)


@contextmanager
def looking(engine: dict[str, Any]) -> Iterator[list[float]]:
    """Ask the engine again and again how it is doing; the seconds that each answer took."""
    waits: list[float] = []
    over = threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", engine["port"])
        while not over.wait(BETWEEN_LOOKS):
            began = time.perf_counter()
            connection.request("POST", "/_iotpipe/state", headers={"x-iotpipe-secret": engine["secret"]})
            connection.getresponse().read()
            waits.append(time.perf_counter() - began)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


def report(figures: Figures) -> None:
    print(f"{figures.stored:,} readings stored")
    line("ingestion, readings/s", figures.rate)
    if first := figures.rate_of_first:
        line("  of an engine of the first size", first)
        line("  ratio", figures.rate / first, "at least 0.8", met=figures.rate >= 0.8 * first)
    if mqtt := figures.over_mqtt:
        line("over MQTT, messages/s", mqtt)
        line("  over HTTP at 25 per POST, readings/s", figures.over_http)
        line("  ratio", mqtt / figures.over_http)
    for name, found in ((f"{STEADY}/s", figures.steady), ("half of ingestion", figures.half)):
        line(f"processed at {name}: rate achieved", found["rate"])
        line(f"processed at {name}: p50, ms", found["p50"])
        line(f"processed at {name}: p95, ms", found["p95"], "at most 3000", met=found["p95"] <= 3000)
    line("engine, MB per 100,000 readings", figures.megabytes, "at most 400", met=figures.megabytes <= 400)
    line("longest pause, ms", figures.pause, "at most 100", met=figures.pause <= 100)
    line("local stop, s", figures.stop)
    line("local start, s", figures.start)
    if sent := figures.verified:
        line("sending on the way here, s", sent["seconds"])
        checked = sent["verified"]
        line("verifying them, s", checked["seconds"], "at most as long", met=checked["seconds"] <= sent["seconds"])
        line("  received to processed, p95, ms", checked["hops_ms"]["received_to_processed"]["p95"])
    print(flush=True)


def line(title: str, figure: float, target: str = "", *, met: bool = True) -> None:
    verdict = f"{'met' if met else 'MISSED'}: {target}" if target else ""
    print(f"  {title:<44}{figure:>10.4g}   {verdict}".rstrip())


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
