"""`iotpipe query --plot`: fetches what fits the screen, and draws it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iotpipe.cli.query import FEW_ROWS, note_more, note_silent
from iotpipe.render import output
from iotpipe.render.terminals import can_show, terminal

if TYPE_CHECKING:
    from iotpipe.cli.query_options import Asked
    from iotpipe.readings.api_client import Api, Parameters
    from iotpipe.readings.chart import Chart

_WIDTH_OF_A_PIPE = 80


def plot(api: Api, parameters: Parameters, asked: Asked, now: float) -> None:
    """Print the plots of all numeric metrics."""
    from iotpipe.render import console
    from iotpipe.render.plot import ASCII, BRAILLE, as_lines

    width = shutil.get_terminal_size().columns if terminal(sys.stdout) else _WIDTH_OF_A_PIPE
    signs = BRAILLE if can_show("".join(map(str, BRAILLE[1:])), sys.stdout) else ASCII
    with _waiting():
        chart = _chart(api, parameters, asked, int(now * 1000), width * len(signs.dots[0]))
    if chart.series:
        out = console.stdout()
        for line in as_lines(chart, width, signs):
            out.line(*line)
        if unknown := {*asked.metrics} - {series.metric for series in chart.series}:
            output.note(f"there are no numbers to plot of {', '.join(sorted(unknown))}")
    note_silent(asked, {series.device for series in chart.series})
    if chart.more:
        note_more(chart.count, asked.unit)


@contextmanager
def _waiting() -> Iterator[None]:
    """Show on a terminal that something goes on: for a year of readings, the API needs some seconds."""
    from iotpipe.render import console

    if not terminal(sys.stderr):
        yield
        return
    with console.stderr().status("reading"):
        yield


def _chart(api: Api, parameters: Parameters, asked: Asked, now: int, dots: int) -> Chart:
    from iotpipe.readings import chart

    start, end = asked.period(now / 1000)
    if asked.has_start and end is None:
        end = now
    if asked.every:
        limit = None if asked.everything else asked.limit
        return chart.of_buckets(api, parameters, limit, start, end)
    if asked.limit is None and (asked.has_start or asked.everything):
        return chart.of_period(api, parameters, start, end, now, dots)
    return chart.of_rows(api, parameters, None if asked.everything else asked.limit or FEW_ROWS, start, end)
