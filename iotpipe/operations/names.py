"""What the queues and log groups of an environment are called, without its whole declaration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotpipe.provision.ledger import Row

FUNCTIONS = ("ingestion", "processor", "query")
_DEAD_LETTERS, _READINGS = "iot-dlq", "iot-ingestion-queue"


def recorded_suffix(rows: Iterable[Row]) -> str | None:
    """The suffix under which the environment was brought up; None where nothing of it is recorded."""
    bases = {"queue": (_DEAD_LETTERS, _READINGS), "function": tuple(f"data-{each}" for each in FUNCTIONS)}
    for row in rows:
        for base in bases.get(row.kind, ()):
            if row.name.startswith(f"{base}-"):
                return row.name.removeprefix(f"{base}-")
    return None


def dead_letters(suffix: str) -> str:
    """The queue of what could not be processed."""
    return f"{_DEAD_LETTERS}-{suffix}"


def readings(suffix: str) -> str:
    """The queue that the processor reads."""
    return f"{_READINGS}-{suffix}"


def log_group(function: str, suffix: str) -> str:
    """Where one of FUNCTIONS logs."""
    return f"/aws/lambda/data-{function}-{suffix}"
