"""The syntax of device and reading ids: safe in keys, logs and URLs."""

from __future__ import annotations

import re
from typing import Any

PATTERN = "[A-Za-z0-9._:/#-]{1,128}"
_IDENTIFIER = re.compile(PATTERN)


def problem(value: Any) -> tuple[str, str] | None:
    """Return the code and message of an identifier's problem, or None."""
    if not isinstance(value, str):
        return "type", "string required"
    if not _IDENTIFIER.fullmatch(value):
        return "format", "1 to 128 of A-Z a-z 0-9 . _ : / # - required"
    return None
