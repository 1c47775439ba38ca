"""`iotpipe logs`: shows the functions' logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.deployed import not_up, open_deployed
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted
from iotpipe.names import HANDLERS, Names
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.operations.logs import LogEvent


@click.command(epilog="Example:  iotpipe logs --env prod --follow --function processor")
@options.on_aws
@click.option(
    "--since", default="10m", show_default=True, metavar="TIME", help="30s, 10m, 2h, 3d ago, or an ISO time (UTC)."
)
@click.option("--follow", "-f", is_flag=True, help="Follow new entries until Ctrl-C.")
@click.option("--function", type=click.Choice(HANDLERS), help="Only entries of this function.")
@click.option("--correlation-id", metavar="ID", help="Only entries of this request.")
@click.option("--errors", is_flag=True, help="Only errors.")
@click.option("--grep", metavar="PATTERN", help="Only entries that match this regular expression.")
@click.option("--platform", is_flag=True, help="Include Lambda's own lines: START, END, REPORT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per entry.")
def logs(
    settings: Settings,
    since: str,
    follow: bool,
    function: str | None,
    correlation_id: str | None,
    errors: bool,
    grep: str | None,
    platform: bool,
    as_json: bool,
) -> int:
    """Show the logs of all functions, ordered by time.

    Times are in UTC. The handlers' lines are shortened, all others are printed as they are. Lambda's own lines about
    an invocation are left out unless they report a failure or --platform is given.
    """
    from iotpipe.cli.session import interruptible
    from iotpipe.operations.log_filter import Selection, pattern
    from iotpipe.operations.logs import LogReader, follow_events, merge, parse_since
    from iotpipe.render import console
    from iotpipe.render.logs import event_data, event_text
    from iotpipe.render.progress import progress
    from iotpipe.times import iso

    selection = Selection(platform, errors, pattern(grep))
    with progress() as tell:
        session, suffix = open_deployed(settings, "logs", tell)
    begin = parse_since(since, session.run.clock.now())
    named = [(each, Names(suffix).log_group(each)) for each in ([function] if function else HANDLERS)]
    readers = [LogReader(session.run, each, group, begin, correlation_id) for each, group in named]
    out = console.stdout()

    def show(events: Iterable[LogEvent]) -> bool:
        any_shown = False
        for event in filter(selection.includes, events):
            any_shown = True
            if as_json:
                output.say(event_data(event))
            else:
                for told in event_text(event):
                    out.line(told)
        return any_shown

    try:
        with interruptible(session.stop):
            shown = show(merge(readers))
            if not any(reader.group_exists for reader in readers):
                _report_no_log_group(session, follow)
            elif not shown and not follow:
                what = "nothing that was asked for was logged" if errors or grep else "nothing was logged"
                output.note(f"{what} since {iso(begin)}; --since 2h looks further back")
            if follow:
                show(follow_events(session.run, readers))
    except (KeyboardInterrupt, Interrupted):
        return 130
    return 0


def _report_no_log_group(session: Session, follow: bool) -> None:
    if not follow:
        raise not_up(session.name)
    output.note("there is no log group yet; waiting for the first entry")
