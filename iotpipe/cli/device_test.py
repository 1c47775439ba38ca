"""`iotpipe device test`: publishes one reading as a device, and follows it to its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iotpipe.cli import options
from iotpipe.cli.deployed_api import api_of, open_deployment
from iotpipe.cli.device_registry import endpoint_of, registry_of
from iotpipe.cli.options import Settings
from iotpipe.cli.sending import Sending
from iotpipe.errors import Interrupted, UsageError
from iotpipe.names import Names, recorded_suffix
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.devices.folder import Folder
    from iotpipe.readings.send_test_data import Result


@click.command("test", epilog="Example:  iotpipe device test roof --env prod")
@options.on_aws
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="devices",
    show_default=True,
    metavar="DIR",
    help="Folder of the devices' folders: the device's files are in DIR/NAME.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60,
    show_default=True,
    metavar="S",
    help="Seconds to wait until the reading is stored.",
)
@options.as_json
def test(settings: Settings, name: str, out: Path, timeout: float, as_json: bool) -> int:
    """Publish one reading as a device, and follow it to its rows.

    Connects with the files that `device add` wrote, and disconnects the device itself if it is connected meanwhile: a
    client id has one connection. The reading has the metric `test` and stays in the tables.
    """
    from iotpipe.devices.device_names import checked
    from iotpipe.devices.enrolment import in_use
    from iotpipe.devices.folder import Folder
    from iotpipe.readings import device_test
    from iotpipe.readings import send_test_data as readings
    from iotpipe.readings.mqtt_send import Publisher, outgoing
    from iotpipe.readings.mqtt_test_data import connection

    session, deployment = open_deployment(settings, "device test")
    names = Names(recorded_suffix(session.rows().values()))
    registry = registry_of(session, names)
    (device,) = checked(names, [name])
    folder = _complete(in_use(registry, Folder(out / name, device)), session.name)
    endpoint = endpoint_of(session, registry)
    api = api_of(session, deployment)
    sending = Sending(session, deployment, api, 1, 0, timeout, verifies=True, shows=not as_json)
    api.check()
    load = device_test.load(name, session.run)
    opened = {name: connection(device, folder, endpoint)}
    with Publisher(opened, names, session.run, patience=min(device_test.PATIENCE, timeout)) as publisher:
        result = readings.Result(publisher.send(outgoing(load.good, 1, ())))
    sending.verify(load, result)
    if as_json:
        output.answer(_answer(session.name, name, result))
    else:
        _show(name, result)
    return _end(result)


def _complete(folder: Folder, environment: str) -> Folder:
    """The folder. Raises UsageError if it lacks a file that the device connects with."""
    device_id = folder.device.device_id
    missing = [each.name for each in (folder.key_file, folder.certificate_file) if not each.exists()]
    if missing:
        raise UsageError(
            f"{folder.path} has no {' and no '.join(missing)}: nobody can connect as {device_id} without",
            f"Run it where `iotpipe device add {device_id} --env {environment}` was run, or name the folder with --out",
        )
    return folder


def _answer(environment: str, name: str, result: Result) -> dict[str, Any]:
    tally, findings = result.tally, result.findings
    problems = [f"{reading}: {reason}" for reading, reason in tally.refused + tally.failed]
    if findings:
        problems += [*findings.missing, *findings.doubled, *findings.different]
    return {
        "environment": environment,
        "device_id": name,
        "acknowledged_ms": round(1000 * tally.latencies[0], 1) if tally.accepted else None,
        "stored": bool(findings and findings.proven),
        "raw": findings.found["raw"] if findings else 0,
        "processed": findings.found["processed"] if findings else 0,
        "seconds": round(tally.seconds + (findings.seconds if findings else 0.0), 3),
        "problems": problems,
    }


def _show(name: str, result: Result) -> None:
    from iotpipe.render import send_test_data as render
    from iotpipe.render.console import stdout

    if result.tally.accepted:
        stdout().line(f"{name} published a reading; acknowledged after {1000 * result.tally.latencies[0]:.0f} ms")
    render.listed([f"{reading}: {reason}" for reading, reason in result.tally.refused + result.tally.failed])
    if result.findings:
        render.show_verified(result.findings, result.tally)


def _end(result: Result) -> int:
    if result.tally.interrupted:
        raise Interrupted("stopped: the reading may have been published")
    if result.tally.error:
        raise result.tally.error
    return 0 if result.findings and result.findings.proven else 1
