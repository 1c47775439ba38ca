"""`iotpipe send-test-data`: sends readings and verifies that they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.options import Settings
from iotpipe.cli.sending import Sending, check_options, over_mqtt
from iotpipe.errors import Interrupted
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.readings.send_test_data import Load, Result


_FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


@click.command("send-test-data", epilog="Example:  iotpipe send-test-data --devices 20 --count 1000 --verify")
@options.on_aws
@click.option(
    "--via",
    type=click.Choice(("http", "mqtt")),
    default="http",
    show_default=True,
    help="mqtt: temporary devices publish with QoS 1, each over its own connection, and are removed again.",
)
@click.option("--devices", type=click.IntRange(1, 10_000), metavar="N", help="Number of devices that send. [5]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Number of readings in all. [100; all of the file]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Readings per second at most.")
@click.option("--batch", type=click.IntRange(1, 500), help="Readings per POST or MQTT message. [25; 1 over MQTT]")
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
    via: str,
    rate: float | None,
    batch: int | None,
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
    if via == "mqtt":
        check_options(selection, connections)
    render.listed([f"line {line}: {problem}" for line, problem in load.bad_rows])
    session, deployment = open_deployment(settings, "send-test-data")
    connections = connections or (4 if session.aws.emulator else 8)
    api = api_of(session, deployment, connections, writes=True)
    sending = Sending(
        session, deployment, api, connections, rate or 0, timeout if verify else None, verify, not as_json
    )
    result = over_mqtt(sending, load, batch or 1) if via == "mqtt" else _over_http(sending, load, batch or 25)
    if as_json:
        verified = render.verified(result.findings) if result.findings else None
        output.answer({"environment": session.name, **render.sent(result.tally, load.seed), "verified": verified})
    return _end(load, result)


def _over_http(sending: Sending, load: Load, batch: int) -> Result:
    from iotpipe.readings import send_test_data as readings
    from iotpipe.render import send_test_data as render

    result = readings.send(
        load,
        sending.api,
        sending.run,
        sending.deployment,
        batch=batch,
        connections=sending.connections,
        rate=sending.rate,
        progress=render.progress,
    )
    sending.show_sent(load, result)
    sending.verify(load, result)
    sending.show_verified(result)
    return result


def _end(load: Load, result: Result) -> int:
    from iotpipe.readings import send_test_data as readings

    if result.tally.interrupted:
        raise Interrupted(f"stopped: {result.tally.unsent} of {result.tally.total} readings were not sent")
    if result.tally.error:
        raise result.tally.error
    return 1 if readings.failed(load, result) else 0
