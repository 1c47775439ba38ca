"""`iotpipe status`: shows the health of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe status --env prod --json")
@options.on_aws
@options.verbose
@options.as_json
def status(settings: Settings, as_json: bool) -> int:
    """Show the health of an environment.

    Lists resources that are not live (changed, drifted, missing), queue depths and ages, firing alarms with their
    reasons, and unconfirmed alert subscriptions.
    """
    from iotpipe.cli.session import open_session, untouched
    from iotpipe.operations.health import Health, health
    from iotpipe.provision import plan as planning
    from iotpipe.render.progress import progress
    from iotpipe.render.status import show_status

    if new := untouched(settings):
        steps = planning.from_nothing(new.declared()[0])
        show_status(new.name, new.aws, steps, Health({}, {}, [], []), as_json, settings.verbose)
        return 0
    with progress() as tell:
        session = open_session(settings, "status", tell)
        resources, _ = session.declared()
        steps = planning.plan(resources, session.run, session.rows(), foreign=True)
        read = health(session.run, resources)
    show_status(session.name, session.aws, steps, read, as_json, settings.verbose)
    return 1 if read.unread else 0
