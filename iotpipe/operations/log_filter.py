"""Select the log entries to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import UsageError
from iotpipe.operations.logs import LogEvent

# Lambda's own lines about each invocation. A REPORT line of a failed invocation also matches _FAILURE.
_PLATFORM = re.compile(r"(START|END|REPORT) RequestId: |INIT_START Runtime|XRAY TraceId: ")
_FAILURE = re.compile(
    r"\[(ERROR|CRITICAL|FATAL|WARNING)\]|Traceback|Task timed out|Status: (error|failure|timeout)|Error Type: "
    r"|errorType|Runtime\.\w+|Unable to import|LAMBDA_WARNING|Runtime exited|Process exited before|Fatal Python error"
    r"|Segmentation fault"
)

_LEVELS = ("WARN", "WARNING", "ERROR", "CRITICAL", "FATAL")


@dataclass(frozen=True)
class Selection:
    """`platform`: also Lambda's own lines. `errors`: only failures. `grep`: only entries that contain a match."""

    platform: bool = False
    errors: bool = False
    grep: re.Pattern[str] | None = None

    def includes(self, event: LogEvent) -> bool:
        """Whether to show the entry."""
        failure = is_failure(event)
        if not (self.platform or failure) and _PLATFORM.match(event.message):
            return False
        if self.errors and not failure:
            return False
        return self.grep is None or self.grep.search(event.message) is not None


def is_failure(event: LogEvent) -> bool:
    """Whether the entry reports an HTTP error, a failed or rejected reading, or a failure of the function itself."""
    line = event.document()
    if line is None:
        return _FAILURE.search(event.message) is not None
    status = line.get("status")
    http_error = isinstance(status, int) and status >= 400
    return bool(
        http_error
        or line.get("failed")
        or line.get("rejected")
        or line.get("refused_readings")
        or _FAILURE.search(event.message)
        or _is_json_failure(line)
    )


def _is_json_failure(line: dict[str, Any]) -> bool:
    """Whether Lambda or Python's logging reports a failure in the JSON log format.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
    """
    record = line.get("record")
    status = record.get("status", "success") if isinstance(record, dict) else "success"
    return line.get("level") in _LEVELS or status != "success"


def pattern(text: str | None) -> re.Pattern[str] | None:
    """Compile the case-insensitive pattern of `--grep`. Raises UsageError if it is not a regular expression."""
    try:
        return re.compile(text, re.IGNORECASE) if text else None
    except re.error as error:
        hint = "Use a Python regular expression; put \\ before a literal special character"
        raise UsageError(f"--grep {text}: {error}", hint) from error
