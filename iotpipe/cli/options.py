"""The options that commands share, and how the environment is chosen when none is named."""

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
    """What was said on the command line, before or after the command's name."""

    config_dir: Path = Path("config")
    state_dir: Path = Path(".iotpipe")
    verbose: bool = False
    env: str | None = None
    profile: str | None = None
    region: str | None = None
    said: set[str] = field(default_factory=set)
    """The options that somebody has given."""

    @property
    def environment(self) -> str:
        """The environment that is meant. Raises UsageError where that is anybody's guess."""
        self.refuse_below_a_project()
        if self.env:
            return self.env
        if self.env is not None:
            # As from `--env "$STAGE"` where nobody has set STAGE.
            raise UsageError("--env is empty", "Name an environment, or leave it out")
        from iotpipe.provision.ledger import with_state

        found = with_state(self.state_dir)
        if len(found) > 1:
            raise UsageError(f"several environments are up: {', '.join(found)}", "Name one with --env or IOTPIPE_ENV")
        return found[0] if found else "local"

    def refuse_below_a_project(self) -> None:
        """Raise UsageError in a directory that has nothing of iotpipe's, where one above it has an environment.

        It is not gone up to by itself, as git does: who begins something new under a home directory in which there
        is an environment would change that one.
        """
        if {"state_dir", "config_dir"} & self.said or self.state_dir.exists() or self.config_dir.exists():
            return
        try:
            here = Path.cwd()
        except OSError:  # somebody has deleted it
            return
        for above in here.parents:
            if names := _environments_in(above / self.state_dir):
                raise UsageError(
                    f"{here} has no {self.state_dir} and no {self.config_dir}, but {above} has: {', '.join(names)}",
                    f"Run it there: `cd {shlex.quote(str(above))}`. Or say --state-dir {self.state_dir}: that begins "
                    "something of its own here",
                )


def _environments_in(state_dir: Path) -> list[str]:
    """What is up in a directory of this user's own: its environments, or an embedded AWS that runs without any."""
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
    # A file may be called anything, and the shell shows what it is told.
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
    """The options of the group itself."""
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
    """A command about one environment that needs no AWS: gets the settings as its first argument."""

    def wrapped(context: click.Context, /, **arguments: Any) -> Any:
        return command(context.find_root().ensure_object(Settings), **arguments)

    return named(functools.update_wrapper(click.pass_context(wrapped), command))


def on_aws(command: Command) -> Command:
    """A command about one environment that talks to AWS."""
    return _PROFILE(_REGION(of_environment(command)))


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
ALL = "all"
"""What `--adopt` says without an address."""

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
