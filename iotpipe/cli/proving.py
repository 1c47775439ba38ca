"""`iotpipe send-test-data` and `iotpipe query`: the proof that a deployment works, and its answers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe import output
from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.proving.api import Api
    from iotpipe.proving.deployment import Deployment
    from iotpipe.proving.proof import Load, Proof

_FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


@click.command("send-test-data", epilog="Example:  iotpipe send-test-data --devices 20 --count 1000 --verify")
@options.on_aws
@click.option("--devices", type=click.IntRange(1, 10_000), metavar="N", help="So many devices make readings. [5]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Readings of all devices together. [100; a file's]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Readings per second at most.")
@click.option("--batch", type=click.IntRange(1, 500), default=25, show_default=True, help="Readings per POST.")
@click.option("--connections", type=click.IntRange(1, 64), help="POSTs at once. [8; 4 to the AWS on this machine]")
@click.option(
    "--bad",
    type=click.IntRange(0, 10_000),
    default=0,
    metavar="N",
    help="Bad ones besides: half for a 400, half for the DLQ.",
)
@click.option("--seed", type=int, help="The same seed makes the same readings, up to the same time.")
@click.option(
    "--until", default="", metavar="TIME", help="When the last reading is; moves a file's times. [now; as they are]"
)
@click.option("--file", type=_FILE, help="Send the readings of this CSV or JSON Lines file, also of .gz; - is stdin.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="NAME=COLUMN",
    help="What a column is, such as temperature=tmax. Repeatable.",
)
@click.option("--device", default="", metavar="NAME", help="The device of a whole file.")
@click.option(
    "--time-format", default="", metavar="FORMAT", help="As of strptime; UTC unless it says %z. [ISO 8601 or epoch]"
)
@click.option(
    "--verify", is_flag=True, help="Follow every reading to its row, every bad one to its end; exit 1 if any is amiss."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Seconds to verify in. [what the queue needs]",
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
    **asked: Any,
) -> int:
    """Send readings, and prove that they arrive.

    Realistic ones, with a daily cycle, drift and noise, or those of a file; signed, and tried again where that may
    help. Without --map NAME=COLUMN for any metric, all other columns of a file are metrics.
    """
    from iotpipe.proving import proof, showing
    from iotpipe.provision.run import RealClock

    load = proof.load(proof.Asked(**asked), RealClock().now())
    showing.listed([f"line {line}: {problem}" for line, problem in load.bad_rows])
    session, place = _open(settings, "send-test-data")
    connections = connections or (4 if session.aws.emulator else 8)
    api = _api(session, place, connections, writes=True)
    run, progress = session.run, showing.progress
    proved = proof.send(load, api, run, place, batch=batch, connections=connections, rate=rate or 0, progress=progress)
    showing.listed([f"poison did not get into {place.queue}: {reason}" for reason in proved.unqueued])
    if not as_json:
        showing.show_sent(proved.tally, load.seed)
    if verify and not (proved.tally.interrupted or proved.tally.trouble):
        limit = timeout or proof.patience(load, run, place)
        wait = 1 if session.aws.emulator is None else 0
        proved.findings = proof.verify(
            proved, load, api, run, place, timeout=limit, connections=connections, wait=wait, progress=progress
        )
        if not as_json:
            showing.show_verified(proved.findings, proved.tally)
    if as_json:
        found = showing.verified(proved.findings) if proved.findings else None
        output.answer({"environment": session.name, **showing.sent(proved.tally, load.seed), "verified": found})
    return _end(load, proved)


def _end(load: Load, proved: Proof) -> int:
    from iotpipe.proving import proof

    if proved.tally.interrupted:
        raise Interrupted(f"stopped: {proved.tally.unsent} of {proved.tally.total} readings were not sent")
    if proved.tally.trouble:
        raise proved.tally.trouble
    return 1 if proof.failed(load, proved) else 0


def _open(settings: Settings, command: str) -> tuple[Session, Deployment]:
    from iotpipe import rendering
    from iotpipe.cli.session import open_session
    from iotpipe.outputs import outputs
    from iotpipe.proving.deployment import deployment

    with rendering.progress() as tell:
        session = open_session(settings, command, tell)
    recorded = session.rows()
    found = outputs(session.aws.account, session.aws.region, recorded, session.endpoint)
    return session, deployment(session.name, found, recorded)


def _api(session: Session, place: Deployment, connections: int = 1, *, writes: bool = False) -> Api:
    """The API; whoever `writes` needs the key as well, where the environment asks for one."""
    from iotpipe.proving.api import Api
    from iotpipe.proving.deployment import api_key

    asks_for_key = writes and session.env is not None and session.env.api.require_api_key
    key = api_key(session.run, place.key_parameter) if asks_for_key else ""
    aws, pause, explain = session.aws, session.run.pause, _explanation(session)
    return Api(place.endpoint, aws.session, aws.region, pause, api_key=key, connections=connections, explain=explain)


def _explanation(session: Session) -> Callable[[str], str]:
    """Why the function behind a path of the API does not start, if that is so; as far as the logs may be read."""
    from iotpipe.watching import names, startup

    suffix = names.recorded_suffix(session.rows().values()) or ""
    # The clocks of this machine and of AWS may differ.
    since = int(session.run.clock.now() * 1000) - 10_000

    def explain(path: str) -> str:
        function = "ingestion" if path.startswith("/ingest") else "query"
        try:
            found = startup.failure(session.run, function, suffix, since)
        except IotpipeError:
            return ""
        return f"the {function} function does not start: {found}" if found else ""

    return explain


@click.command(epilog="Example:  iotpipe query sensor-001 --from 6h")
@options.on_aws
@click.argument("device")
@click.option("--table", type=click.Choice(["processed", "raw"]), default="processed", show_default=True)
@click.option("--date", metavar="DAY", help="The readings of one day, YYYY-MM-DD.")
@click.option("--from", "start", metavar="TIME", help="30m, 6h, 7d ago, a day, an RFC 3339 time or epoch milliseconds.")
@click.option("--to", "end", metavar="TIME", help="Likewise; included.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Rows at most.")
@click.option("--all", "everything", is_flag=True, help="All rows, however many.")
@click.option(
    "--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True, help="desc: the latest first."
)
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV on stdout.")
@options.as_json
def query(
    settings: Settings,
    device: str,
    table: str,
    date: str | None,
    start: str | None,
    end: str | None,
    limit: int,
    everything: bool,
    order: str,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Ask the API for a device's readings.

    A table, and a picture of each metric; numbers are exactly as they are stored.
    """
    from iotpipe.proving import answers

    if as_csv and as_json:
        raise UsageError("--csv and --json are two answers", "Say one of them")
    if date and (start or end):
        raise UsageError("--date is a period by itself", "Leave out --from and --to, or --date")
    session, place = _open(settings, "query")
    start, end = (_moment(text, session.run.clock.now()) for text in (start, end))
    given = {"device_id": device, "table": table, "event_date": date, "from": start, "to": end, "order": order}
    parameters = {name: value for name, value in given.items() if value}
    found, more = answers.ask(_api(session, place), parameters, None if everything else limit)
    if as_json:
        output.document(f"{answers.as_json(found, more)}\n")
    elif as_csv:
        output.document(answers.as_csv(found))
    elif found:
        for line in answers.as_table(found):
            output.say(line)
        output.say("")
        for line in answers.as_pictures(found, _columns()):
            output.say(line)
    else:
        output.note(f"{device} has no readings there")
    if more:
        output.note(f"there are more than these {len(found)}: --all shows them, --limit N so many")


def _moment(text: str | None, now: float) -> str | None:
    """A time as the API takes it; only how long ago it was is reckoned here."""
    from iotpipe.moments import ago

    found = ago(text, now) if text else None
    return text if found is None else str(found)


def _columns() -> int:
    """How wide a picture may be, beside a name and two numbers."""
    return max(10, shutil.get_terminal_size().columns - 40) if terminal(sys.stdout) else 60


ALL = (send_test_data, query)
