"""Single keys from the terminal, without waiting for the end of a line."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iotpipe.render.terminals import terminal

Pressed = Callable[[float], str]
"""Waits up to so many seconds for a key and returns it; the empty text if none was pressed."""


@contextmanager
def pressed_keys(wait: Callable[[float], object]) -> Iterator[Pressed]:
    """Read keys from stdin while the block lasts; without a terminal there, only wait."""

    def no_key(seconds: float) -> str:
        wait(seconds)
        return ""

    if not terminal(sys.stdin):
        yield no_key
        return
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    # Ctrl-C stays a signal.
    tty.setcbreak(stdin)
    try:
        yield lambda seconds: _read(stdin, seconds)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


def _read(stdin: int, seconds: float) -> str:
    ready, _, _ = select.select([stdin], [], [], max(0.0, seconds))
    return os.read(stdin, 1).decode("latin-1") if ready else ""
