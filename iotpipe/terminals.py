"""Whether a stream is a terminal that somebody looks at, and wants colours on."""

from __future__ import annotations

import os
from typing import TextIO


def terminal(stream: TextIO) -> bool:
    """Whether to draw and ask there: a terminal, and not one that only CI looks at."""
    return stream.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"


def colours(stream: TextIO) -> bool:
    """Whether to use colours there; see https://no-color.org."""
    return terminal(stream) and not os.environ.get("NO_COLOR")
