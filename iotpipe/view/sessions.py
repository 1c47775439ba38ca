"""Who may read the page's data: a link is good once and for a minute, and gives the page a key."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

LINK_SECONDS = 60
_MOST_KEYS = 32
"""Each opened link adds a key; the oldest is forgotten beyond this number."""


class Sessions:
    """The tokens of links and the keys of pages, in memory only: both end with the command."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._keys: OrderedDict[str, None] = OrderedDict()

    def new_token(self) -> str:
        """A token for one link, good for LINK_SECONDS."""
        token = secrets.token_urlsafe(24)
        now = self._clock()
        with self._lock:
            self._tokens = {each: until for each, until in self._tokens.items() if until > now}
            self._tokens[token] = now + LINK_SECONDS
        return token

    def open(self, token: str) -> str | None:
        """A new key for the token, which is used up; None if it was used already, is too old or is not one."""
        with self._lock:
            known = [each for each in self._tokens if _equal(each, token)]
            until = self._tokens.pop(known[0]) if known else 0.0
            if until <= self._clock():
                return None
            key = secrets.token_urlsafe(32)
            self._keys[key] = None
            if len(self._keys) > _MOST_KEYS:
                self._keys.popitem(last=False)
        return key

    def knows(self, key: str) -> bool:
        with self._lock:
            return any([_equal(each, key) for each in self._keys])


def _equal(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much of the secret is right."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
