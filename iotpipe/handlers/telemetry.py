"""Writes one JSON line per invocation to the log, with metrics in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from iotpipe.handlers import clock, settings

NAMESPACE = "iotpipe"
DIMENSIONS = ["environment", "function"]
_MAX_VALUES = 100  # CloudWatch's limit for the values of a metric in one line

_cold = True


class Line:
    """The log line of one invocation. It never contains a body or a key.

    `counts` become metrics: accepted, duplicates, failed, processed and refused_readings count readings, rejected
    counts requests and device messages that were refused as a whole, cold_starts and not_understood count invocations.
    `lags` are milliseconds from a reading's own time to its processed row; `waits` are those from its receipt until it
    was stored, which do not depend on the device's clock.
    """

    def __init__(self, function: str, context: Any) -> None:
        global _cold
        self._started = clock.elapsed()
        self.counts = {"cold_starts": int(_cold)}
        self.lags: list[int] = []
        self.waits: list[int] = []
        self.fields: dict[str, Any] = {"environment": settings.environment(), "function": function}
        request_id = getattr(context, "aws_request_id", None)
        if isinstance(request_id, str):
            self.fields["lambda_request_id"] = request_id
        _cold = False

    def annotations(self) -> dict[str, str | int]:
        """Return the annotations by which X-Ray finds the trace."""
        names = ("environment", "route", "status")
        return {name: self.fields[name] for name in names if name in self.fields} | self.counts

    def write(self) -> None:
        """Print the line. CloudWatch extracts the metrics that `_aws` declares."""
        values: dict[str, Any] = dict(self.counts)
        milliseconds = {"lag": self.lags, "wait": self.waits}
        values |= {name: numbers[:_MAX_VALUES] for name, numbers in milliseconds.items() if numbers}
        took = round((clock.elapsed() - self._started) * 1000, 1)
        document = {**self.fields, "milliseconds": took, **values, "_aws": _emf_metadata(values)}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def place(error: Exception) -> str:
    """Return where an unexpected error was raised. Its own text may quote data, so it is left out."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}, line {frame.lineno}"


def _emf_metadata(values: dict[str, Any]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": "Milliseconds" if name in ("lag", "wait") else "Count"} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [DIMENSIONS], "Metrics": metrics}
    return {"Timestamp": clock.now(), "CloudWatchMetrics": [directive]}
