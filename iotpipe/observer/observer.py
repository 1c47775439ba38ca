"""Keeps what was seen of one environment, and samples its sources when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iotpipe.observer.snapshot import DeviceList, Snapshot
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


class Observer:
    """Looks at one environment. Its methods are thread-safe and change nothing.

    `connect` returns a connection, again after one was lost; it raises IotpipeError if there is nothing to connect to.
    """

    def __init__(
        self, environment: str, connect: Callable[[], Run], resources: Sequence[Resource], suffix: str
    ) -> None:
        raise NotImplementedError

    def snapshot(self, range_seconds: int = 900) -> Snapshot:
        """What is known now; sources that are due are asked first. The range is one of RANGES (else ValueError)."""
        raise NotImplementedError

    def devices(self) -> DeviceList:
        """The devices; waits until they were read once. Before, and without a connection, the time is None."""
        raise NotImplementedError

    def series(
        self, devices: Sequence[str], metrics: Sequence[str], every: str, start: int, end: int
    ) -> dict[str, Any]:
        """The answer of GET /query with `every`, all its pages joined, with at most 5,000 buckets.

        Raises UsageError if a parameter is not valid, and ResourceError if the table cannot be read.
        """
        raise NotImplementedError

    def rows(self, device: str, table: str, limit: int) -> list[str]:
        """The newest rows of the table "processed" or "raw", newest first, each as JSON text with all digits.

        Raises UsageError if a parameter is not valid, and ResourceError if the table cannot be read.
        """
        raise NotImplementedError

    def dead_letters(self) -> dict[str, Any]:
        """The first 100 dead letters, which stay in their queue: `looked_at`, `total` and `items`.

        Raises IotpipeError if they cannot be read.
        """
        raise NotImplementedError
