"""`iotpipe device revoke` and `iotpipe device remove`."""

from __future__ import annotations

import click

from iotpipe.cli import options
from iotpipe.cli.confirm import confirm
from iotpipe.cli.device_registry import ended, open_registry, working
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.render import output


@click.command(epilog="Example:  iotpipe device revoke roof --env prod")
@options.on_aws
@click.argument("name")
@options.as_json
def revoke(settings: Settings, name: str, as_json: bool) -> None:
    """Revoke a device's certificates and disconnect it.

    It cannot connect again, unless `iotpipe device rotate` gives it another certificate. Messages that were accepted
    before are still in the queue, and are stored.
    """
    from iotpipe.devices import device_names, removal
    from iotpipe.render.progress import progress

    with progress() as tell:
        session, registry = open_registry(settings, "device revoke", tell)
        device = device_names.checked(registry.names, [name])[0]
        done = removal.revoke(registry, device)
    if as_json:
        revoked = {"device_id": device.device_id, "thing": device.thing, "revoked": list(done.certificates)}
        output.answer({"environment": session.name, **revoked})
    elif done.certificates:
        output.say(f"{name} is revoked and disconnected: {len(done.certificates)} certificates")
        output.note("messages that were accepted before are in the queue, and are still stored")
    else:
        output.say(f"{name} has no active certificate, and is disconnected")


@click.command(epilog="Example:  iotpipe device remove roof --env prod")
@options.on_aws
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Remove every device of the environment.")
@options.assume_yes
@options.as_json
def remove(settings: Settings, names: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> int:
    """Remove devices: their certificates and their things.

    Asks first. The devices are disconnected; the files in their folders and the stored readings stay.
    """
    from iotpipe.devices import device_names, inventory
    from iotpipe.devices.remove_many import remove_all
    from iotpipe.render import enrolment as render
    from iotpipe.render.progress import progress

    if bool(names) == everything:
        raise UsageError("name the devices to remove, or give --all", "Use one of the two")
    with progress() as tell:
        session, registry = open_registry(settings, "device remove", tell)
        devices = device_names.checked(registry.names, names)
        listed = inventory.things(registry) if everything else inventory.named(registry, devices)
    if listed:
        which = f"{len(listed)} devices" if len(listed) > 1 else next(iter(listed))
        confirm(yes, f"Remove {which} of {session.name} with all certificates?")
    with working(session, len(listed), "removed") as finished:
        worked = remove_all(registry, listed, finished)
    absent = [each.device_id for each in devices if each.device_id not in listed]
    if as_json:
        output.answer(render.removed(session.name, worked, absent))
    else:
        render.show_removed(session.name, worked, absent)
    return ended(worked)
