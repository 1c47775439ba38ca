"""The connection to an environment's AWS, for sources that outlive it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from iotpipe.errors import IotpipeError
from iotpipe.observer.source import Sampled
from iotpipe.provision.run import Clock, Run

_RECONNECT = 5.0
"""Seconds between two attempts to connect."""


class Connection:
    """A connection that is made anew after it was lost, at most every few seconds."""

    def __init__(self, connect: Callable[[], Run], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._tried: float | None = None
        self._lock = threading.Lock()
        self.run: Run | None = None
        self.error: IotpipeError | None = None

    def get(self, sources: Sequence[Sampled]) -> Run | None:
        """The connection, made anew if a source has lost it; None if there is nothing to connect to."""
        with self._lock:
            now = self._clock.now()
            is_lost = self.run is None or self.error or any(source.is_cut_off for source in sources)
            if is_lost and (self._tried is None or not 0 <= now - self._tried < _RECONNECT):
                self._tried = now
                try:
                    self.run, self.error = self._connect(), None
                except IotpipeError as error:
                    self.error = error
                    for source in sources:
                        source.fail(error, int(now * 1000))
            return None if self.error else self.run

    def need(self) -> Run:
        """The connection. Raises IotpipeError if there is nothing to connect to."""
        run = self.get([])
        if run is None:
            assert self.error
            raise self.error
        return run
