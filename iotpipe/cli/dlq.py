"""`iotpipe dlq`: lists, redrives and purges dead letters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.confirm import confirm
from iotpipe.cli.deployed import open_deployed
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted, IotpipeError
from iotpipe.names import Names
from iotpipe.render import output
from iotpipe.render.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.operations.queue_client import QueueClient
    from iotpipe.provision.run import Event


@click.group(epilog="Example:  iotpipe dlq list --env prod")
@options.named
def dlq() -> None:
    """List, redrive or purge dead letters."""


@dlq.command("list", epilog="Example:  iotpipe dlq list --env prod --json | jq -r '.messages[].reason'")
@options.on_aws
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Maximum number of messages."
)
@options.as_json
def list_(settings: Settings, limit: int, as_json: bool) -> None:
    """List the dead letters and why they failed.

    Removes nothing. Listed messages are hidden from other consumers for a moment. The receive count is that of the
    function that reads the message's queue; listing does not increase it. Of what a device published over MQTT the
    payload is shown.
    """
    from iotpipe.operations.dead_letters import peek
    from iotpipe.render import console
    from iotpipe.render.dead_letters import letter_text, letters_data, shortened, summary
    from iotpipe.render.progress import progress

    with progress() as tell:
        queue, source, devices = _queues(settings, "dlq list", tell)
        dead = peek(queue, source, limit, devices)
        if any(dead.reason(letter) is None and not letter.of_device for letter in dead.letters):
            dead = replace(dead, startup_failure=_processor_startup_failure(queue))
    if as_json:
        output.answer(letters_data(queue.name, dead))
        return
    for letter in dead.letters:
        console.stdout().line(letter_text(letter, dead))
        console.stdout().line((f"  {shortened(letter.payload or letter.body)}", "dim"))
    for line in summary(queue.name, dead):
        output.note(line)


@dlq.command(epilog="Example:  iotpipe dlq redrive --env prod --limit 1")
@options.on_aws
@click.option("--limit", type=click.IntRange(1), help="Maximum number of messages.  [default: all]")
@options.assume_yes
@options.as_json
def redrive(settings: Settings, limit: int | None, yes: bool, as_json: bool) -> int:
    """Redrive dead letters: send them back to the processor's queue, and what devices published to the device queue.

    What ingestion refused goes back, too, as it was published: it is refused again unless a limit was raised.

    Asks first. A message is in both queues for a moment, never in none; processing is idempotent.
    """
    from iotpipe.operations.redrive import redrive
    from iotpipe.operations.redrive_batches import Moved
    from iotpipe.render.progress import progress

    with progress() as tell:
        dead, target, devices = _queues(settings, "dlq redrive", tell)
        about = dead.count()
    number = f"about {about}" if limit is None else f"at most {limit} of about {about}"
    if about:
        targets = f"{target.name} and {devices.name}" if devices else target.name
        confirm(yes, f"Send {number} dead letters of {dead.name} back to {targets}?")
    try:
        with _live_progress(dead):
            result = redrive(dead, target, limit, devices) if about else Moved()
    except KeyboardInterrupt:
        again = f"`iotpipe dlq redrive --env {dead.run.environment}`"
        hint = (
            f"SQS continues the redrive in the background: {again} watches"
            if limit is None and devices is None
            else f"{again} continues"
        )
        raise Interrupted("stopped; nothing is lost", hint) from None
    if as_json:
        output.answer({"queue": dead.name, "target": target.name, **vars(result)})
        return 1 if result.reasons else 0
    output.say(f"sent back from {dead.name} to {target.name}: {result.moved - result.to_devices}")
    if devices and result.to_devices:
        output.say(f"sent back from {dead.name} to {devices.name}: {result.to_devices}")
    if result.returned:
        output.note(f"{result.returned} of them failed again and are back: `iotpipe dlq list` says why")
    for name, reason in result.reasons.items():
        output.note(f"{name}: {reason}")
    return 1 if result.reasons else 0


@dlq.command(epilog="Example:  iotpipe dlq purge --env dev --yes")
@options.on_aws
@options.assume_yes
@options.as_json
def purge(settings: Settings, yes: bool, as_json: bool) -> None:
    """Delete all dead letters permanently.

    Asks first, with the number of messages.
    """
    from iotpipe.operations.redrive import purge
    from iotpipe.render.progress import progress

    with progress() as tell:
        dead, *_ = _queues(settings, "dlq purge", tell)
        about = dead.count()
    if about:
        confirm(yes, f"Delete about {about} messages of {dead.name} for good?")
        with _live_progress(dead):
            purge(dead)
    if as_json:
        output.answer({"queue": dead.name, "about": about})
    elif about:
        output.say(f"purged {dead.name} of all it had, about {about}; SQS may take a minute until the last is gone")
    else:
        output.say(f"{dead.name} is empty")


def _queues(
    settings: Settings, command: str, tell: Callable[[Event], None]
) -> tuple[QueueClient, QueueClient, QueueClient | None]:
    """The dead-letter queue, the processor's queue, and the device queue if the environment has one."""
    from iotpipe.operations.queue_client import QueueClient

    session, suffix = open_deployed(settings, command, tell)
    names, rows = Names(suffix), session.rows()
    enabled = bool(session.env and session.env.devices.enabled)
    dead, readings, devices = (
        QueueClient(session.run, name) for name in (names.dead_letter_queue, names.reading_queue, names.device_queue)
    )
    # Without its state file, the environment is what is configured.
    return dead, readings, devices if (devices.address in rows if rows else enabled) else None


def _processor_startup_failure(dead: QueueClient) -> str:
    """The processor's last startup error of the past hour; empty without one, or if its logs cannot be read."""
    from iotpipe.operations.startup_failures import startup_failure

    since = int((dead.run.clock.now() - 3600) * 1000)
    try:
        return startup_failure(dead.run, "processor", dead.name.removeprefix(Names("").dead_letter_queue), since)
    except IotpipeError:
        return ""


@contextmanager
def _live_progress(queue: QueueClient) -> Iterator[None]:
    """Show the queue's events on one line of a terminal; elsewhere they are printed once."""

    from iotpipe.render import console

    if not terminal(sys.stderr):
        yield
        return
    with console.stderr().status("") as status:
        queue.run.tell = lambda event: status.update(console.line(event.detail))
        yield
