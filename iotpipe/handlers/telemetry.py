"""One JSON line per invocation: the log entry, and in it the metrics as CloudWatch reads them from a log."""

from __future__ import annotations

import json
import sys
from typing import Any

from iotpipe.handlers import clock, settings

NAMESPACE = "iotpipe"
_UNITS = {"lag": "Milliseconds", "duration": "Milliseconds"}
_cold = True


class Line:
    """What one invocation has to say; no bodies, no keys."""

    def __init__(self, function: str, context: Any) -> None:
        global _cold
        self._started = clock.elapsed()
        self.fields: dict[str, Any] = {"function": function}
        self.metrics: dict[str, float | list[float]] = {"cold_starts": int(_cold)}
        self.fields["lambda_request_id"] = getattr(context, "aws_request_id", None)
        _cold = False

    def annotations(self) -> dict[str, Any]:
        """What a trace is searched by: environment, route, status, counts."""
        chosen: dict[str, Any] = {
            name: self.fields[name] for name in ("route", "status") if name in self.fields
        }
        counts = {name: value for name, value in self.metrics.items() if isinstance(value, int)}
        return {"environment": settings.environment(), **chosen, **counts}

    def write(self) -> None:
        self.metrics["duration"] = round((clock.elapsed() - self._started) * 1000, 1)
        document = {"level": "INFO", "environment": settings.environment(), **self.fields, **self.metrics}
        document["_aws"] = {
            "Timestamp": clock.now(),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["environment", "function"]],
                    "Metrics": [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in self.metrics],
                }
            ],
        }
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
