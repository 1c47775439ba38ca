"""Parallel reads from AWS."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, IotpipeError, ResourceError
from iotpipe.provision.error_advice import is_denied
from iotpipe.provision.run import Run

READERS = 64
T = TypeVar("T")


class Reads:
    """Reads that run in parallel and start in the order of submission. `unread` lists optional reads that AWS denied.

    A read that waits for the result of another must be submitted after it, to avoid a deadlock of the thread pool.
    `changed` says that the command has already changed something.
    """

    def __init__(self, run: Run, changed: bool = False) -> None:
        self.run = run
        self.changed = changed
        self.unread: list[str] = []
        self._pool = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="iotpipe-read")
        self._submitted: list[tuple[Future[Any], bool]] = []

    def __enter__(self) -> Reads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, at)

    def required(self, address: str, ask: Callable[[], T]) -> Callable[[], T]:
        """Submit a required read: `wait` raises if it fails. Returns a function that returns the result."""
        return self._submit(address, ask, needed=True).result

    def optional(self, address: str, ask: Callable[[], T]) -> Callable[[], T | None]:
        """Submit an optional read: if the credentials lack the permission, the result is None and `unread` tells."""
        future = self._submit(address, ask, needed=False)
        return lambda: None if future.exception() else future.result()

    def prefetch(self, ask: Callable[[], Any]) -> None:
        """Prefetch a cached read that another read will need. Its errors are ignored: the other read repeats it.

        `wait` does not wait for it.
        """
        self._pool.submit(ask)

    def _submit(self, address: str, ask: Callable[[], T], needed: bool) -> Future[T]:
        future = self._pool.submit(self.run.with_retries, "read", address, lambda attempt: ask())
        self._submitted.append((future, needed))
        return future

    def wait(self) -> None:
        """Wait for all reads. Raises CredentialsError or Interrupted, else ApplyFailed with all failed reads."""
        failed: list[IotpipeError] = []
        submitted, self._submitted = self._submitted, []
        for future, needed in submitted:
            try:
                future.result()
            except IotpipeError as error:
                if isinstance(error, ResourceError) and not needed and is_denied(error.code):
                    self.unread.append(str(error))
                elif error not in failed:
                    failed.append(error)
        for kind in (CredentialsError, Interrupted):
            if ending := next((error for error in failed if isinstance(error, kind)), None):
                raise ending
        if failed:
            raise ApplyFailed(self.run.typed, failed, [], changed=self.changed)
