"""`iotpipe down`: takes an environment down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.confirm import confirm
from iotpipe.cli.device_registry import ended
from iotpipe.cli.options import Settings
from iotpipe.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotpipe.cli.session import Session
    from iotpipe.devices.registry import Registry, Thing
    from iotpipe.provision.ledger import Row

    Enrolled = Mapping[Registry, Mapping[str, Thing]]


@click.command(epilog="Example:  iotpipe down --env dev --yes")
@options.on_aws
@click.option("--delete-data", is_flag=True, help="Also delete the tables with all their data.")
@click.option("--delete-devices", is_flag=True, help="First remove all devices and their certificates.")
@options.assume_yes
@options.parallel
@options.as_json
def down(settings: Settings, delete_data: bool, delete_devices: bool, yes: bool, parallel: int, as_json: bool) -> None:
    """Take an environment down; keeps the tables.

    Deletes, in reverse order of dependency, all recorded resources and all with the environment's tags. Asks first.
    Refuses while devices are enrolled, unless --delete-devices is given.
    """
    from iotpipe.cli.session import open_session, stoppable, untouched
    from iotpipe.operations.data_loss import lost
    from iotpipe.provision import teardown
    from iotpipe.render.progress import progress
    from iotpipe.render.teardown import show_lost, show_taken_down, show_teardown

    if new := untouched(settings):
        show_taken_down(new.name, teardown.TakenDown((), (), (), {}), (), as_json)
        return
    with progress() as tell:
        session = open_session(settings, "down", tell, declared=False)
        session.run.command += " --delete-data" * delete_data + " --delete-devices" * delete_devices
        with session.writing() as ledger, stoppable(session.stop):
            teardown.check_unprotected(session.name, ledger, session.protected)
            enrolled = _enrolled(session, ledger.rows)
            names = [device_id for things in enrolled.values() for device_id in things]
            if names and not delete_devices:
                raise _devices_are_enrolled(session.name, len(names))
            resources = session.declared()[0] if session.env else []
            cleared = ("iot-policy",) if names else ()
            looked = teardown.examine(session.run, ledger.rows, resources, delete_data, cleared)
            if looked.to_delete or looked.others:
                show_teardown(session.name, session.aws, looked, delete_data, len(names))
                show_lost(lost(session.run, looked.to_delete))
            looked.check()
            if looked.to_delete or names:
                confirm(yes, f"Take {session.name} down?")
            _remove(enrolled)
            done = teardown.down(session.run, ledger, looked, parallel)
        session.stop_engine()
    show_taken_down(session.name, done, names, as_json)


def _enrolled(session: Session, rows: Mapping[str, Row]) -> Enrolled:
    """The devices that are enrolled. An environment that never had any costs no call."""
    from iotpipe.devices import inventory
    from iotpipe.devices.registry import Registry
    from iotpipe.names import Names

    prefix = Names("").device_policy
    suffixes = {row.name.removeprefix(prefix) for row in rows.values() if row.kind == "iot-policy"}
    if session.env and session.env.devices.enabled:
        suffixes.add(session.env.suffix)
    registries = [Registry(session.run, Names(suffix)) for suffix in sorted(suffixes)]
    return {registry: things for registry in registries if (things := inventory.things(registry))}


def _devices_are_enrolled(name: str, number: int) -> RefusedError:
    which = f"{number} devices are" if number > 1 else "a device is"
    return RefusedError(
        f"refused, and nothing was changed: {which} enrolled in {name}, and could publish no more",
        f"`iotpipe device list --env {name}` lists them. `iotpipe down --env {name} --delete-devices` removes them and "
        "their certificates first",
    )


def _remove(enrolled: Enrolled) -> None:
    """Remove the devices. Raises Interrupted, and IotpipeError if one is left."""
    from iotpipe.devices.remove_many import remove_all
    from iotpipe.render import enrolment as render

    for registry, things in enrolled.items():
        with render.progress("devices removed") as tell:
            worked = remove_all(registry, things, tell)
        render.show_failed(worked)
        ended(worked)
