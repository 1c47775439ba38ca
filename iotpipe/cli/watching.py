"""`iotpipe logs` and `iotpipe dlq`: what a person on call types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.watching import names

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.provision.run import Event
    from iotpipe.watching.logs import LogEvent


@click.command(epilog="Example:  iotpipe logs --env prod --follow --function processor")
@options.on_aws
@click.option(
    "--since", default="10m", show_default=True, metavar="TIME", help="30s, 10m, 2h, 3d ago, or an ISO time (UTC)."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--function", type=click.Choice(names.FUNCTIONS), help="Of this function only.")
@click.option("--correlation-id", metavar="ID", help="Only what belongs to this request.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per entry and line.")
def logs(
    settings: Settings, since: str, follow: bool, function: str | None, correlation_id: str | None, as_json: bool
) -> int:
    """Show the logs of all functions, in the order of time.

    Times are in UTC. The functions' own lines are shown in short, all others as they are.
    """
    from iotpipe import rendering
    from iotpipe.watching import lines
    from iotpipe.watching.logs import LogReader, followed, merged, moment

    with rendering.progress() as tell:
        session, suffix = _open(settings, "logs", tell)
    begin = moment(since, session.run.clock.now())
    named = [(each, names.log_group(each, suffix)) for each in ([function] if function else names.FUNCTIONS)]
    readers = [LogReader(session.run, each, group, begin, correlation_id) for each, group in named]
    out = rendering.console(sys.stdout)

    def show(events: Iterable[LogEvent]) -> bool:
        any_shown = False
        for event in events:
            any_shown = True
            if as_json:
                click.echo(lines.event_data(event))
            else:
                out.print(lines.event_text(event))
        return any_shown

    try:
        shown = show(merged(readers))
        if not any(reader.there for reader in readers):
            _nothing_there(session, follow)
        elif not shown and not follow:
            click.echo(f"nothing was logged since {lines.moment(begin)}; --since 2h looks further back", err=True)
        if follow:
            show(followed(session.run, readers))
    except KeyboardInterrupt:
        return 130
    return 0


def _nothing_there(session: Session, follow: bool) -> None:
    if not follow:
        raise _not_up(session.name)
    click.echo("there is no log group yet; waiting for the first entry", err=True)


def _open(settings: Settings, command: str, tell: Callable[[Event], None]) -> tuple[Session, str]:
    """The session, and the suffix of the environment's names: as recorded, else as configured."""
    from iotpipe.cli.session import open_session

    session = open_session(settings, command, tell, declared=False)
    suffix = names.recorded_suffix(session.rows().values()) or (session.env and session.env.suffix)
    if not suffix:
        raise _not_up(session.name)
    return session, suffix


def _not_up(name: str) -> UsageError:
    return UsageError(f"{name} is not up", f"Run `iotpipe up --env {name}` first")
