"""`iotpipe query`: asks the API for the readings of devices."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted
from iotpipe.render import output
from iotpipe.render.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.cli.query_options import Asked
    from iotpipe.readings.api_client import Api, Parameters

FORMATS = ("csv", "jsonl", "parquet")
"""Of files; each is also the ending of one."""
FEW_ROWS, FEW_BUCKETS = 100, 1000
"""The usual limits."""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example:  iotpipe query sensor-001 sensor-002 --last 24h --plot")
@options.on_aws
@click.argument("devices", metavar="DEVICE...", nargs=-1, required=True)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric. May be given 20 times.")
@click.option("--table", type=click.Choice(["processed", "raw"]), default="processed", show_default=True)
@click.option("--date", metavar="DAY", help="The readings of one day, YYYY-MM-DD.")
@click.option("--from", "start", metavar="TIME", help="30m, 6h, 7d ago, a day, an RFC 3339 time or epoch milliseconds.")
@click.option("--to", "end", metavar="TIME", help="Likewise; included.")
@click.option("--last", metavar="DURATION", help="From 30m, 24h or 7d ago until now.")
@click.option(
    "--every", metavar="DURATION", help="A bucket of each 30s, 15m, 1h or 7d instead of rows: count, min, mean, max."
)
@click.option("--offset", metavar="+HH:MM", help="Let buckets begin at this offset from UTC: days of +02:00.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Rows of each device at most. [100; 1000 with --every; all with -o and --plot]",
)
@click.option("--all", "everything", is_flag=True, help="All rows, however many.")
@click.option("--order", type=click.Choice(["desc", "asc"]), help="desc: the latest first. [desc]")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV on stdout.")
@click.option("-o", "--output", "file", type=_FILE, metavar="FILE", help="Write all rows to this file instead.")
@click.option("--format", "how", type=click.Choice(FORMATS), help="Format of FILE. [by its ending, or csv]")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--plot", is_flag=True, help="Plot each metric over time, as wide as the terminal.")
@click.option("--follow", "-f", is_flag=True, help="Print new rows as they come, until Ctrl-C.")
@options.as_json
def query(settings: Settings, **given: Any) -> int | None:
    """Query the readings of up to 10 devices through the API.

    Prints a table and a sparkline per metric; numbers keep all their digits. With -o the rows go to a file as
    they come: CSV or Parquet with the columns device_id, time and one per metric, or JSON Lines with the rows as they
    are stored.
    With --every, each bucket has the exact minimum and maximum, the mean and the last value of one metric.
    --plot draws the whole period; if it has more rows than the screen has dots, the API is asked for buckets.

    --follow asks every 2 s and shows each row once: those of --from or --last first, then those that are stored from
    then on. A row that is stored late is shown unless its device has one that is more than 10 minutes newer. With
    --json, each row is a line.
    """
    from iotpipe.cli.query_follow import follow
    from iotpipe.cli.query_options import Asked
    from iotpipe.cli.query_plot import plot

    asked = Asked(**given)
    asked.check()
    session, deployment = open_deployment(settings, "query")
    now = session.run.clock.now()
    parameters = asked.parameters(now)
    api = api_of(session, deployment)
    if asked.follow:
        return follow(session, api, parameters, asked, now)
    if asked.file:
        _export(api, parameters, asked, asked.file)
    elif asked.plot:
        plot(api, parameters, asked, now)
    else:
        _print(api, parameters, asked)
    return None


def _print(api: Api, parameters: Parameters, asked: Asked) -> None:
    from iotpipe.readings.query import fetch_rows

    few = FEW_BUCKETS if asked.every else FEW_ROWS
    rows, more = fetch_rows(api, parameters, None if asked.everything else asked.limit or few)
    if asked.as_json:
        output.document(f"{_as_json(rows, more, asked)}\n")
    elif asked.as_csv:
        output.document(_as_csv(rows, asked))
    else:
        _show(rows, asked)
    if more:
        note_more(len(rows), asked.unit)


def _as_json(rows: Sequence[dict[str, Any]], more: bool, asked: Asked) -> str:
    from iotpipe.render import buckets, query

    return buckets.as_json_text(asked.every, rows, more) if asked.every else query.as_json_text(rows, more)


def _as_csv(rows: Sequence[dict[str, Any]], asked: Asked) -> str:
    from iotpipe.render import buckets, query

    return buckets.as_csv_text(rows) if asked.every else query.as_csv_text(rows)


def _show(rows: Sequence[dict[str, Any]], asked: Asked) -> None:
    from iotpipe.render import buckets, query

    view = buckets if asked.every else query
    several = len(asked.devices) > 1
    if rows:
        for line in view.as_table(rows, with_devices=several):
            output.say(line)
        output.say("")
        for line in view.as_sparklines(rows, _columns(), with_devices=several):
            output.say(line)
    note_silent(asked, {row["device_id"] for row in rows})
    if rows:
        _note_unknown_metrics(rows, asked)


def _note_unknown_metrics(rows: Sequence[dict[str, Any]], asked: Asked) -> None:
    """Name the metrics that no row has: perhaps they are mistyped."""
    from iotpipe.readings.stored_rows import metrics

    found = {row["metric"] for row in rows} if asked.every else {name for row in rows for name in metrics(row)}
    unknown = [name for name in asked.metrics if name not in found]
    if unknown:
        output.note(f"none of these {asked.unit} has {' or '.join(unknown)}")


def note_silent(asked: Asked, found: set[str]) -> None:
    """Name the devices that have nothing to show."""
    silent = [device for device in asked.devices if device not in found]
    if silent:
        what = "numeric readings" if asked.every or asked.plot else "readings"
        output.note(f"{', '.join(silent)} {'has' if len(silent) == 1 else 'have'} no {what} in this period")


def note_more(count: int, what: str) -> None:
    """Say that a limit has left some out."""
    output.note(f"there are more than these {count} {what}: use --all or a larger --limit")


def _export(api: Api, parameters: Parameters, asked: Asked, file: Path) -> None:
    from iotpipe.cli.query_options import cannot_write
    from iotpipe.cli.session import answerable
    from iotpipe.readings.query import limited_pages
    from iotpipe.render.export import export
    from iotpipe.render.layout import BUCKETS, ROWS

    pages = limited_pages(api, parameters, None if asked.everything else asked.limit)
    try:
        with answerable():
            # A symbolic link stays one: the file that it leads to is written.
            path = Path(os.path.realpath(file))
            count, more = export(pages, path, asked.format, BUCKETS if asked.every else ROWS)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped: {file} was not written") from None
    except OSError as error:
        raise cannot_write(file, error) from error
    if asked.as_json:
        output.answer({"count": count, "more": more, "file": str(file)})
    else:
        output.note(f"wrote {count} {asked.unit} to {file}")
    if more:
        note_more(count, asked.unit)


def _columns() -> int:
    """The width of a sparkline beside a name and two numbers."""
    return max(10, shutil.get_terminal_size().columns - 40) if terminal(sys.stdout) else 60
