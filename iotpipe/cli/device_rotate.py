"""`iotpipe device rotate`: replaces a device's certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.device_registry import endpoint_of, open_registry
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.devices.registry import Certificate


@click.command(epilog="Example:  iotpipe device rotate roof --env prod")
@options.on_aws
@click.argument("name")
@click.option("--finish", is_flag=True, help="Delete the old certificate, once the device uses the new one.")
@click.option("--force", is_flag=True, help="With --finish: also if the device has not used the new one.")
@options.csr
@options.out
@options.as_json
def rotate(
    settings: Settings, name: str, finish: bool, force: bool, csr: Path | None, out: Path, as_json: bool
) -> None:
    """Replace a device's certificate.

    Writes the files of a second one into DIR/NAME/rotation-1. Both work until you have installed them and run
    --finish, which deletes the old one.
    """
    from iotpipe.devices import device_names, keys, rotation
    from iotpipe.operations.certificate_use import was_used
    from iotpipe.render import rotation as render
    from iotpipe.render.progress import progress

    if finish and csr:
        raise UsageError("--csr is for the new certificate, --finish deletes the old one", "Use one of the two")
    if force and not finish:
        raise UsageError("--force goes with --finish")
    with progress() as tell:
        session, registry = open_registry(settings, "device rotate", tell)
        device = device_names.checked(registry.names, [name])[0]

        def used(certificate: Certificate) -> bool:
            since = int(certificate.created.timestamp() * 1000)
            return force or was_used(session.run, registry.names.suffix, certificate.certificate_id, since)

        if finish:
            finished = rotation.finish(registry, device, used)
        else:
            given = keys.read_request(csr, device.thing) if csr else None
            rotated = rotation.rotate(registry, device, out / name, endpoint_of(session, registry), given)
    if finish:
        answer, text = render.finished(finished), render.finished_text(finished)
    else:
        answer, text = render.rotated(rotated), render.rotated_text(rotated, session.name)
    if as_json:
        output.answer({"environment": session.name, **answer})
        return
    for line in text:
        output.say(line)
