"""`iotpipe device list` and `iotpipe device show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of
from iotpipe.cli.device_registry import open_registry
from iotpipe.cli.options import Settings
from iotpipe.errors import IotpipeError
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.readings.api_client import Api


@click.command("list", epilog="Example:  iotpipe device list --env prod")
@options.on_aws
@options.as_json
def list_(settings: Settings, as_json: bool) -> None:
    """List the enrolled devices and their certificates.

    Shows the status of each device's certificates, the age of the newest, and the time of its last reading, which the
    API knows. `iotpipe devices` lists the devices that have sent readings, also over HTTP.
    """
    from iotpipe.devices import inventory
    from iotpipe.readings import devices
    from iotpipe.render import device_list as render
    from iotpipe.render.progress import progress

    with progress() as tell:
        session, registry = open_registry(settings, "device list", tell)
        listed = inventory.listing(registry)
        seen: dict[str, int] = {}
        if listed:
            try:
                seen = {each.device_id: each.last_seen for each in devices.devices(_api(session))}
            except IotpipeError as error:
                output.note(f"the last readings are not known: {error.message}")
    now = int(session.run.clock.now() * 1000)
    if as_json:
        output.answer({"environment": session.name, **render.listed(listed, seen)})
    elif listed:
        for line in render.listed_table(listed, seen, now):
            output.say(line)
    else:
        output.note(f"no device is enrolled: `iotpipe device add NAME --env {session.name}` enrols one")


@click.command(epilog="Example:  iotpipe device show roof --env prod")
@options.on_aws
@click.argument("name")
@options.as_json
def show(settings: Settings, name: str, as_json: bool) -> None:
    """Show a device: certificates, connection, last reading."""
    from iotpipe.devices import device_names, inventory
    from iotpipe.readings import stored_rows
    from iotpipe.readings.query import fetch_rows
    from iotpipe.render import device_list as render
    from iotpipe.render.progress import progress

    with progress() as tell:
        session, registry = open_registry(settings, "device show", tell)
        device = device_names.checked(registry.names, [name])[0]
        details = inventory.details(registry, device)
        seen = None
        try:
            rows, _ = fetch_rows(_api(session), {"device_id": name, "order": "desc"}, 1)
            seen = stored_rows.timestamp(rows[0]) if rows else None
        except IotpipeError as error:
            output.note(f"the last reading is not known: {error.message}")
    if as_json:
        output.answer({"environment": session.name, **render.shown(details, seen)})
        return
    for line in render.shown_text(details, seen, int(session.run.clock.now() * 1000)):
        output.say(line)


def _api(session: Session) -> Api:
    """The API of the environment. Raises UsageError if it is only partly up."""
    from iotpipe.operations.outputs import outputs
    from iotpipe.readings.deployment import deployment

    recorded = session.rows()
    found = outputs(session.aws.account, session.aws.region, recorded, session.endpoint)
    api = api_of(session, deployment(session.name, found, recorded))
    # What AWS IoT knows is shown without the API as well, and must not wait long for it.
    api.attempts = 2
    return api
