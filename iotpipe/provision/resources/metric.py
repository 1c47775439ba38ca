"""A CloudWatch metric, as alarms and dashboards refer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric as CloudWatch names it; `statistic` is its own word too (Sum, Maximum, p95, ...)."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str = "Sum"
