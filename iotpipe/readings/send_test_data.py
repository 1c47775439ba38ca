"""One run of `iotpipe send-test-data`: prepare readings, send them, and verify where they end."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.provision.run import Run
from iotpipe.readings import bad_readings, dead_letters, generate, replay
from iotpipe.readings.api_client import Api
from iotpipe.readings.bad_readings import Poison, Rejection
from iotpipe.readings.cells import BadRow, parse_time
from iotpipe.readings.deployment import Deployment, queue_url
from iotpipe.readings.generate import Reading
from iotpipe.readings.send import Sender, Tally, units
from iotpipe.readings.verify import Findings, Verifier

_DEVICES, _COUNT = 5, 100
# For the default timeout of the verification: minimum seconds, and the slowest normal readings per second.
_MIN_TIMEOUT, _MIN_RATE = 120, 20

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Options:
    """The command-line options that select the readings."""

    file: Path | None = None
    maps: Sequence[str] = ()
    device: str = ""
    time_format: str = ""
    until: str | None = None
    devices: int | None = None
    count: int | None = None
    seed: int | None = None
    bad: int = 0


@dataclass(frozen=True)
class Load:
    """What to send. `bad_rows` are invalid rows of the file (line, problem); `seed` is None for a file."""

    good: Sequence[Reading]
    rejections: Sequence[Rejection] = ()
    poisons: Sequence[Poison] = ()
    bad_rows: Sequence[tuple[int, str]] = ()
    seed: int | None = None


@dataclass
class Result:
    """The outcome of a run. `unqueued` are the reasons of poison that SQS did not accept.

    `findings` is None without verification.
    """

    tally: Tally
    unqueued: Sequence[str] = field(default_factory=list)
    findings: Findings | None = None


def prepare(options: Options, now: float) -> Load:
    """Generate the readings or read them from the file. Raises UsageError for contradicting or invalid options."""
    try:
        until = None if options.until is None else parse_time(options.until)
    except BadRow as error:
        raise UsageError(f"--until: {error}") from error
    if options.file is None:
        return _generated(options, int(now) * 1000 if until is None else until)
    if options.devices is not None or options.seed is not None:
        raise UsageError("--devices and --seed generate readings; --file replays recorded ones", "Use one or the other")
    replayed = replay.replay(options.file, options.maps, options.device, options.time_format, options.count)
    if not replayed.readings:
        first = f": line {replayed.bad[0][0]}: {replayed.bad[0][1]}" if replayed.bad else ""
        file = replay.display_name(options.file)
        raise UsageError(f"{file} has no reading{first}", "Check --map and --time-format")
    good = replayed.readings if until is None else replay.shifted(replayed.readings, until)
    return Load(good, *_bad_readings(options.bad, good), replayed.bad)


def _generated(options: Options, until: int) -> Load:
    if options.maps or options.device or options.time_format:
        raise UsageError("--map, --device and --time-format need --file", "Pass --file")
    devices, count = options.devices or _DEVICES, options.count or _COUNT
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    good = list(generate.generate(devices, count, seed, until))
    return Load(good, *_bad_readings(options.bad, good), seed=seed)


def _bad_readings(bad: int, good: Sequence[Reading]) -> tuple[list[Rejection], list[Poison]]:
    """Half of each kind, with a unique marker, because poison of earlier runs may still be in the DLQ."""
    marker = uuid.uuid4().hex[:12]
    return bad_readings.rejections(bad - bad // 2, good, marker), bad_readings.poisons(bad // 2, marker)


def send(
    load: Load,
    api: Api,
    run: Run,
    deployment: Deployment,
    *,
    batch: int,
    connections: int,
    rate: float,
    progress: Progress,
) -> Result:
    """Check the API, then send the poison, which takes longest, then the readings."""
    api.check()
    unqueued = queue_poison(load, run, deployment)
    with progress("sending") as tell:
        sender = Sender(api, run, connections, rate, lambda tally: tell(tally.settled, tally.total))
        queued = units(load.good, batch, load.rejections, len(load.good))
        return Result(sender.send(queued, len(load.good)), unqueued)


def queue_poison(load: Load, run: Run, deployment: Deployment) -> Sequence[str]:
    """Send the poison to the reading queue. Returns the reasons of what SQS did not accept."""
    if not load.poisons:
        return ()
    url, sqs = queue_url(run, deployment.queue), run.client("sqs")
    return run.with_retries(
        "queue poison in", deployment.queue, lambda _: dead_letters.send_poison(sqs, url, load.poisons)
    )


def default_timeout(load: Load, run: Run, deployment: Deployment) -> float:
    """Seconds after which the verification expects no further arrivals, including the poison's in the DLQ."""
    return _MIN_TIMEOUT + len(load.good) / _MIN_RATE + _seconds_to_dlq(load, run, deployment)


def _seconds_to_dlq(load: Load, run: Run, deployment: Deployment) -> int:
    """Seconds until the poison is in the dead-letter queue; 0 without poison."""
    if not load.poisons:
        return 0
    url, sqs = queue_url(run, deployment.queue), run.client("sqs")
    return run.with_retries("read", f"queue/{deployment.queue}", lambda _: dead_letters.seconds_to_dlq(sqs, url))


def verify(
    result: Result,
    load: Load,
    api: Api,
    run: Run,
    deployment: Deployment,
    *,
    timeout: float,
    connections: int,
    wait: int,
    progress: Progress,
    told: Callable[[Mapping[str, str]], Mapping[str, str]] = dict,
) -> Findings:
    """Verify where everything has ended. `wait` is WaitTimeSeconds for receiving from the DLQ.

    `told` gives of the bodies in the DLQ, by message id, what was sent to the pipeline.
    """
    sqs = run.client("sqs")
    url = queue_url(run, deployment.dead_letters) if load.poisons else ""

    def read_dlq() -> Mapping[str, str]:
        return told(
            run.with_retries(
                "look into", f"queue/{deployment.dead_letters}", lambda _: dead_letters.peek(sqs, url, wait)
            )
        )

    seconds = _seconds_to_dlq(load, run, deployment)
    why = f" (bad messages are dead letters after about {seconds} s)" if seconds else ""
    with progress(f"verifying{why}") as tell:
        verifier = Verifier(
            api, run, result.tally, load.poisons, read_dlq, timeout=timeout, connections=connections, tell=tell
        )
        return verifier.verify()


def failed(load: Load, result: Result) -> bool:
    """Whether anything was not sent, did not get the expected response, or was not verified."""
    tally = result.tally
    problems = tally.refused or tally.failed or tally.unsent or tally.bad_not_refused
    return bool(problems or load.bad_rows or result.unqueued) or (
        result.findings is not None and not result.findings.proven
    )
