"""Which of the log entries somebody wants to see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from iotpipe.errors import UsageError
from iotpipe.operations.logs import LogEvent

# What Lambda writes of every invocation. A report that tells of a failure is another matter.
_PLATFORM = re.compile(r"(START|END|REPORT) RequestId: |INIT_START Runtime|XRAY TraceId: ")
_TROUBLE = re.compile(
    r"\[(ERROR|CRITICAL|FATAL|WARNING)\]|Traceback|Task timed out|Status: (error|failure|timeout)|Error Type: "
    r"|errorType|Runtime\.\w+|Unable to import|LAMBDA_WARNING|Runtime exited|Process exited before|Fatal Python error"
    r"|Segmentation fault"
)

_LEVELS = ("WARN", "WARNING", "ERROR", "CRITICAL", "FATAL")


@dataclass(frozen=True)
class Selection:
    """`platform`: also Lambda's own lines. `errors`: only what went wrong. `grep`: only what contains a match."""

    platform: bool = False
    errors: bool = False
    grep: re.Pattern[str] | None = None

    def takes(self, event: LogEvent) -> bool:
        """Whether the entry is to be shown."""
        wrong = went_wrong(event)
        if not (self.platform or wrong) and _PLATFORM.match(event.message):
            return False
        if self.errors and not wrong:
            return False
        return self.grep is None or self.grep.search(event.message) is not None


def went_wrong(event: LogEvent) -> bool:
    """Whether the entry tells of a failure: of a handler's answer, of a reading or of the function itself."""
    line = event.document()
    if line is None:
        return _TROUBLE.search(event.message) is not None
    status = line.get("status")
    refused = isinstance(status, int) and status >= 400
    return bool(
        refused or line.get("failed") or line.get("rejected") or _TROUBLE.search(event.message) or _as_json(line)
    )


def _as_json(line: dict[str, Any]) -> bool:
    """Whether Lambda or Python's logging tells of a failure, where the function's log format was set to JSON.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
    """
    record = line.get("record")
    status = record.get("status", "success") if isinstance(record, dict) else "success"
    return line.get("level") in _LEVELS or status != "success"


def pattern(text: str | None) -> re.Pattern[str] | None:
    """What `--grep` looks for, whatever the case of its letters. Raises UsageError for what is no pattern."""
    try:
        return re.compile(text, re.IGNORECASE) if text else None
    except re.error as error:
        hint = "It is a regular expression of Python: put \\ before a character that is meant literally"
        raise UsageError(f"--grep {text}: {error}", hint) from error
