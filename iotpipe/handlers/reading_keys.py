"""The keys of a stored reading. The same reading always gets the same keys, so that it is stored once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from iotpipe.handlers import times

_DIGITS = re.compile("[0-9]{18}")


def digits(identity: Sequence[Any], text: str) -> str:
    """18 decimal digits of the hash of a reading's identity and of its values in canonical JSON."""
    canonical = json.dumps(identity) + text
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:16], "big")
    return f"{number % 10**18:018}"


def raw_key(timestamp: int, digits: str) -> str:
    """The raw table's range key: the millisecond, with the hash as the fraction, in DynamoDB's number format."""
    return f"{timestamp}.{digits}".rstrip("0").rstrip(".")


def event_date(timestamp: int, digits: str) -> str:
    """The processed table's range key."""
    return f"{times.iso(timestamp)}#{digits}"


def is_event_date(value: Any, timestamp: int) -> bool:
    """Whether the value can be the processed table's range key of a reading with this timestamp."""
    if not isinstance(value, str):
        return False
    time, _, found = value.partition("#")
    return time == times.iso(timestamp) and bool(_DIGITS.fullmatch(found))


def time_of(event_date: str) -> int | None:
    """Return the epoch milliseconds of a range key of the processed table; None if no reading can have this key."""
    text, _, _ = event_date.partition("#")
    exact = times.from_rfc_3339(text)
    return int(exact) if exact is not None and times.iso(int(exact)) == text else None
