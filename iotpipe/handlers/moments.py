"""Moments as people and DynamoDB write them: epoch milliseconds, RFC 3339, days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY = 86_400_000
LAST = 253_402_300_799_999  # the last millisecond of the year 9999


def from_rfc_3339(text: str) -> Decimal | None:
    """Epoch milliseconds, with a fraction where the text is finer; None if the text is no RFC 3339 time."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * Decimal(1000) + Decimal(f"0.{fraction or 0}") * 1000


def from_day(text: str) -> int | None:
    """The day's first epoch millisecond, UTC; None if the text is no YYYY-MM-DD."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return None


def iso(milliseconds: int) -> str:
    """2024-01-15T10:30:00.123Z"""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"
