"""Times as people type them."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"([0-9]{1,9})([smhd])")


def ago(text: str, now: float) -> int | None:
    """The epoch milliseconds that `10m` or `2h` ago means; None where the text is of another form."""
    amount = _AGO.fullmatch(text.strip())
    return max(0, int((now - int(amount[1]) * _UNITS[amount[2]]) * 1000)) if amount else None
