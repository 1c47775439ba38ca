"""Parse times that users type, and format and parse iotpipe's timestamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"([0-9]{1,9})([smhd])")


def ago(text: str, now: float) -> int | None:
    """Epoch milliseconds of an age such as `10m` or `2h`; None if the text has another format."""
    amount = _AGO.fullmatch(text.strip())
    return max(0, int((now - int(amount[1]) * _UNITS[amount[2]]) * 1000)) if amount else None


def iso(milliseconds: int) -> str:
    """2024-01-15T10:30:00.123Z for epoch milliseconds; the number where no calendar has that year."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return f"{milliseconds} ms"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def milliseconds(text: str) -> int:
    """The epoch milliseconds that `iso` wrote. Raises ValueError."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def of_text(text: str, *, last: bool = False) -> int | None:
    """Epoch milliseconds of a text with these, a time, or a day in UTC: its first one, or its `last`.

    None for any other text.
    """
    if re.fullmatch("[0-9]{1,20}", text):
        return int(text)
    try:
        # RFC 3339 allows a small t and z, Python does not.
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    is_day = len(text) == len("2024-01-15")
    return found // timedelta(milliseconds=1) + (86_400_000 - 1 if last and is_day else 0)


def timestamp(seconds: float) -> str:
    """2024-01-15T10:30:00Z for epoch seconds, as the state file has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """The epoch seconds that `timestamp` wrote. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
