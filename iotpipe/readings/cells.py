"""Cells of files with readings: values, and the usual formats of times."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any

from iotpipe.readings import exact_json
from iotpipe.readings.stored_rows import MAIN_METRICS

_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Stricter than Decimal, which also accepts 1_000: in a file that is a name, not a number.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# A smaller number is epoch seconds (up to the year 5138), a larger one milliseconds (from 1973).
_FIRST_MILLISECONDS = 100_000_000_000
# A smaller number is a year, a date in digits or a count; as epoch seconds it would be before March 1973.
_FIRST_SECONDS = 100_000_000
# A larger number is a date and time in digits; as epoch milliseconds it would be after the year 2200.
_FIRST_DIGITS = 7_258_118_400_000
_FIRST_MILLISECOND, _LAST_MILLISECOND = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 and 9999


class BadRow(ValueError):
    """The row is not a valid reading."""


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty or a marker of a missing value, including JSON's NaN (the only value != itself)."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def metric_value(name: str, cell: Any) -> Any:
    """The cell as a metric: a number if possible; text unless the metric must be a number; None if missing.

    Raises BadRow.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, str) and (number := _number(cell.strip())) is not None:
        return number
    if name in MAIN_METRICS and not exact_json.is_number(cell):
        raise BadRow(f"{name} is not a number: {json.dumps(cell, default=str)[:40]}")
    return cell.strip() if isinstance(cell, str) else cell


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except DecimalException:
        return None
    return number if number is not None and number.is_finite() else None


def parse_time(cell: Any, time_format: str = "") -> int:
    """Epoch milliseconds of a time: of a number, ISO 8601, or the format that is given. Raises BadRow."""
    if is_missing(cell):
        raise BadRow("no time")
    text = str(cell).strip()
    try:
        if time_format:
            return _milliseconds(datetime.strptime(text, time_format))
        number = _number(text)
        return _milliseconds(datetime.fromisoformat(text)) if number is None else _from_number(number)
    except BadRow:
        raise
    except (ValueError, OverflowError):
        form = time_format or "epoch seconds, epoch milliseconds or ISO 8601; see --time-format"
        raise BadRow(f"no time: {text[:40]!r} is not {form}") from None


def _from_number(number: Decimal) -> int:
    if abs(number) < _FIRST_SECONDS or _FIRST_DIGITS <= number <= _LAST_MILLISECOND:
        raise BadRow(f"no time: {number} is evidently neither epoch seconds nor milliseconds; see --time-format")
    if abs(number) < _FIRST_MILLISECONDS:
        number *= 1000
    if not _FIRST_MILLISECOND <= number <= _LAST_MILLISECOND:
        raise ValueError
    return int(number)


def _milliseconds(time: datetime) -> int:
    """Epoch milliseconds; a time without a zone is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
