"""`iotpipe view`: shows the pipeline in a browser."""

from __future__ import annotations

import errno
import signal
import sys
import threading
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import IotpipeError
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.observer.observer import Observer
    from iotpipe.view.server import Server


@click.command(epilog="Example:  iotpipe view --env prod")
@options.on_aws
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Serve on this port if it is free, else on another one."
)
@click.option(
    "--every", type=click.IntRange(1, 3600), metavar="SECONDS", help="Look less often than every 2 s (AWS: 10 s)."
)
@click.option("--no-browser", is_flag=True, help="Print the link without opening a browser.")
@options.as_json
def view(settings: Settings, port: int, every: int | None, no_browser: bool, as_json: bool) -> int:
    """Show the pipeline in a browser, with live numbers.

    The page has the flow, devices, charts and dead letters. It is served on this machine only, until Ctrl-C, and
    changes nothing. The printed link is good once and for a minute; Enter prints another one.
    """
    from iotpipe.cli.observed import open_observer
    from iotpipe.cli.session import interruptible

    server = server_of(open_observer(settings, "view"), port, every or 0)
    if port and server.port != port:
        output.note(f"port {port} is taken: serving on {server.port}")
    stop = threading.Event()
    with suppress(KeyboardInterrupt), interruptible(stop):
        server.start()
        _show(link := server.link(), as_json)
        if not no_browser and not as_json:
            open_browser(link)
        _wait(server, stop, as_json)
    return 130


def server_of(observer: Observer, port: int = 0, every: int = 0) -> Server:
    """The server on the port, or on a free one if it is taken. Raises IotpipeError if there is none."""
    from iotpipe.view.server import Server

    for wanted in (port, 0):
        try:
            return Server(observer, _tell_bug, port=wanted, every=every)
        except OSError as error:
            if wanted == 0 or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise IotpipeError(
                    f"cannot serve the page on this machine: {error.strerror}", "Check the loopback interface"
                ) from None
    raise AssertionError


def _tell_bug(traceback: str) -> None:
    for each in output.lines_of(traceback):
        output.note(each)


def _show(link: str, as_json: bool) -> None:
    if as_json:
        output.say(output.as_json({"url": link}))
    else:
        output.say(link)
        output.note("The link is good once, for a minute. Enter prints another one, Ctrl-C ends.")


def open_browser(link: str) -> None:
    """Open the browser. A text browser would take the terminal over."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if not isinstance(found, webbrowser.GenericBrowser) or isinstance(found, webbrowser.BackgroundBrowser):
        found.open(link)


def _wait(server: Server, stop: threading.Event, as_json: bool) -> None:
    """Wait for Ctrl-C, and print another link at each Enter.

    The terminal would stop a command in the background that reads from it; without the signal reading fails.
    """
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    with suppress(OSError):
        while sys.stdin.readline():
            _show(server.link(), as_json)
    stop.wait()
