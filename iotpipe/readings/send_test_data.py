"""One run of `iotpipe send-test-data`: what is to be sent, sent, and followed to where it must end."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.provision.run import Run
from iotpipe.readings import bad_readings, dead_letters, generate, replay
from iotpipe.readings.api_client import Api
from iotpipe.readings.bad_readings import Poison, Refusal
from iotpipe.readings.deployment import Deployment, queue_url
from iotpipe.readings.generate import Reading
from iotpipe.readings.replay import BadRow
from iotpipe.readings.send import Sender, Tally, units
from iotpipe.readings.verify import Findings, Verifier

_DEVICES, _COUNT = 5, 100
# What a verification may take when nothing goes wrong: seconds at least, and readings per second.
_PATIENCE, _SLOWEST = 120, 20

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Asked:
    """What the command line says of the readings."""

    file: Path | None = None
    maps: Sequence[str] = ()
    device: str = ""
    time_format: str = ""
    until: str = ""
    devices: int | None = None
    count: int | None = None
    seed: int | None = None
    bad: int = 0


@dataclass(frozen=True)
class Load:
    """What is to be sent. `bad_rows` are lines of the file that are no readings, `seed` is None for a file."""

    good: Sequence[Reading]
    refusals: Sequence[Refusal] = ()
    poisons: Sequence[Poison] = ()
    bad_rows: Sequence[tuple[int, str]] = ()
    seed: int | None = None


@dataclass
class Proof:
    """What came of it; `findings` where it was verified."""

    tally: Tally
    unqueued: Sequence[str] = field(default_factory=list)
    findings: Findings | None = None


def load(asked: Asked, now: float) -> Load:
    """Generate the readings or read them from the file. Raises UsageError before anything is sent."""
    try:
        until = replay.moment(asked.until) if asked.until else None
    except BadRow as error:
        raise UsageError(f"--until: {error}") from error
    if asked.file is None:
        return _generated(asked, int(now) * 1000 if until is None else until)
    if asked.devices is not None or asked.seed is not None:
        raise UsageError("--devices and --seed generate readings; --file replays recorded ones", "Use one or the other")
    replayed = replay.replay(asked.file, asked.maps, asked.device, asked.time_format, asked.count)
    if not replayed.readings:
        first = f": line {replayed.bad[0][0]}: {replayed.bad[0][1]}" if replayed.bad else ""
        raise UsageError(f"{replay.called(asked.file)} has no reading{first}", "Look at --map and --time-format")
    good = replayed.readings if until is None else replay.shifted(replayed.readings, until)
    return Load(good, *_bad_readings(asked.bad, good), replayed.bad)


def _generated(asked: Asked, until: int) -> Load:
    if asked.maps or asked.device or asked.time_format:
        raise UsageError("--map, --device and --time-format need --file", "Pass --file")
    devices, count = asked.devices or _DEVICES, asked.count or _COUNT
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    good = list(generate.generate(devices, count, seed, until))
    return Load(good, *_bad_readings(asked.bad, good), seed=seed)


def _bad_readings(bad: int, good: Sequence[Reading]) -> tuple[list[Refusal], list[Poison]]:
    """Half of each kind; other ones in each run, lest an earlier run's in the DLQ be taken for them."""
    marker = uuid.uuid4().hex[:12]
    return bad_readings.refusals(bad - bad // 2, good, marker), bad_readings.poisons(bad // 2, marker)


def send(
    load: Load, api: Api, run: Run, place: Deployment, *, batch: int, connections: int, rate: float, progress: Progress
) -> Proof:
    """Send it all: first see whether the API is there and lets us in, then the poison, which takes longest."""
    api.check()
    unqueued: Sequence[str] = ()
    if load.poisons:
        url, sqs = queue_url(run, place.queue), run.client("sqs")
        unqueued = run.with_retries(
            "queue poison in", place.queue, lambda _: dead_letters.poison(sqs, url, load.poisons)
        )
    with progress("sending") as tell:
        sender = Sender(api, run, connections, rate, lambda tally: tell(tally.settled, tally.total))
        queued = units(load.good, batch, load.refusals, len(load.good))
        return Proof(sender.send(queued, len(load.good)), unqueued)


def patience(load: Load, run: Run, place: Deployment) -> float:
    """Seconds after which whatever has not arrived will not: poison is hidden after each failure to process it."""
    return _PATIENCE + len(load.good) / _SLOWEST + _until_dead(load, run, place)


def _until_dead(load: Load, run: Run, place: Deployment) -> int:
    """Seconds until the poison is in the dead-letter queue; 0 without any."""
    if not load.poisons:
        return 0
    url, sqs = queue_url(run, place.queue), run.client("sqs")
    return run.with_retries("read", f"queue/{place.queue}", lambda _: dead_letters.time_to_the_dlq(sqs, url))


def verify(
    proof: Proof,
    load: Load,
    api: Api,
    run: Run,
    place: Deployment,
    *,
    timeout: float,
    connections: int,
    wait: int,
    progress: Progress,
) -> Findings:
    """Follow everything. `wait` is how many seconds SQS may look for messages in the DLQ each time."""
    sqs = run.client("sqs")
    url = queue_url(run, place.dead_letters) if load.poisons else ""

    def look() -> dict[str, str]:
        return run.with_retries("look into", f"queue/{place.dead_letters}", lambda _: dead_letters.look(sqs, url, wait))

    wait_for_dead = _until_dead(load, run, place)
    why = f" (bad messages are dead letters after about {wait_for_dead} s)" if wait_for_dead else ""
    with progress(f"verifying{why}") as tell:
        verifier = Verifier(
            api, run, proof.tally, load.poisons, look, timeout=timeout, connections=connections, tell=tell
        )
        return verifier.verify()


def failed(load: Load, proof: Proof) -> bool:
    """Whether anything that was to be sent was not, or not taken as it should be, or not found."""
    tally = proof.tally
    amiss = tally.refused or tally.failed or tally.unsent or tally.bad_otherwise or load.bad_rows or proof.unqueued
    return bool(amiss) or (proof.findings is not None and not proof.findings.proven)
