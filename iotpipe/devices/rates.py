"""Keeps each AWS IoT operation at the rate that AWS grants an account, so that enrolments do not get throttled."""

from __future__ import annotations

import threading

from iotpipe.provision.run import Clock

RATES = {
    "create_thing": 100,
    "update_thing": 100,
    "delete_thing": 100,
    "attach_thing_principal": 100,
    "detach_thing_principal": 100,
    "attach_policy": 15,
    "detach_policy": 15,
    "create_certificate_from_csr": 15,
}
"""Calls per second of one account and region, from AWS's quotas."""
_OTHER = 10

_NEVER = threading.Event()


class Rates:
    """A token bucket for each operation, filled at AWS's rate, for the threads of one command."""

    def __init__(self, clock: Clock, limited: bool) -> None:
        """With `limited=False` nothing waits: an emulator has no quotas."""
        self._clock = clock
        self._limited = limited
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, operation: str) -> None:
        """Wait until the operation may be called. A stop of the command does not end it: the wait is short."""
        if not self._limited:
            return
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next.get(operation, now))
            self._next[operation] = turn + 1 / RATES.get(operation, _OTHER)
        if turn > now:
            self._clock.sleep(turn - now, _NEVER)
