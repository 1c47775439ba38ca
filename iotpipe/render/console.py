"""Coloured lines, tables and live displays on stdout and stderr, with all control characters escaped."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from iotpipe.render.output import harmless, keeping_lines
from iotpipe.render.terminals import colours, terminal

Part = str | tuple[str, str] | Text
"""A part of a line: a text, a text with a style, or a finished line."""


def line(*parts: Part) -> Text:
    """Join the parts into one line."""
    found = Text()
    for part in parts:
        text, style = part if isinstance(part, tuple) else (part, "")
        found.append_text(text if isinstance(text, Text) else Text(harmless(text), style))
    return found


class _Console(Console):
    """Escape text that does not come from `line`, such as the cells of a table."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for each in super().render(renderable, options):
            yield each if each.control else Segment(keeping_lines(each.text), each.style)


class Out:
    """Stdout or stderr: coloured on a terminal, plain and unwrapped elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        drawn = colours(stream)
        self.rich: Console = _Console(
            file=stream,
            force_terminal=drawn,
            no_color=not drawn,
            highlight=False,
            markup=False,
            soft_wrap=True,
            width=None if terminal(stream) else 200,
        )

    def line(self, *parts: Part) -> None:
        """Print the parts as one line."""
        self.rich.print(line(*parts))

    def table(self, grid: RenderableType) -> None:
        """Print a renderable that adapts to the terminal's width."""
        self.rich.print(grid, soft_wrap=False)

    def status(self, text: str) -> Status:
        """Show a spinner on a terminal; `update` its text with a `line`."""
        return self.rich.status(line(text))


def stdout() -> Out:
    """The stream for results."""
    return Out(sys.stdout)


def stderr() -> Out:
    """The stream for everything else."""
    return Out(sys.stderr)
