"""`iotpipe status`: shows the health of an environment."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.observed import observer_of, open_observer
from iotpipe.cli.options import Settings
from iotpipe.cli.view import open_browser, server_of
from iotpipe.errors import Interrupted, UsageError
from iotpipe.render import output
from iotpipe.render.terminals import terminal

if TYPE_CHECKING:
    from iotpipe.observer.observer import Observer
    from iotpipe.observer.snapshot import Snapshot
    from iotpipe.view.server import Server


@click.command(epilog="Example:  iotpipe status --env prod --json")
@options.on_aws
@options.verbose
@click.option("--watch", "-w", is_flag=True, help="Watch the flow of readings until q or Ctrl-C.")
@click.option("--every", metavar="TIME", help="Time between two looks with --watch, such as 10s or 1m.  [2s]")
@options.as_json
def status(settings: Settings, watch: bool, every: str | None, as_json: bool) -> int:
    """Show the health of an environment.

    Lists resources that are not live (changed, drifted, missing), queue depths and ages, firing alarms with their
    reasons, and unconfirmed alert subscriptions.

    With --watch, shows instead how readings flow, what waits, and why something was refused or given back, until q.
    Space holds the picture, o opens the page of `iotpipe view`. Without a terminal, or with --json, each look is a line
    of JSON.
    """
    if watch:
        return _watch(settings, _seconds("2s" if every is None else every), as_json)
    if every is not None:
        raise UsageError("--every goes with --watch", "Add --watch, or leave --every out")
    return _show(settings, as_json)


def _show(settings: Settings, as_json: bool) -> int:
    from iotpipe.cli.session import open_session, untouched
    from iotpipe.operations.health import Health, health
    from iotpipe.provision import plan as planning
    from iotpipe.render.progress import progress
    from iotpipe.render.status import show_status

    if new := untouched(settings):
        declared, _ = new.declared()
        seen = _look(observer_of(new, declared, is_up=False)) if as_json else None
        steps = planning.from_nothing(declared)
        show_status(new.name, new.aws, steps, Health({}, {}, [], []), seen, settings.verbose)
        return 0
    with progress() as tell:
        session = open_session(settings, "status", tell)
        resources, _ = session.declared()
        steps = planning.plan(resources, session.run, session.rows(), foreign=True)
        read = health(session.run, resources)
        seen = _look(observer_of(session, resources)) if as_json else None
    show_status(session.name, session.aws, steps, read, seen, settings.verbose)
    return 1 if read.unread else 0


def _look(observer: Observer) -> Snapshot:
    """One look with the devices."""
    observer.devices()
    return observer.snapshot()


def _seconds(text: str) -> float:
    matched = re.fullmatch("([1-9][0-9]{0,3})([sm])", text)
    if not matched:
        raise UsageError(f"--every: {text!r} is not a time between two looks", "Use 2s, 10s or 1m")
    return float(matched[1]) * (60 if matched[2] == "m" else 1)


def _watch(settings: Settings, every: float, as_json: bool) -> int:
    from iotpipe.cli.session import answerable, interruptible

    observer, stop = open_observer(settings, "status"), threading.Event()
    try:
        with answerable(), interruptible(stop):
            if as_json or not terminal(sys.stdout):
                _write_lines(observer, every, stop)
            else:
                _draw(observer, every, stop)
    except (KeyboardInterrupt, Interrupted):
        return 130
    return 130 if stop.is_set() else 0


def _write_lines(observer: Observer, every: float, stop: threading.Event) -> None:
    """A line of JSON per look until Ctrl-C."""
    observer.devices()
    observer.enrolment()
    while not stop.is_set():
        output.say(output.as_json(observer.snapshot().as_json()))
        stop.wait(every)


def _draw(observer: Observer, every: float, stop: threading.Event) -> None:
    """Draw each look on the terminal until q or Ctrl-C."""
    from iotpipe.render.keys import pressed_keys
    from iotpipe.render.watch import on_terminal

    page = _Page(observer)
    observer.enrolment()
    with pressed_keys(stop.wait) as pressed, on_terminal(every) as show:
        snapshot, held, due, link = observer.snapshot(), False, time.monotonic() + every, ""
        while not stop.is_set():
            show(snapshot, held, link)
            key = pressed(due - time.monotonic())
            if key == "q":
                return
            if key == " ":
                held = not held
            if key == "o":
                link = page.open()
            if time.monotonic() >= due:
                due = time.monotonic() + every
                snapshot = snapshot if held else observer.snapshot()


class _Page:
    """The page of `view` for the same observer, served from the first time that it is opened."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._server: Server | None = None

    def open(self) -> str:
        """Open the page in a browser, and return a link to it."""
        if self._server is None:
            self._server = server_of(self._observer)
            self._server.start()
        link = self._server.link()
        open_browser(link)
        return link
