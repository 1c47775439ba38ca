"""`iotpipe devices`: lists the devices that have sent readings."""

from __future__ import annotations

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.render import output


@click.command(epilog="Example:  iotpipe devices --env prod")
@options.on_aws
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV on stdout.")
@options.as_json
def devices(settings: Settings, as_csv: bool, as_json: bool) -> None:
    """List the devices with processed readings, through the API.

    Shows when each was last seen, by the time of its latest reading, and the values of that reading.
    """
    from iotpipe.readings import devices
    from iotpipe.render.devices import as_csv_text, as_json_text, as_table

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", "Use one of them")
    session, deployment = open_deployment(settings, "devices")
    found = devices.devices(api_of(session, deployment))
    now = int(session.run.clock.now() * 1000)
    if as_json:
        output.document(f"{as_json_text(found, now)}\n")
    elif as_csv:
        output.document(as_csv_text(found))
    elif found:
        for line in as_table(found, now):
            output.say(line)
    else:
        output.note("no device has sent readings yet")
