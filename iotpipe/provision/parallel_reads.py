"""Asks AWS many questions at once."""

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
    """Questions that are asked in parallel, in the order in which they come. `unread` says what AWS refused to tell.

    A question that waits for another's answer has to come after it, so that it never waits in vain. `changed` says
    that the command has changed something before.
    """

    def __init__(self, run: Run, changed: bool = False) -> None:
        self.run = run
        self.changed = changed
        self.unread: list[str] = []
        self._pool = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="iotpipe-read")
        self._asked: list[tuple[Future[Any], bool]] = []

    def __enter__(self) -> Reads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.__exit__(kind, error, at)

    def must(self, address: str, ask: Callable[[], T]) -> Callable[[], T]:
        """Ask; the command fails where AWS does not answer. The result gives the answer."""
        return self._submit(address, ask, needed=True).result

    def may(self, address: str, ask: Callable[[], T]) -> Callable[[], T | None]:
        """Ask; where the credentials may not read it, the answer is None, and `unread` says so."""
        future = self._submit(address, ask, needed=False)
        return lambda: None if future.exception() else future.result()

    def ahead(self, ask: Callable[[], Any]) -> None:
        """Ask once what another question will want to know; where it fails, that one asks again and tells.

        It may be about what is not there any more: nobody waits for that.
        """
        self._pool.submit(ask)

    def _submit(self, address: str, ask: Callable[[], T], needed: bool) -> Future[T]:
        future = self._pool.submit(self.run.with_retries, "read", address, lambda attempt: ask())
        self._asked.append((future, needed))
        return future

    def wait(self) -> None:
        """Wait for every answer. Raises CredentialsError or Interrupted, else ApplyFailed with all that failed."""
        failed: list[IotpipeError] = []
        asked, self._asked = self._asked, []
        for future, needed in asked:
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
