"""`iotpipe doctor`: finds what would prevent `up`, before anything is created."""

from __future__ import annotations

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings


@click.command(epilog="Example:  iotpipe doctor --env prod")
@options.on_aws
@options.as_json
def doctor(settings: Settings, as_json: bool) -> int:
    """Find what would prevent `up`, and what to do about it.

    Checks configuration, credentials and account, state file, permissions, available concurrency,
    API Gateway's logging role, runtime dates and package sizes; once the environment is up, also alarms without
    data. Changes nothing. Exits with 1 if there is a problem.
    """
    from iotpipe.checks.examine import examine
    from iotpipe.checks.finding import PROBLEM
    from iotpipe.cli.session import options_of, packaged
    from iotpipe.provision.run import RealClock
    from iotpipe.render.doctor import looking, show_report

    name = settings.environment
    with looking(name):
        aws, findings = examine(options_of(settings), packaged, RealClock())
    show_report(name, aws, findings, as_json)
    return 1 if any(each.result == PROBLEM for each in findings) else 0
