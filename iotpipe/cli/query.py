"""`iotpipe query`: asks the API for a device's readings."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.render import output
from iotpipe.render.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.readings.api_client import Api

FORMATS = ("csv", "jsonl")
_FEW = 100
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example:  iotpipe query sensor-001 --from 6h")
@options.on_aws
@click.argument("device")
@click.option("--table", type=click.Choice(["processed", "raw"]), default="processed", show_default=True)
@click.option("--date", metavar="DAY", help="The readings of one day, YYYY-MM-DD.")
@click.option("--from", "start", metavar="TIME", help="30m, 6h, 7d ago, a day, an RFC 3339 time or epoch milliseconds.")
@click.option("--to", "end", metavar="TIME", help="Likewise; included.")
@click.option("--last", metavar="DURATION", help="From 30m, 24h or 7d ago until now.")
@click.option("--limit", type=click.IntRange(1), help="Rows at most. [100; all with -o]")
@click.option("--all", "everything", is_flag=True, help="All rows, however many.")
@click.option(
    "--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True, help="desc: the latest first."
)
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV on stdout.")
@click.option("-o", "--output", "file", type=_FILE, metavar="FILE", help="Write all rows to this file instead.")
@click.option("--format", "how", type=click.Choice(FORMATS), help="Format of FILE. [csv]")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@options.as_json
def query(
    settings: Settings,
    device: str,
    table: str,
    date: str | None,
    start: str | None,
    end: str | None,
    last: str | None,
    limit: int | None,
    everything: bool,
    order: str,
    as_csv: bool,
    file: Path | None,
    how: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Query a device's readings through the API.

    Prints a table and a sparkline per metric; numbers keep all their digits. With -o the rows go to a file as
    they come: CSV with the columns device_id, time and one per metric, or JSON Lines with the rows as they are stored.
    """
    from iotpipe.readings.query import fetch_rows
    from iotpipe.render.query import as_csv_text, as_json_text

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", "Use one of them")
    _refuse_two_periods(date, start, end, last)
    if last is not None:
        start, end = _checked_duration(last), "0s"
    if file:
        _refuse_in_vain(file, as_csv, overwrite)
    elif how or overwrite:
        raise UsageError("--format and --overwrite need -o", "Name the file with -o FILE")
    session, deployment = open_deployment(settings, "query")
    now = session.run.clock.now()
    start, end = _moment(start, now), _moment(end, now)
    given = {"device_id": device, "table": table, "event_date": date, "from": start, "to": end, "order": order}
    parameters = {name: value for name, value in given.items() if value}
    api = api_of(session, deployment)
    if file:
        _export(api, parameters, None if everything else limit, file, how or "csv", as_json)
        return
    rows, more = fetch_rows(api, parameters, None if everything else limit or _FEW)
    if as_json:
        output.document(f"{as_json_text(rows, more)}\n")
    elif as_csv:
        output.document(as_csv_text(rows))
    elif rows:
        _show(rows)
    else:
        output.note(f"{device} has no readings in this period")
    if more:
        output.note(f"there are more than these {len(rows)} rows: use --all or a larger --limit")


def _refuse_two_periods(date: str | None, start: str | None, end: str | None, last: str | None) -> None:
    """Refuse options that each name a period."""
    if date and (start or end):
        raise UsageError("--date excludes --from and --to", "Leave out --from and --to, or --date")
    if last and (date or start or end):
        raise UsageError("--last excludes --date, --from and --to", "Use --last alone, or --from and --to")


def _show(rows: Sequence[dict[str, Any]]) -> None:
    from iotpipe.render.query import as_sparklines, as_table

    for line in as_table(rows):
        output.say(line)
    output.say("")
    for line in as_sparklines(rows, _columns()):
        output.say(line)


def _refuse_in_vain(file: Path, as_csv: bool, overwrite: bool) -> None:
    """Refuse a file that the rows cannot go to, before any of them is read."""
    if as_csv:
        raise UsageError("--csv and -o exclude each other", "Use -o with --format csv")
    if file.exists() and not overwrite:
        raise UsageError(f"{file} exists", "Name another file, or add --overwrite")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is not a regular file", "Name another file")


def _export(api: Api, parameters: Mapping[str, str], limit: int | None, file: Path, how: str, as_json: bool) -> None:
    from iotpipe.cli.session import answerable
    from iotpipe.readings.query import limited_pages
    from iotpipe.render.export import export

    try:
        with answerable():
            # A symbolic link stays one: the file that it leads to is written.
            count, more = export(limited_pages(api, parameters, limit), Path(os.path.realpath(file)), how)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped: {file} was not written") from None
    except OSError as error:
        raise IotpipeError(f"cannot write {file}: {error.strerror or error}", "Name another file with -o") from error
    if as_json:
        output.answer({"count": count, "more": more, "file": str(file)})
    else:
        output.note(f"wrote {count} rows to {file}")
    if more:
        output.note(f"there are more than these {count} rows: use --all or a larger --limit")


def _checked_duration(text: str) -> str:
    """The text if it is a duration such as 24h. Raises UsageError."""
    from iotpipe.times import ago

    if ago(text, 0) is None:
        raise UsageError(f"{text!r} is not a duration", "Use a number and s, m, h or d, such as 90m, 24h or 7d")
    return text


def _moment(text: str | None, now: float) -> str | None:
    """A time as the API accepts it; an age such as 6h is converted to epoch milliseconds."""
    from iotpipe.times import ago

    found = ago(text, now) if text else None
    return text if found is None else str(found)


def _columns() -> int:
    """The width of a sparkline beside a name and two numbers."""
    return max(10, shutil.get_terminal_size().columns - 40) if terminal(sys.stdout) else 60
