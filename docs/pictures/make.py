"""Make the pictures of the README: `make pictures`.

A pipeline on this machine, in a temporary directory, gets a day of readings at once and a quarter of an hour of them
live. Then its page, its terminal and its graph are drawn, in light and dark, and all of it is deleted again. Without
Chromium (IOTPIPE_BROWSER names one) the page is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from docs.pictures import png, terminal, traffic
from tests.support.browser import NAMES, Page, browser, browser_binary

HERE = Path(__file__).parent
LIVE = 15 * 60
"""Seconds of live readings before all is drawn: the shortest range of the page. A minute of them comes later."""
WIDTH = 1440
HEIGHTS = {"pipeline": 1250, "device": 950}
"""The page, and how much of its views is shown."""
DRAWN = {
    "pipeline": "[...document.querySelectorAll('.table tbody tr')].every((row) => row.querySelector('.sparkline'))",
    "device": "document.querySelectorAll('.metric-charts canvas').length >= 4",
}
"""What is true in the page when a view is drawn: curves are read one after the other, and only those in sight."""
TERMINALS = (
    ("status", ("status", "--watch"), (112, 32), 4),
    (
        "query",
        ("query", traffic.GAP, "--metric", "temperature", "--metric", "co2", "--last", "24h", "--plot"),
        (100, 40),
        0,
    ),
)
"""A picture's name, the command, the columns and lines of the terminal, and which look at the pipeline is drawn."""


class Pipeline:
    """A pipeline on this machine in a directory of its own, and the commands of the program for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IOTPIPE_"))}
        self.environment = kept | {"XDG_CACHE_HOME": str(directory / "cache"), "IOTPIPE_ENV": "local"}

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("iotpipe")), *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What a command prints. Raises RuntimeError with what it says if it fails."""
        command = self.command(*arguments)
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, input=stdin, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        return done.stdout

    def send(self, readings: Iterable[traffic.Reading], *options: str) -> None:
        self.run("send-test-data", "--file", "-", *options, stdin="\n".join(map(json.dumps, readings)))

    @contextmanager
    def page(self) -> Iterator[Callable[[], str]]:
        """The page's server; yields what returns a link that is good once."""
        with subprocess.Popen(
            self.command("view", "--no-browser"),
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdin and process.stdout
            first = [process.stdout.readline().strip()]

            def link() -> str:
                assert process.stdin and process.stdout
                if first:
                    return first.pop()
                process.stdin.write("\n")
                process.stdin.flush()
                return process.stdout.readline().strip()

            try:
                yield link
            finally:
                process.terminate()


@contextmanager
def pipeline() -> Iterator[Pipeline]:
    """A pipeline that is up, and of which nothing is left."""
    with tempfile.TemporaryDirectory(prefix="iotpipe-pictures-") as directory:
        made = Pipeline(Path(directory))
        try:
            made.run("up")
            yield made
        finally:
            made.run("down", "--delete-data", "--yes")


def main() -> None:
    """Make every picture."""
    binary = browser_binary(os.environ)
    if not binary:
        tell(f"no {' or '.join(NAMES)} on the PATH, and IOTPIPE_BROWSER names none: the page is left out")
    with pipeline() as made:
        draw_graph(made)
        tell(f"sending readings for {LIVE // 60} minutes")
        made.send(traffic.history(time.time()))
        sender = threading.Thread(target=send_live, args=(made,), daemon=True)
        sender.start()
        sender.join(LIVE)
        draw_terminals(made)
        if binary:
            draw_page(made, binary)
        sender.join()


def send_live(made: Pipeline) -> None:
    """Send readings until all is drawn, and ask for some now and then."""
    for number, (readings, options) in enumerate(traffic.live()):
        made.send(readings, *options)
        if number % 2 == 0:
            made.run("query", traffic.PLACES[number % len(traffic.PLACES)])


def draw_graph(made: Pipeline) -> None:
    """The data flow. Its colours are those of the system, which is not asked where a page has chosen the theme."""
    drawn = made.run("graph", "--format", "svg")
    for theme, media in (("light", "not all"), ("dark", "all")):
        keep(f"graph-{theme}.svg", drawn.replace("(prefers-color-scheme:dark)", media).encode())


def draw_terminals(made: Pipeline) -> None:
    """Two commands as a terminal shows them."""
    for name, arguments, size, looks in TERMINALS:
        shown = terminal.drawn_by(made.command(*arguments), made.directory, made.environment, size, looks)
        for theme, colours in terminal.THEMES.items():
            title = " ".join(("iotpipe", *arguments))
            keep(f"{name}-{theme}.svg", terminal.as_svg(shown, title, colours, size[0]).encode())


def draw_page(made: Pipeline, binary: str) -> None:
    """Two views of the page."""
    taken = []
    with made.page() as link, browser(binary) as chromium:
        for theme in ("light", "dark"):
            with chromium.page(WIDTH, prefers_color_scheme=theme, prefers_reduced_motion="reduce") as page:
                page.open(link())
                page.shows("Readings flow")
                page.shows(traffic.SILENT, ".table")
                taken.append((f"view-pipeline-{theme}.png", photograph(page, "pipeline")))
                page.value(f"location.hash = '#/devices/{traffic.GAP}'")
                taken.append((f"view-device-{theme}.png", photograph(page, "device")))
    for name, picture in taken:
        keep(name, png.with_palette(picture))


def photograph(page: Page, view: str) -> bytes:
    """A picture of the page, once its numbers are there and its charts have settled."""
    size = {"width": WIDTH, "height": HEIGHTS[view], "deviceScaleFactor": 1, "mobile": False}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    page.call("Emulation.setScrollbarsHidden", hidden=True)
    page.until(DRAWN[view])
    time.sleep(3)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(Path(file.name))
        return file.read()


def keep(name: str, content: bytes) -> None:
    """Write a picture."""
    (HERE / name).write_bytes(content)
    tell(name)


def tell(text: str) -> None:
    """Say on stderr how far it is."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
