"""`iotpipe outputs`: prints endpoint, names and ARNs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe outputs --env dev --json | jq -r .ApiEndpoint")
@options.of_environment
@options.as_json
def outputs(settings: Settings, as_json: bool) -> None:
    """Print endpoint, names and ARNs.

    From the state file alone: it asks nothing of AWS.
    """
    from iotpipe.operations.outputs import nothing_recorded, recorded
    from iotpipe.provision import ledger
    from iotpipe.render.outputs import show_outputs

    name = settings.environment
    contents = ledger.read(ledger.path_of(settings.state_dir, name))
    if contents is None or not contents.rows:
        raise nothing_recorded(name)
    show_outputs(recorded(contents, settings.state_dir), as_json)
