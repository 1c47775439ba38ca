"""The settings of the section `processing`: each with its default, range and meaning.

The handlers and the configuration's model both take them from here. Imports no AWS client, so that a configuration is
checked without loading one.
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
    """Each setting with the value that it has when the parameter does not say it."""

    batch_size: int = _whole(100, 1, 500, "Readings that a handler stores and queues in one go, at most.")
    processing_timeout: int = _whole(60, 1, 900, "Seconds that a handler may spend; what is left then goes back.")
    max_readings: int = _whole(500, 1, 500, "Readings that one request may carry.")
    alert_threshold: int = _whole(
        *(5, 0, 10_000),
        "Failed records of one batch that still raise no alert; less than queue.batch_size. Default: 5, and 1 less "
        "than queue.batch_size where that is smaller.",
    )
    alert_cooldown: int = _whole(900, 0, 604_800, "Seconds between two such alerts, at least.")
    past_days: int = _whole(365, 0, 36_500, "Days by which a timestamp may lie in the past.")
    future_minutes: int = _whole(10, 0, 525_600, "Minutes by which a timestamp may lie in the future.")


WHOLE_NUMBERS: dict[str, Whole] = {each.name: each.metadata["whole"] for each in fields(ProcessingSettings)}
"""Every setting of the section, by its name."""
