"""The settings of the section `processing`, with defaults, ranges and descriptions.

The handlers and the configuration model both use them. Imports no AWS client, so that checking a configuration does not
load one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Whole:
    """A setting that is a whole number from `low` to `high`."""

    default: int
    low: int
    high: int
    meaning: str


def _whole(default: int, low: int, high: int, meaning: str) -> Any:
    return field(default=default, metadata={"whole": Whole(default, low, high, meaning)})


@dataclass(frozen=True)
class ProcessingSettings:
    """The settings with their defaults."""

    batch_size: int = _whole(100, 1, 500, "Maximum number of readings that a handler stores and queues at once.")
    processing_timeout: int = _whole(
        60, 1, 900, "Seconds that a handler may take; the remaining messages return to the queue."
    )
    max_readings: int = _whole(500, 1, 500, "Maximum number of readings in one request.")
    alert_threshold: int = _whole(
        *(5, 0, 10_000),
        "Failed records of one batch that do not raise an alert yet; less than queue.batch_size. Default: 5, or 1 less "
        "than queue.batch_size if that is smaller.",
    )
    alert_cooldown: int = _whole(900, 0, 604_800, "Minimum seconds between two alerts.")
    past_days: int = _whole(365, 0, 36_500, "Maximum age of a timestamp, in days.")
    future_minutes: int = _whole(10, 0, 525_600, "Maximum minutes that a timestamp may be in the future.")


WHOLE_NUMBERS: dict[str, Whole] = {each.name: each.metadata["whole"] for each in fields(ProcessingSettings)}
"""The settings of the section, by name."""
