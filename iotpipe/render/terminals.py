"""What stdin, stdout and stderr are like: whether somebody looks at a terminal there, and wants colours on it."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO
from weakref import WeakKeyDictionary

_encodings = WeakKeyDictionary[TextIO, str]()
"""What the locale says of each stream, which `ready` overrules."""


def ready() -> None:
    """Make the standard streams usable if the shell has closed one (`>&-`) or the locale lacks a character.

    What is written is UTF-8 in any locale, as JSON has to be. `can_show` tells what the locale itself has.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # In this order each gets its own file descriptor, which the next opened file would take otherwise.
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nothing, mode, encoding="utf-8", closefd=False))
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            _encodings.setdefault(stream, stream.encoding)
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def can_show(text: str, stream: TextIO) -> bool:
    """Whether the encoding of the locale has every character of the text."""
    try:
        text.encode(_encodings.get(stream, "utf-8"))
    except UnicodeEncodeError:
        return False
    return True


def terminal(stream: TextIO) -> bool:
    """Whether to draw and ask there: a terminal, and not one that only CI looks at."""
    return stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def colours(stream: TextIO) -> bool:
    """Whether to use colours there; see https://no-color.org and https://force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return terminal(stream) or bool(os.environ.get("FORCE_COLOR"))
