"""`iotpipe down`: takes an environment down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.confirm import confirm
from iotpipe.cli.options import Settings

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe down --env dev --yes")
@options.on_aws
@click.option("--delete-data", is_flag=True, help="Also delete the tables with all their data.")
@options.assume_yes
@options.parallel
@options.as_json
def down(settings: Settings, delete_data: bool, yes: bool, parallel: int, as_json: bool) -> None:
    """Take an environment down; keeps the tables.

    Deletes, in reverse order of dependency, all recorded resources and all with the environment's tags. Asks first.
    """
    from iotpipe.cli.session import open_session, stoppable, untouched
    from iotpipe.operations.data_loss import lost
    from iotpipe.provision import teardown
    from iotpipe.render.progress import progress
    from iotpipe.render.teardown import show_lost, show_taken_down, show_teardown

    if new := untouched(settings):
        show_taken_down(new.name, teardown.TakenDown((), (), (), {}), as_json)
        return
    with progress() as tell:
        session = open_session(settings, "down", tell, declared=False)
        session.run.command += " --delete-data" * delete_data
        with session.writing() as ledger, stoppable(session.stop):
            teardown.check_unprotected(session.name, ledger, session.protected)
            resources = session.declared()[0] if session.env else []
            looked = teardown.examine(session.run, ledger.rows, resources, delete_data)
            if looked.to_delete or looked.others:
                show_teardown(session.name, session.aws, looked, delete_data)
                show_lost(lost(session.run, looked.to_delete))
            looked.check()
            if looked.to_delete:
                confirm(yes, f"Take {session.name} down?")
            done = teardown.down(session.run, ledger, looked, parallel)
        session.stop_engine()
    show_taken_down(session.name, done, as_json)
