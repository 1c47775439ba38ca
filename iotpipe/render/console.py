"""Lines with colours, tables and what moves, on stdout and stderr; nothing in them can make a terminal do something."""

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
"""A piece of a line: a text, or one with its style, or a line that was put together before."""


def line(*parts: Part) -> Text:
    """One line made of these pieces."""
    found = Text()
    for part in parts:
        text, style = part if isinstance(part, tuple) else (part, "")
        found.append_text(text if isinstance(text, Text) else Text(harmless(text), style))
    return found


class _Console(Console):
    """Escapes what comes by another way than `line`, such as the cells of a table."""

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
        """Print one line made of these pieces."""
        self.rich.print(line(*parts))

    def table(self, grid: RenderableType) -> None:
        """Print what fits itself into the width."""
        self.rich.print(grid, soft_wrap=False)

    def status(self, text: str) -> Status:
        """Show on a terminal that something goes on; `update` it with a `line`."""
        return self.rich.status(line(text))


def stdout() -> Out:
    """Where answers go."""
    return Out(sys.stdout)


def stderr() -> Out:
    """Where all else goes."""
    return Out(sys.stderr)
