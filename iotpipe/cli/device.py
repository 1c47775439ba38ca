"""`iotpipe device`: enrols devices that publish over MQTT, and manages their certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.device_list import list_, show
from iotpipe.cli.device_registry import ended, endpoint_of, open_registry, working
from iotpipe.cli.device_remove import remove, revoke
from iotpipe.cli.device_rotate import rotate
from iotpipe.cli.device_test import test
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.devices.table import Row
    from iotpipe.names import Names

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(epilog="Example:  iotpipe device add roof --env prod")
@options.named
def device() -> None:
    """Enrol devices for MQTT, and manage their certificates."""


for command in (list_, show, rotate, revoke, remove):
    device.add_command(command)


@device.command(epilog="Example:  iotpipe device add --from devices.csv --env prod")
@options.on_aws
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--from", "table", type=_FILE, metavar="FILE", help="Enrol the devices of a CSV file: columns device_id and csr."
)
@options.csr
@options.out
@options.as_json
def add(
    settings: Settings, names: tuple[str, ...], table: Path | None, csr: Path | None, out: Path, as_json: bool
) -> int:
    """Enrol devices: a key, a certificate, and what they need to publish.

    Writes private.key, certificate.pem, ca.pem and examples for mosquitto, paho and the AWS IoT SDK into a folder for
    each device. Run it again after an interruption: it continues. The column csr of --from is optional.
    """
    from iotpipe.devices.enrol_many import enrol_all
    from iotpipe.render import enrolment as render
    from iotpipe.render.progress import progress

    if bool(names) == bool(table):
        raise UsageError("name the devices to enrol, or give --from FILE", "Use one of the two")
    if csr and len(names) != 1:
        raise UsageError("--csr goes with one NAME", "A file for --from names the requests in its column csr")
    with progress() as tell:
        session, registry = open_registry(settings, "device add", tell)
        rows = _rows(registry.names, names, table, csr)
        endpoint = endpoint_of(session, registry)
    with working(session, len(rows), "finished") as finished:
        worked = enrol_all(registry, rows, out, endpoint, finished)
    if as_json:
        output.answer(render.enrolled(session.name, endpoint, worked))
    else:
        render.show_enrolled(session.name, endpoint, worked)
    return ended(worked)


def _rows(names: Names, device_ids: tuple[str, ...], table: Path | None, csr: Path | None) -> list[Row]:
    """The devices to enrol. Raises UsageError with everything that is wrong with them."""
    from iotpipe.devices import device_names, keys
    from iotpipe.devices.table import Row, read

    if table:
        return read(table, names)
    found = device_names.checked(names, device_ids)
    return [Row(each, keys.read_request(csr, each.thing) if csr else None) for each in found]


device.add_command(test)
