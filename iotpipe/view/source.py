"""What the page asks for: the server calls it, and the observer of an environment answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from iotpipe.observer.snapshot import DeviceList, EnrolmentList, Snapshot


class Source(Protocol):
    """The pipeline as the page sees it; `iotpipe.observer.observer.Observer` is one.

    Several threads call it at once. Every method may raise IotpipeError, which the page shows with its hint.
    """

    def snapshot(self, range_seconds: int) -> Snapshot: ...

    def devices(self) -> DeviceList: ...

    def enrolment(self) -> EnrolmentList: ...

    def device(self, device_id: str) -> Mapping[str, Any]: ...

    def series(
        self,
        devices: Sequence[str],
        metrics: Sequence[str],
        every: str,
        start: int,
        end: int,
        gone: Callable[[], bool],
    ) -> Mapping[str, Any]:
        """Reads for minutes if there are many rows, but ends soon after nobody waits for the answer: `gone()`."""
        ...

    def rows(self, device: str, table: str, limit: int) -> Sequence[str]: ...

    def dead_letters(self) -> Mapping[str, Any]: ...
