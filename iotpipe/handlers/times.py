"""Converts times between epoch milliseconds, RFC 3339 and days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ZONELESS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY = 86_400_000
# A smaller number is not epoch milliseconds: these would be before March 1973. As seconds it is before the year 5138.
_FIRST_MILLISECONDS = 100_000_000_000
_FIRST_SECONDS = 100_000_000
LAST = 253_402_300_799_999  # the last millisecond of the year 9999


def from_rfc_3339(text: str) -> Decimal | None:
    """Return epoch milliseconds, with a fraction if the text has one; None if it is not an RFC 3339 time."""
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


def why_not(text: str) -> str:
    """Return why a text is not an RFC 3339 time, with a correction."""
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        return "a number in quotes; send epoch milliseconds without quotes"
    if re.fullmatch(r"[0-9-]{10}", text):
        return "a date without a time; send both, such as 2026-11-22T12:00:00Z"
    if _ZONELESS.fullmatch(text):
        return "no time zone; add Z or an offset such as +01:00"
    if re.search(r"\.[0-9]{10}", text):
        return "more than 9 decimal places in the seconds"
    if re.search(r"[Tt ][0-9]{2}:[0-9]{2}:60", text):
        return "a leap second, which epoch milliseconds do not have; send the second before or after it"
    return "not an RFC 3339 time such as 2026-11-22T12:00:00Z"


def not_milliseconds(number: Decimal) -> str | None:
    """Return why a number cannot be epoch milliseconds, or None if it can be."""
    if _FIRST_SECONDS <= number < _FIRST_MILLISECONDS:
        return "looks like epoch seconds; send epoch milliseconds, or RFC 3339 for a time before 1973-03-03"
    if number < _FIRST_MILLISECONDS:
        return "does not look like epoch milliseconds; send a time before 1973-03-03 as RFC 3339"
    if number > LAST:
        return "after the year 9999 as epoch milliseconds; looks like micro- or nanoseconds"
    return None


def from_day(text: str) -> int | None:
    """Return the day's first epoch millisecond, UTC; None if the text is not YYYY-MM-DD."""
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
