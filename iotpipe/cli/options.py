"""The options that commands share, and the default environment."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from iotpipe.errors import UsageError

Command = Callable[..., Any]


@dataclass
class Settings:
    """The shared options, given before or after the command's name."""

    config_dir: Path = Path("config")
    state_dir: Path = Path(".iotpipe")
    verbose: bool = False
    env: str | None = None
    profile: str | None = None
    region: str | None = None
    said: set[str] = field(default_factory=set)
    """The options that were given on the command line or by environment variables."""

    @property
    def environment(self) -> str:
        """The chosen environment: --env, or the only deployed one, or `local`. Raises UsageError if it is ambiguous."""
        self.refuse_below_a_project()
        if self.env:
            return self.env
        if self.env is not None:
            # For example `--env "$STAGE"` with STAGE unset.
            raise UsageError("--env is empty", "Name an environment, or leave it out")
        from iotpipe.provision.ledger import with_state

        found = with_state(self.state_dir)
        if len(found) > 1:
            raise UsageError(f"several environments are up: {', '.join(found)}", "Name one with --env or IOTPIPE_ENV")
        return found[0] if found else "local"

    def refuse_below_a_project(self) -> None:
        """Raise UsageError in a directory without iotpipe's files if a parent directory has an environment.

        iotpipe does not use the parent's, as git does: a new project below a home directory that has an environment
        would change that one.
        """
        if {"state_dir", "config_dir"} & self.said or self.state_dir.exists() or self.config_dir.exists():
            return
        try:
            here = Path.cwd()
        except OSError:  # the current directory was deleted
            return
        for above in here.parents:
            if names := _environments_in(above / self.state_dir):
                raise UsageError(
                    f"{here} has no {self.state_dir} and no {self.config_dir}, but {above} has: {', '.join(names)}",
                    f"Run it there: `cd {shlex.quote(str(above))}`. Or say --state-dir {self.state_dir}: that begins "
                    "something of its own here",
                )


def _environments_in(state_dir: Path) -> list[str]:
    """The deployed environments of a state directory that this user owns, or its running embedded AWS."""
    from iotpipe.local import engine_directory
    from iotpipe.provision.ledger import with_state

    try:
        if state_dir.stat().st_uid != os.getuid():
            return []
    except OSError:
        return []
    return with_state(state_dir) or (["an embedded AWS"] if engine_directory.at(state_dir).alive() else [])


def _environments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from iotpipe.configuration.formats import NAME

    directory = context.find_root().ensure_object(Settings).config_dir
    names = {path.stem for path in directory.glob("*.yaml")} | {"local"}
    # File names are arbitrary, and the shell prints completions unescaped.
    return sorted(name for name in names if NAME.matches(name) and name.startswith(incomplete))


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember an option that was given; the one closer to the command wins."""
    settings = context.find_root().ensure_object(Settings)
    given = context.get_parameter_source(str(parameter.name)) is not click.core.ParameterSource.DEFAULT
    if given:
        settings.said.add(str(parameter.name))
    if given or context.parent is None:
        setattr(settings, str(parameter.name), value)


def _option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, expose_value=False, callback=_keep, **attributes)


named = _option("--env", envvar="IOTPIPE_ENV", metavar="NAME", shell_complete=_environments, help="The environment.")
_PROFILE = _option("--profile", metavar="NAME", help="AWS profile, instead of AWS_PROFILE.")
_REGION = _option("--region", metavar="NAME", help="AWS region, instead of the configuration's or AWS_REGION.")
verbose = _option("--verbose", "-v", is_flag=True, help="Show every property (plan, up), every resource (status).")
_PLACE = click.Path(file_okay=False, path_type=Path)


def everywhere(command: Command) -> Command:
    """Add the options of the group itself."""
    for option in (
        verbose,
        _REGION,
        _PROFILE,
        named,
        _option(
            "--state-dir",
            envvar="IOTPIPE_STATE_DIR",
            type=_PLACE,
            default=".iotpipe",
            show_default=True,
            help="Directory of the state files.",
        ),
        _option(
            "--config-dir", type=_PLACE, default="config", show_default=True, help="Directory of the configurations."
        ),
    ):
        command = option(command)
    return command


def of_environment(command: Command) -> Command:
    """Decorate a command about one environment that does not call AWS; it gets the settings as first argument."""

    def wrapped(context: click.Context, /, **arguments: Any) -> Any:
        return command(context.find_root().ensure_object(Settings), **arguments)

    return named(functools.update_wrapper(click.pass_context(wrapped), command))


def on_aws(command: Command) -> Command:
    """Decorate a command about one environment that calls AWS."""
    return _PROFILE(_REGION(of_environment(command)))


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
ALL = "all"
"""The value of `--adopt` without an address."""

adopt = click.option(
    "--adopt",
    multiple=True,
    is_flag=False,
    flag_value=ALL,
    metavar="[ADDRESS[=ID]]",
    help="Adopt existing resources that match by name but lack an environment's tags: all, or only the resource "
    "ADDRESS; with =ID the REST API of this id. May be given several times.",
)
assume_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
parallel = click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=16,
    show_default=True,
    help="Number of resources processed in parallel.",
)
csr = click.option(
    "--csr",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificate request of the device, whose key then stays on the device.",
)
out = click.option(
    "--out",
    type=_PLACE,
    default="devices",
    show_default=True,
    metavar="DIR",
    help="Folder of the devices' folders: a device's files are in DIR/NAME.",
)
