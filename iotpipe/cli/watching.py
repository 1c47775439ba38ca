"""`iotpipe logs` and `iotpipe dlq`: what a person on call types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from iotpipe import output
from iotpipe.cli import options
from iotpipe.cli.commands import confirm
from iotpipe.cli.options import Settings
from iotpipe.errors import Interrupted, IotpipeError, UsageError
from iotpipe.terminals import terminal
from iotpipe.watching import names

if TYPE_CHECKING:
    from iotpipe.cli.session import Session
    from iotpipe.provision.run import Event
    from iotpipe.watching.logs import LogEvent
    from iotpipe.watching.mailbox import Mailbox


@click.command(epilog="Example:  iotpipe logs --env prod --follow --function processor")
@options.on_aws
@click.option(
    "--since", default="10m", show_default=True, metavar="TIME", help="30s, 10m, 2h, 3d ago, or an ISO time (UTC)."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--function", type=click.Choice(names.FUNCTIONS), help="Of this function only.")
@click.option("--correlation-id", metavar="ID", help="Only what belongs to this request.")
@click.option("--errors", is_flag=True, help="Only what went wrong.")
@click.option("--grep", metavar="PATTERN", help="Only entries in which this regular expression is found.")
@click.option("--platform", is_flag=True, help="Also what Lambda writes of each invocation: START, END, REPORT.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per entry and line.")
def logs(
    settings: Settings,
    since: str,
    follow: bool,
    function: str | None,
    correlation_id: str | None,
    errors: bool,
    grep: str | None,
    platform: bool,
    as_json: bool,
) -> int:
    """Show the logs of all functions, in the order of time.

    Times are in UTC. The functions' own lines are shown in short, all others as they are; what Lambda writes of each
    invocation is left out unless --platform asks for it, or it tells of a failure.
    """
    from iotpipe import console, rendering
    from iotpipe.cli.session import interruptible
    from iotpipe.watching import lines
    from iotpipe.watching.logs import LogReader, followed, merged, moment
    from iotpipe.watching.selection import Selection, pattern

    selection = Selection(platform, errors, pattern(grep))
    with rendering.progress() as tell:
        session, suffix = _open(settings, "logs", tell)
    begin = moment(since, session.run.clock.now())
    named = [(each, names.log_group(each, suffix)) for each in ([function] if function else names.FUNCTIONS)]
    readers = [LogReader(session.run, each, group, begin, correlation_id) for each, group in named]
    out = console.stdout()

    def show(events: Iterable[LogEvent]) -> bool:
        any_shown = False
        for event in filter(selection.takes, events):
            any_shown = True
            if as_json:
                output.say(lines.event_data(event))
            else:
                for told in lines.event_text(event):
                    out.line(told)
        return any_shown

    try:
        with interruptible(session.stop):
            shown = show(merged(readers))
            if not any(reader.there for reader in readers):
                _nothing_there(session, follow)
            elif not shown and not follow:
                what = "nothing that was asked for was logged" if errors or grep else "nothing was logged"
                output.note(f"{what} since {lines.moment(begin)}; --since 2h looks further back")
            if follow:
                show(followed(session.run, readers))
    except (KeyboardInterrupt, Interrupted):
        return 130
    return 0


def _nothing_there(session: Session, follow: bool) -> None:
    if not follow:
        raise _not_up(session.name)
    output.note("there is no log group yet; waiting for the first entry")


def _open(settings: Settings, command: str, tell: Callable[[Event], None]) -> tuple[Session, str]:
    """The session, and the suffix of the environment's names: as recorded, else as configured."""
    from iotpipe.cli.session import open_session

    session = open_session(settings, command, tell, declared=False)
    suffix = names.recorded_suffix(session.rows().values()) or (session.env and session.env.suffix)
    if not suffix:
        raise _not_up(session.name)
    return session, suffix


def _not_up(name: str) -> UsageError:
    return UsageError(f"{name} is not up", f"Run `iotpipe up --env {name}` first")


@click.group(epilog="Example:  iotpipe dlq list --env prod")
@options.named
def dlq() -> None:
    """See what failed, send it back, or empty the queue of it."""


@dlq.command("list", epilog="Example:  iotpipe dlq list --env prod --json | jq -r '.messages[].reason'")
@options.on_aws
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many messages at most."
)
@options.as_json
def list_(settings: Settings, limit: int, as_json: bool) -> None:
    """Show what failed and why.

    Takes nothing away. While it looks, what it has seen is hidden from others. How often a message was received is
    how often the processor had it: looks are not counted.
    """
    from iotpipe import console, rendering
    from iotpipe.watching import lines
    from iotpipe.watching.deadletters import look

    with rendering.progress() as tell:
        dead, source = _queues(settings, "dlq list", tell)
        seen = look(dead, source, limit)
        if any(seen.reason(letter) is None for letter in seen.letters):
            seen = replace(seen, broken=_what_breaks_the_processor(dead))
    if as_json:
        output.answer(lines.letters_data(dead.name, seen))
        return
    for letter in seen.letters:
        console.stdout().line(lines.letter_text(letter, seen))
        console.stdout().line((f"  {lines.shortened(letter.body)}", "dim"))
    for told in lines.look_summary(dead.name, seen):
        output.note(told)


@dlq.command(epilog="Example:  iotpipe dlq redrive --env prod --limit 1")
@options.on_aws
@click.option("--limit", type=click.IntRange(1), help="How many messages at most.  [default: all]")
@options.assume_yes
@options.as_json
def redrive(settings: Settings, limit: int | None, yes: bool, as_json: bool) -> int:
    """Send what failed back to be processed again.

    Asks first. A message is in both queues for a moment, never in none; being processed twice does it no harm.
    """
    from iotpipe import rendering
    from iotpipe.watching.redrive import Moved, redrive

    with rendering.progress() as tell:
        dead, target = _queues(settings, "dlq redrive", tell)
        about = dead.count()
    number = f"about {about}" if limit is None else f"at most {limit} of about {about}"
    if about:
        confirm(yes, f"Send {number} dead letters of {dead.name} back to {target.name}?")
    try:
        with _telling(dead):
            done = redrive(dead, target, limit) if about else Moved()
    except KeyboardInterrupt:
        hint = (
            f"What SQS was told to move it goes on moving: `iotpipe dlq redrive --env {dead.run.environment}` watches"
        )
        raise Interrupted("stopped; nothing is lost", hint) from None
    if as_json:
        output.answer({"queue": dead.name, "target": target.name, **vars(done)})
        return 1 if done.reasons else 0
    output.say(f"sent back from {dead.name} to {target.name}: {done.moved}")
    if done.returned:
        output.note(f"{done.returned} of them failed again and are back: `iotpipe dlq list` says why")
    for name, reason in done.reasons.items():
        output.note(f"{name}: {reason}")
    return 1 if done.reasons else 0


@dlq.command(epilog="Example:  iotpipe dlq purge --env dev --yes")
@options.on_aws
@options.assume_yes
@options.as_json
def purge(settings: Settings, yes: bool, as_json: bool) -> None:
    """Delete everything that failed, for good.

    Asks first, with the number of messages.
    """
    from iotpipe import rendering
    from iotpipe.watching.redrive import purge

    with rendering.progress() as tell:
        dead, _ = _queues(settings, "dlq purge", tell)
        about = dead.count()
    if about:
        confirm(yes, f"Delete about {about} messages of {dead.name} for good?")
        with _telling(dead):
            purge(dead)
    if as_json:
        output.answer({"queue": dead.name, "about": about})
    elif about:
        output.say(f"purged {dead.name} of all it had, about {about}; SQS may take a minute until the last is gone")
    else:
        output.say(f"{dead.name} is empty")


def _queues(settings: Settings, command: str, tell: Callable[[Event], None]) -> tuple[Mailbox, Mailbox]:
    """The dead-letter queue, and the one that its messages come from."""
    from iotpipe.watching.mailbox import Mailbox

    session, suffix = _open(settings, command, tell)
    return Mailbox(session.run, names.dead_letters(suffix)), Mailbox(session.run, names.readings(suffix))


def _what_breaks_the_processor(dead: Mailbox) -> str:
    """Why it does not start, if that was so within the last hour and as far as its logs may be read."""
    from iotpipe.watching import startup

    since = int((dead.run.clock.now() - 3600) * 1000)
    try:
        return startup.failure(dead.run, "processor", dead.name.removeprefix(names.dead_letters("")), since)
    except IotpipeError:
        return ""


@contextmanager
def _telling(box: Mailbox) -> Iterator[None]:
    """What goes on with the queue stands on one line of a terminal; elsewhere it is said once."""

    from iotpipe import console

    if not terminal(sys.stderr):
        yield
        return
    with console.stderr().status("") as status:
        box.run.tell = lambda event: status.update(console.line(event.detail))
        yield
