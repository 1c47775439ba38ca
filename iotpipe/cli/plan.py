"""`iotpipe plan`: shows what `up` would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.adopt import adoption_of
from iotpipe.cli.options import Settings
from iotpipe.render import output

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe plan --env prod --exit-code")
@options.on_aws
@options.verbose
@click.option("--exit-code", is_flag=True, help="Exit with 3 if there are changes or drift.")
@click.option("--strict", is_flag=True, help="Exit with 3 if there are changes, drift or foreign additions.")
@options.adopt
@options.as_json
def plan(settings: Settings, exit_code: bool, strict: bool, adopt: tuple[str, ...], as_json: bool) -> int:
    """Show what `up` would do; changes nothing.

    Lists every changed property; changes made outside iotpipe are marked as drift. What others added to the
    resources (a function URL, an open policy, a second consumer of the queue) is listed as foreign, most severe first.
    """
    from iotpipe.checks import preflight
    from iotpipe.cli.session import open_session, untouched
    from iotpipe.provision import plan as planning
    from iotpipe.render import console, doctor
    from iotpipe.render.plan import plan_data, show_plan
    from iotpipe.render.progress import progress

    if new := untouched(settings):
        steps = planning.from_nothing(new.declared()[0])
        if as_json:
            output.answer(plan_data(new.name, new.aws, steps))
        else:
            show_plan(new.name, new.aws, steps, settings.verbose, console.stdout())
        return 3 if exit_code or strict else 0
    with progress() as tell:
        session = open_session(settings, "plan", tell)
        resources, _ = session.declared()
        steps, findings = preflight.planned(
            resources,
            session.run,
            session.rows(),
            adoption_of(adopt, resources),
            protect=session.protected,
            foreign=True,
        )
    if as_json:
        output.answer(plan_data(session.name, session.aws, steps))
    else:
        show_plan(session.name, session.aws, steps, settings.verbose, console.stdout())
    doctor.show_untold(findings, console.stderr())
    steps.check()
    preflight.refuse(findings)
    return 3 if (exit_code or strict) and (steps.pending or (strict and steps.foreign)) else 0
