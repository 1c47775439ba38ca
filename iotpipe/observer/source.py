"""What all sources of numbers share: they are asked at most once per interval, and one that fails leaves the others."""

from __future__ import annotations

import threading

from iotpipe.errors import CredentialsError, IotpipeError, ResourceError
from iotpipe.observer.snapshot import Source
from iotpipe.provision.run import Run

_EARLY = 0.5
"""Seconds: somebody who asks every two seconds asks a little earlier now and then."""
_LATE = 10_000
"""Milliseconds after which a source that has not answered is said not to."""


class Sampled:
    """One source. `name` and `origin` are what a snapshot calls it; `interval` is in seconds.

    Keeps what was read last if reading fails, and says so until reading succeeds again.
    """

    def __init__(self, name: str, origin: str, interval: float) -> None:
        self.name = name
        self.origin = origin
        self.interval = interval
        self.as_of: int | None = None
        self.problem: str | None = None
        self.error: IotpipeError | None = None
        self._since: int | None = None
        self._asked: float | None = None
        self._expected: int | None = None
        self._lock = threading.Lock()

    def is_due(self, now: float) -> bool:
        """Whether the last sample is an interval old; `now` in epoch seconds. A clock set back makes it due as well."""
        return self._asked is None or not 0 <= now - self._asked < self.interval - _EARLY

    @property
    def is_busy(self) -> bool:
        """Whether it is being read."""
        return self._lock.locked()

    def expect(self, now: int) -> None:
        """Note that it is about to be read if that is due; `now` in epoch milliseconds."""
        if self._expected is None and self.is_due(now / 1000):
            self._expected = now

    def sample(self, run: Run) -> bool:
        """Read if it is due; returns whether it was."""
        with self._lock:
            now = run.clock.now()
            if not self.is_due(now):
                self._expected = None
                return False
            self._asked = now
            try:
                self.read(run, int(now * 1000))
            except IotpipeError as error:
                self.fail(error, int(now * 1000))
            else:
                self.as_of, self.problem, self._since, self.error = int(now * 1000), None, None, None
                self._expected = None
            return True

    def fail(self, error: IotpipeError, now: int) -> None:
        """Note why there is nothing new; `now` in epoch milliseconds."""
        self.error, self.problem, self._since = error, error.message, self._since or now
        self._expected = None

    @property
    def is_cut_off(self) -> bool:
        """Whether a new connection might help: AWS has not answered, or has not accepted the credentials."""
        error = self.error
        # Without an answer of AWS, the code is the name of botocore's exception.
        no_answer = isinstance(error, ResourceError) and error.code.endswith(("Error", "NotFromAws"))
        return isinstance(error, CredentialsError) or no_answer

    def told(self, now: int) -> Source:
        """The source as a snapshot shows it; `now` in epoch milliseconds."""
        expected = self._expected
        if self.problem is None and expected is not None and now - expected > _LATE:
            return Source(self.name, self.origin, self.as_of, "no answer yet", expected)
        return Source(self.name, self.origin, self.as_of, self.problem, self._since)

    def read(self, run: Run, now: int) -> None:
        """Ask, and keep the answer; `now` in epoch milliseconds. Raises IotpipeError."""
        raise NotImplementedError
