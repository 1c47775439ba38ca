"""AWS clients made on first use, and the one loop that tries again what AWS did not do."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from iotpipe.handlers import clock

logger = logging.getLogger(__name__)


class Unconfirmed(Exception):
    """AWS answered, but with nothing that says what became of the request: it may have been done or not."""


FAILED = (ClientError, BotoCoreError, ResponseParserError, Unconfirmed)

# Tried again here and not by botocore, so that it ends when the invocation's time does. "standard" because
# the legacy mode reads a data file that a trimmed botocore need not have.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 1},
    parameter_validation=False,
)
_MOST_ATTEMPTS = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

# Errors of status 400 that are over a moment later, as far as the services used here send them.
_PASSING = {
    "KmsThrottled",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}

_lock = threading.Lock()
_session: Any = None
_clients: dict[str, Any] = {}


def client(service: str) -> Any:
    """The botocore client of a service, made when first asked for: that takes tens of milliseconds."""
    if service not in _clients:
        with _lock:
            if service not in _clients:
                _clients[service] = _make(service)
    return _clients[service]


def _make(service: str) -> Any:
    global _session
    _session = _session or botocore.session.get_session()
    return _session.create_client(service, os.environ.get("AWS_REGION"), config=_CONFIG)


@contextmanager
def answering() -> Iterator[None]:
    """Put around one call and nothing else. Raises Unconfirmed for an answer that botocore's parser stumbles over.

    Its JSON parser trusts the shape of a document: `null`, `[]` or a text for a list end in these errors, whatever
    the status is. HTML or a document that is cut off give an empty answer instead.
    """
    try:
        yield
    except (AttributeError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise Unconfirmed(f"an answer that cannot be read: {type(error).__name__}") from error


def code(error: Exception) -> str:
    """AWS's error code, or the name of what went wrong on the way there."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or "Unknown")
    return type(error).__name__


def describe(error: Exception) -> str:
    """An error for the log, on one line. A ValidationException may quote what was sent: only its code."""
    return code(error) if code(error) == "ValidationException" else " ".join(str(error).split())[:500]


def passing(error: Exception) -> bool:
    """Whether the same call may succeed a moment later."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or code(error) in _PASSING


def attempts(budget: clock.Budget, most: int = _MOST_ATTEMPTS) -> Iterator[None]:
    """Go round while there is time, `most` times, after growing and jittered pauses."""
    pause = 0.0
    for attempt in range(most):
        if budget.left() <= pause:
            return
        if attempt:
            clock.sleep(pause)
        yield
        pause = clock.chance() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)


@dataclass
class Outcome:
    """What one call left undone, by index: to be tried again, or refused for good; each with its reason."""

    again: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def settle(count: int, once: Callable[[list[int]], Outcome], budget: clock.Budget) -> dict[int, str]:
    """Call `once` with the indexes still undone until none is left or time is; answer those with reasons."""
    refused: dict[int, str] = {}
    again = dict.fromkeys(range(count), clock.OUT_OF_TIME)
    for _ in attempts(budget):
        outcome = _guarded(once, list(again))
        refused |= outcome.refused
        again = outcome.again
        if not again:
            break
    return refused | again


def _guarded(once: Callable[[list[int]], Outcome], indexes: list[int]) -> Outcome:
    try:
        return once(indexes)
    except FAILED as error:
        reasons = dict.fromkeys(indexes, code(error))
        if passing(error):
            return Outcome(again=reasons)
        if code(error) == "ValidationException" and len(indexes) > 1:
            return _one_by_one(once, indexes)
        logger.error("AWS refused: %s", describe(error))
        return Outcome(refused=reasons)


def _one_by_one(once: Callable[[list[int]], Outcome], indexes: list[int]) -> Outcome:
    """DynamoDB refuses a whole batch for one bad item without naming it: alone, the good ones get in."""
    whole = Outcome()
    for index in indexes:
        alone = _guarded(once, [index])
        whole.again |= alone.again
        whole.refused |= alone.refused
    return whole
