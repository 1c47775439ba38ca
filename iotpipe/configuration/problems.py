"""A problem at a position of a file whose name is not known yet, and how to show text from the file."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]
"""The path of a value from the top of the file: keys and list indexes."""


@dataclass(frozen=True)
class Finding:
    """One problem. `line` and `column` count from 1; 0 means the file as a whole."""

    line: int
    column: int
    key: str
    message: str
    remedy: str = ""


def shown(text: str, limit: int = 60) -> str:
    """`text` fit for one line of a terminal: control characters escaped, the rest cut off."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def dotted(path: Path) -> str:
    """`("alerts", "emails", 0)` as the user would write it: `alerts.emails[0]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return "".join(parts).removeprefix(".")
