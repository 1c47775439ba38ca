"""`iotpipe send-test-data`: sends readings and verifies that they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.readings.send_test_data import Load, Result


_FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


@click.command("send-test-data", epilog="Example:  iotpipe send-test-data --devices 20 --count 1000 --verify")
@options.on_aws
@click.option("--devices", type=click.IntRange(1, 10_000), metavar="N", help="Number of devices that send. [5]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Number of readings in all. [100; all of the file]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Readings per second at most.")
@click.option("--batch", type=click.IntRange(1, 500), default=25, show_default=True, help="Readings per POST.")
@click.option("--connections", type=click.IntRange(1, 64), help="POSTs at once. [8; 4 to the AWS on this machine]")
@click.option(
    "--bad",
    type=click.IntRange(0, 10_000),
    default=0,
    metavar="N",
    help="Also send N bad readings: half for a 400, half for the DLQ.",
)
@click.option("--seed", type=int, help="The same seed and --until generate the same readings.")
@click.option("--until", metavar="TIME", help="When the last reading is; moves a file's times. [now; as they are]")
@click.option("--file", type=_FILE, help="Send the readings of this CSV or JSON Lines file, also of .gz; - is stdin.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Read NAME (metric, timestamp, device_id) from COLUMN, as temperature=tmax. Repeatable.",
)
@click.option("--device", default="", metavar="NAME", help="The device of all readings in the file.")
@click.option(
    "--time-format", default="", metavar="FORMAT", help="A strptime format; UTC unless it has %z. [ISO 8601 or epoch]"
)
@click.option(
    "--verify", is_flag=True, help="Verify that every reading is stored and every bad one rejected; exit 1 if not."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Seconds to wait for the verification. [what the queue needs]",
)
@options.as_json
def send_test_data(
    settings: Settings,
    rate: float | None,
    batch: int,
    connections: int | None,
    verify: bool,
    timeout: float | None,
    as_json: bool,
    **selection: Any,
) -> int:
    """Send test readings, and verify that they are stored.

    Generates realistic readings with a daily cycle, drift and noise, or replays a file. Requests are signed.
    Without --map NAME=COLUMN for any metric, all other columns of a file are metrics.
    """
    from iotpipe.provision.run import RealClock
    from iotpipe.readings import send_test_data as readings
    from iotpipe.render import send_test_data as render

    load = readings.prepare(readings.Options(**selection), RealClock().now())
    render.listed([f"line {line}: {problem}" for line, problem in load.bad_rows])
    session, deployment = open_deployment(settings, "send-test-data")
    connections = connections or (4 if session.aws.emulator else 8)
    api = api_of(session, deployment, connections, writes=True)
    run, progress = session.run, render.progress
    result = readings.send(
        load, api, run, deployment, batch=batch, connections=connections, rate=rate or 0, progress=progress
    )
    render.listed([f"poison did not get into {deployment.queue}: {reason}" for reason in result.unqueued])
    if not as_json:
        render.show_sent(result.tally, load.seed)
    if verify and not (result.tally.interrupted or result.tally.error):
        limit = timeout or readings.default_timeout(load, run, deployment)
        wait = 1 if session.aws.emulator is None else 0
        result.findings = readings.verify(
            result, load, api, run, deployment, timeout=limit, connections=connections, wait=wait, progress=progress
        )
        if not as_json:
            render.show_verified(result.findings, result.tally)
    if as_json:
        verified = render.verified(result.findings) if result.findings else None
        output.answer({"environment": session.name, **render.sent(result.tally, load.seed), "verified": verified})
    return _end(load, result)


def _end(load: Load, result: Result) -> int:
    from iotpipe.readings import send_test_data as readings

    if result.tally.interrupted:
        raise Interrupted(f"stopped: {result.tally.unsent} of {result.tally.total} readings were not sent")
    if result.tally.error:
        raise result.tally.error
    return 1 if readings.failed(load, result) else 0
