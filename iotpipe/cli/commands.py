"""The commands, each a few lines: open a session, call, render."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iotpipe import output
from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import IotpipeError, RefusedError, UsageError
from iotpipe.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.provision.adoption import Adoption
    from iotpipe.provision.resource import Resource


@click.command(epilog="Example:  iotpipe init && $EDITOR config/dev.yaml")
@options.of_environment
@options.as_json
def init(settings: Settings, as_json: bool) -> None:
    """Write starter configurations.

    Never over files that are there.
    """
    from iotpipe.configuration import starter_files

    found: dict[str, list[str]] = {"wrote": [], "kept": []}
    try:
        settings.config_dir.mkdir(parents=True, exist_ok=True)
        for name, text in starter_files().items():
            path = settings.config_dir / name
            done = "wrote" if _written(path, text) else "kept"
            found[done].append(str(path))
            if not as_json:
                output.note(f"{done:<5}  {path}")
    except OSError as error:
        hint = "Name another directory with --config-dir"
        raise IotpipeError(f"cannot write to {settings.config_dir}: {error}", hint) from error
    if as_json:
        output.answer(found)


def _written(path: Path, text: str) -> bool:
    """Whether there was no such file yet. It is whole or, where that fails, not there."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
    return True


@click.command(epilog="Example:  iotpipe validate --env prod")
@options.of_environment
@options.as_json
def validate(settings: Settings, as_json: bool) -> int:
    """Check a configuration without AWS.

    Every problem at once, with file, line, key and what to do.
    """
    from iotpipe import rendering
    from iotpipe.configuration import load
    from iotpipe.errors import ConfigurationError

    name = settings.environment
    try:
        load(name, settings.config_dir)
    except ConfigurationError as error:
        if not as_json:
            raise
        output.answer(rendering.problems(name, error.problems))
        return error.exit_code
    if as_json:
        output.answer(rendering.problems(name, ()))
    else:
        output.say(f"{name}: the configuration is valid")
    return 0


@click.command(epilog="Example:  iotpipe plan --env prod --exit-code")
@options.on_aws
@options.verbose
@click.option("--exit-code", is_flag=True, help="Exit with 3 if there are changes or drift.")
@click.option("--strict", is_flag=True, help="Exit with 3 if there are changes, drift or foreign additions.")
@options.adopt
@options.as_json
def plan(settings: Settings, exit_code: bool, strict: bool, adopt: tuple[str, ...], as_json: bool) -> int:
    """Show what `up` would do; changes nothing.

    Property by property; what somebody else changed since the last `up` is marked as drift. What others added to the
    resources (a function URL, an open policy, a second consumer of the queue) is listed as foreign, worst first.
    """
    from iotpipe import console, rendering
    from iotpipe.cli.session import open_session, untouched
    from iotpipe.doctor import preflight, report
    from iotpipe.provision import plan as planning

    if new := untouched(settings):
        steps = planning.from_nothing(new.declared()[0])
        if as_json:
            output.answer(rendering.plan_data(new.name, new.aws, steps))
        else:
            rendering.show_plan(new.name, new.aws, steps, settings.verbose, console.stdout())
        return 3 if exit_code or strict else 0
    with rendering.progress() as tell:
        session = open_session(settings, "plan", tell)
        resources, _ = session.declared()
        steps, findings = preflight.planned(
            resources, session.run, session.rows(), _adoption(adopt, resources), protect=session.protected, foreign=True
        )
    if as_json:
        output.answer(rendering.plan_data(session.name, session.aws, steps))
    else:
        rendering.show_plan(session.name, session.aws, steps, settings.verbose, console.stdout())
    report.show_untold(findings, console.stderr())
    steps.check()
    preflight.refuse(findings)
    return 3 if (exit_code or strict) and (steps.pending or (strict and steps.foreign)) else 0


@click.command(epilog="Example:  iotpipe up --env dev")
@options.on_aws
@options.verbose
@click.option("--strict", is_flag=True, help="Also remove what others added to the resources.")
@options.adopt
@options.assume_yes
@options.parallel
@options.as_json
def up(settings: Settings, strict: bool, adopt: tuple[str, ...], yes: bool, parallel: int, as_json: bool) -> None:
    """Create or update every resource.

    Asks only before it deletes something, takes policies off a role that it adopts, or makes a deleted table or key
    anew. Run it again after any failure: it goes on from there.
    """
    from iotpipe import console, rendering
    from iotpipe.cli.session import open_session, stoppable
    from iotpipe.doctor import preflight, report
    from iotpipe.outputs import outputs
    from iotpipe.provision import apply
    from iotpipe.watching.losses import lost

    with rendering.progress() as tell:
        session = open_session(settings, "up", tell)
        assert session.env is not None
        session.run.command += " --strict" * strict + "".join(f" {_typed(each)}" for each in adopt)
        with session.writing() as ledger, stoppable(session.stop):
            resources, built = session.declared()
            adopted = _adoption(adopt, resources)
            if strict and adopted.limited:
                hint = "Run `up --strict` when everything is adopted, or together with `--adopt` without an address"
                raise UsageError("what is not adopted yet may need what --strict removes", hint)
            steps, findings = preflight.planned(
                *(resources, session.run, ledger.rows, adopted),
                protect=session.protected,
                # What is adopted may bring along what nobody declared.
                foreign=strict or bool(adopt),
            )
            rendering.show_plan(session.name, session.aws, steps, settings.verbose, console.stderr())
            report.show_untold(findings, console.stderr())
            steps.check()
            preflight.refuse(findings)
            if steps.deletions:
                rendering.show_lost(lost(session.run, [step.address for step in steps.deletions]))
                confirm(yes, f"Delete {len(steps.deletions)} resources of {session.name} that are not declared?")
            if steps.taken_off:
                rendering.show_lost(steps.taken_off)
                confirm(yes, f"Take these {len(steps.taken_off)} policies off the roles that are adopted?")
            if steps.vanished:
                rendering.show_vanished(session.run, steps)
                confirm(yes, f"Make {', '.join(step.address for step in steps.vanished)} anew?")
            if steps.removable and strict:
                confirm(yes, f"Remove the {len(steps.removable)} foreign additions?")
            session.make_ready(built, steps)
            ledger.protect(session.env.protect)
            apply.up(resources, steps, session.run, ledger, parallel=parallel, adopt=adopted, strict=strict)
            found = outputs(session.aws.account, session.aws.region, ledger.rows, session.endpoint)
    rendering.show_outputs(found, as_json)


def _adoption(said: tuple[str, ...], resources: Sequence[Resource]) -> Adoption:
    """What `--adopt` says. Raises UsageError for an address that is not declared."""
    from iotpipe.provision.adoption import adoption

    return adoption(options.ALL in said, [each for each in said if each != options.ALL], resources)


def _typed(adopted: str) -> str:
    return "--adopt" if adopted == options.ALL else f"--adopt {shlex.quote(adopted)}"


@click.command(epilog="Example:  iotpipe down --env dev --yes")
@options.on_aws
@click.option("--delete-data", is_flag=True, help="Delete the tables too, with everything in them.")
@options.assume_yes
@options.parallel
@options.as_json
def down(settings: Settings, delete_data: bool, yes: bool, parallel: int, as_json: bool) -> None:
    """Take an environment down; keeps the tables.

    In reverse order: all that the state file records and all that bears the environment's tags. Asks first.
    """
    from iotpipe import rendering
    from iotpipe.cli.session import open_session, stoppable, untouched
    from iotpipe.provision import teardown
    from iotpipe.watching.losses import lost

    if new := untouched(settings):
        rendering.show_taken_down(new.name, teardown.TakenDown((), (), (), {}), as_json)
        return
    with rendering.progress() as tell:
        session = open_session(settings, "down", tell, declared=False)
        session.run.command += " --delete-data" * delete_data
        with session.writing() as ledger, stoppable(session.stop):
            if ledger.protected or (session.env and session.env.protect):
                hint = f"Set `protect: false` in its configuration and run `iotpipe up --env {session.name}` first"
                raise RefusedError(f"{session.name} is protected", hint)
            resources = session.declared()[0] if session.env else []
            looked = teardown.examine(session.run, ledger.rows, resources, delete_data)
            if looked.doomed or looked.others:
                rendering.show_teardown(session.name, session.aws, looked, delete_data)
                rendering.show_lost(lost(session.run, looked.doomed))
            looked.check()
            if looked.doomed:
                confirm(yes, f"Take {session.name} down?")
            done = teardown.down(session.run, ledger, looked, parallel)
        session.stop_engine()
    rendering.show_taken_down(session.name, done, as_json)


def confirm(yes: bool, question: str) -> None:
    """Ask, unless the answer was given as an option. Raises UsageError for a no, and where nobody can be asked."""
    if yes:
        return
    if not (terminal(sys.stdin) and terminal(sys.stderr)):
        raise UsageError("there is no terminal to ask on, and nothing was changed", "Say --yes to go ahead")
    from iotpipe.cli.session import answerable

    with answerable():
        agreed = output.ask(question)
    if not agreed:
        raise UsageError("not confirmed, and nothing was changed")


@click.command(epilog="Example:  iotpipe status --env prod --json")
@options.on_aws
@options.verbose
@options.as_json
def status(settings: Settings, as_json: bool) -> int:
    """Show how an environment is doing.

    Resources that are not live (changed, drifted, missing), what waits in the queues and how long, the alarms that
    ring and why, and who has not confirmed to get them.
    """
    from iotpipe import rendering
    from iotpipe.cli.session import open_session, untouched
    from iotpipe.provision import plan as planning
    from iotpipe.watching.status import show_status
    from iotpipe.watching.vitals import Vitals, vitals

    if new := untouched(settings):
        steps = planning.from_nothing(new.declared()[0])
        show_status(new.name, new.aws, steps, Vitals({}, {}, [], []), as_json, settings.verbose)
        return 0
    with rendering.progress() as tell:
        session = open_session(settings, "status", tell)
        resources, _ = session.declared()
        steps = planning.plan(resources, session.run, session.rows(), foreign=True)
        found = vitals(session.run, resources)
    show_status(session.name, session.aws, steps, found, as_json, settings.verbose)
    return 1 if found.unread else 0


@click.command(epilog="Example:  iotpipe outputs --env dev --json | jq -r .ApiEndpoint")
@options.of_environment
@options.as_json
def outputs(settings: Settings, as_json: bool) -> None:
    """Print endpoint, names and ARNs.

    From the state file alone: it asks nothing of AWS.
    """
    from iotpipe import rendering
    from iotpipe.outputs import nothing_recorded, recorded
    from iotpipe.provision import ledger

    name = settings.environment
    contents = ledger.read(ledger.path_of(settings.state_dir, name))
    if contents is None or not contents.rows:
        raise nothing_recorded(name)
    rendering.show_outputs(recorded(contents, settings.state_dir), as_json)


@click.command(epilog="Example:  iotpipe graph --format svg > pipeline.svg")
@options.of_environment
@click.option(
    "--format", "how", type=click.Choice(["tree", "mermaid", "dot", "svg"]), default="tree", show_default=True
)
@options.as_json
def graph(settings: Settings, how: str, as_json: bool) -> None:
    """Draw what depends on what.

    Without asking AWS.
    """
    from iotpipe import drawing
    from iotpipe.cli.session import undeployed

    resources = undeployed(settings)
    if as_json:
        output.answer({each.address: [need.address for need in each.needs()] for each in resources})
    else:
        output.document(drawing.draw(resources, how))


ALL = (init, validate, plan, up, down, status, outputs, graph)
