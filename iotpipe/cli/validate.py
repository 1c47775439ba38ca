"""`iotpipe validate`: checks a configuration without AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.render import output

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe validate --env prod")
@options.of_environment
@options.as_json
def validate(settings: Settings, as_json: bool) -> int:
    """Check a configuration without AWS.

    Reports all problems at once, with file, line, key and remedy.
    """
    from iotpipe.configuration import load
    from iotpipe.errors import ConfigurationError
    from iotpipe.render.configuration import problems

    name = settings.environment
    try:
        load(name, settings.config_dir)
    except ConfigurationError as error:
        if not as_json:
            raise
        output.answer(problems(name, error.problems))
        return error.exit_code
    if as_json:
        output.answer(problems(name, ()))
    else:
        output.say(f"{name}: the configuration is valid")
    return 0
