"""`iotpipe local`: the embedded AWS that environments with `target: local` live in."""

from __future__ import annotations

import sys
from typing import Any

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import UsageError
from iotpipe.render import output
from iotpipe.render.terminals import terminal


@click.group(epilog="Example:  iotpipe local start")
@options.named
def local() -> None:
    """Run an embedded AWS on this machine.

    Environments with `target: local` use it. It runs in the background, keeps its data over a restart, and
    accepts only programs of this machine that have its key. `up` starts it, `down` stops it.
    """


@local.command(epilog="Example:  iotpipe local start --json")
@options.of_environment
@options.as_json
def start(settings: Settings, as_json: bool) -> None:
    """Start it with the data that it kept.

    Does nothing if it runs.
    """
    from iotpipe.local import engine_directory, launcher

    settings.refuse_below_a_project()
    record = launcher.start(engine_directory.at(settings.state_dir), lambda text: output.note(f"{text}."))
    _answer({"endpoint": record.endpoint, "mqtt": record.mqtt, "pid": record.pid, "since": record.since}, as_json)


@local.command(epilog="Example:  iotpipe local stop")
@options.of_environment
@options.as_json
def stop(settings: Settings, as_json: bool) -> None:
    """Stop it; its data is kept."""
    from iotpipe.local import engine_directory, launcher

    settings.refuse_below_a_project()
    stopped = launcher.stop(engine_directory.at(settings.state_dir))
    if as_json:
        output.answer({"stopped": stopped is not None})
    else:
        output.note("stopped; its data is kept" if stopped else "it was not running")


@local.command(epilog="Example:  iotpipe local status --json")
@options.of_environment
@options.as_json
def status(settings: Settings, as_json: bool) -> None:
    """Show whether it runs, its URL, its MQTT address, since when, and the size of its data."""
    from iotpipe.local import engine_directory, launcher

    settings.refuse_below_a_project()
    _answer(launcher.status(engine_directory.at(settings.state_dir)), as_json)


@local.command(epilog="Example:  iotpipe local reset --yes")
@options.of_environment
@options.assume_yes
@options.as_json
def reset(settings: Settings, yes: bool, as_json: bool) -> None:
    """Stop it and delete everything in it.

    Asks first. Also use it if its data is damaged. Deletes the state files of its environments too.
    """
    from iotpipe.local import engine_directory, launcher

    settings.refuse_below_a_project()
    engine = engine_directory.at(settings.state_dir)
    if not yes:
        if not (terminal(sys.stdin) and terminal(sys.stderr)):
            raise UsageError("confirmation needs a terminal; nothing was changed", "Pass --yes to go ahead")
        if not output.ask(f"Delete everything in {engine.path}?"):
            raise UsageError("not confirmed; nothing was changed")
    left = launcher.reset(engine)
    launcher.delete_state_files(settings.state_dir)
    if as_json:
        output.answer({"emptied": str(engine.path), "kept": left})
        return
    output.note("the embedded AWS is empty")
    if left:
        output.note(f"kept in {engine.path}, since iotpipe did not make it: {', '.join(left)}")


def _answer(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.answer(found)
        return
    for name, value in found.items():
        if value != "":
            output.say(f"{name.replace('_', ' '):<12}{_said(value)}")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
