"""`iotpipe up`: creates or updates every resource."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.adopt import adoption_of
from iotpipe.cli.confirm import confirm
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpipe.cli.session import Session
    from iotpipe.provision.plan import Plan


@click.command(epilog="Example:  iotpipe up --env dev")
@options.on_aws
@options.verbose
@click.option("--strict", is_flag=True, help="Also remove foreign additions.")
@options.adopt
@options.assume_yes
@options.parallel
@options.as_json
def up(settings: Settings, strict: bool, adopt: tuple[str, ...], yes: bool, parallel: int, as_json: bool) -> None:
    """Create or update every resource.

    Idempotent. Asks only before it deletes something, removes policies of an adopted role, or recreates a deleted table
    or key. Run it again after any failure: it continues from there.
    """
    from iotpipe.checks import preflight
    from iotpipe.cli.session import open_session, stoppable
    from iotpipe.operations.outputs import outputs
    from iotpipe.provision import apply
    from iotpipe.render import console, doctor, output
    from iotpipe.render.outputs import show_outputs
    from iotpipe.render.plan import show_plan
    from iotpipe.render.progress import progress

    with progress() as tell:
        session = open_session(settings, "up", tell)
        assert session.env is not None
        session.run.command += " --strict" * strict + "".join(f" {_typed(each)}" for each in adopt)
        with session.writing() as ledger, stoppable(session.stop):
            resources, built = session.declared()
            adopted = adoption_of(adopt, resources)
            if strict and adopted.limited:
                hint = "Run `up --strict` when everything is adopted, or together with `--adopt` without an address"
                raise UsageError("what is not adopted yet may need what --strict removes", hint)
            steps, findings = preflight.planned(
                *(resources, session.run, ledger.rows, adopted),
                protect=session.protected,
                # Adopted resources may have undeclared ones inside.
                foreign=strict or bool(adopt),
            )
            show_plan(session.name, session.aws, steps, settings.verbose, console.stderr())
            doctor.show_untold(findings, console.stderr())
            steps.check()
            preflight.refuse(findings)
            _ask(session, steps, strict, yes)
            session.make_ready(built, steps)
            ledger.protect(session.env.protect)
            apply.up(resources, steps, session.run, ledger, parallel=parallel, adopt=adopted, strict=strict)
            found = outputs(session.aws.account, session.aws.region, ledger.rows, session.endpoint)
            notes = list(_about_devices(session, steps))
    for each in notes:
        output.note(each)
    show_outputs(found, as_json)


def _ask(session: Session, steps: Plan, strict: bool, yes: bool) -> None:
    """Ask for each kind of step that removes something or makes it anew. Raises RefusedError where the user says no."""
    from iotpipe.operations.data_loss import lost
    from iotpipe.render.plan import show_vanished
    from iotpipe.render.teardown import show_lost

    if steps.deletions:
        show_lost(lost(session.run, [step.address for step in steps.deletions]))
        confirm(yes, f"Delete {len(steps.deletions)} resources of {session.name} that are not declared?")
    if steps.removed_by_update:
        show_lost(steps.removed_by_update)
        confirm(yes, f"Take these {len(steps.removed_by_update)} policies off the roles that are adopted?")
    if steps.vanished:
        show_vanished(session.run, steps)
        confirm(yes, f"Recreate {', '.join(step.address for step in steps.vanished)}?")
    if steps.removable and strict:
        confirm(yes, f"Remove the {len(steps.removable)} foreign additions?")


def _about_devices(session: Session, steps: Plan) -> Iterator[str]:
    """What to know about the way in over MQTT, of which a new topic rule is tested."""
    from iotpipe.operations import device_self_test

    if any(step.kind.kind == "iot-policy" and step.action == "update" for step in steps.steps):
        yield "AWS IoT takes some minutes until the changed policy is in force for every device"
    assert session.env is not None
    if not device_self_test.new_rule(steps.steps):
        return
    if problem := device_self_test.test(session.run, session.env.suffix):
        yield (
            f"The way in over MQTT may not work: {problem}. `iotpipe logs --function ingestion --env {session.name}` "
            f"and `iotpipe status --env {session.name}` show more; `iotpipe device test` tests it again"
        )


def _typed(adopted: str) -> str:
    return "--adopt" if adopted == options.ALL else f"--adopt {shlex.quote(adopted)}"
