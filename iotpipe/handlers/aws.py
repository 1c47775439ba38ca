"""AWS clients made on first use, and the one loop that tries again what AWS did not do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from iotpipe.handlers import clock

logger = logging.getLogger(__name__)

UNREACHABLE = (BotoCoreError, ResponseParserError)
FAILED = (ClientError, *UNREACHABLE)

# Retries are made here and not by botocore, so that they end when the invocation's time does.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"total_max_attempts": 1},
    parameter_validation=False,
    max_pool_connections=4,
)
_MOST_ATTEMPTS = 8
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0

_PASSING = {
    "InternalFailure",
    "InternalServerError",
    "InternalServerErrorException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
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
    """The botocore client of a service. Making one takes tens of milliseconds, hence once and when needed."""
    made = _clients.get(service)
    if made is None:
        with _lock:
            made = _clients.get(service) or _make(service)
            _clients[service] = made
    return made


def _make(service: str) -> Any:
    global _session
    _session = _session or botocore.session.get_session()
    return _session.create_client(service, config=_CONFIG)


def code(error: Exception) -> str:
    """AWS's error code, or the name of what went wrong on the way there."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def passing(error: Exception) -> bool:
    """Whether the same call may succeed a moment later."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or code(error) in _PASSING


@dataclass
class Outcome:
    """What one call left undone, by index: to be tried again, or refused for good; each with its reason."""

    again: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def attempts(budget: clock.Budget) -> Iterator[None]:
    """Go round at least once, then with growing, jittered pauses as long as there is time."""
    yield
    for attempt in range(_MOST_ATTEMPTS - 1):
        pause = clock.chance() * min(_LONGEST_DELAY, _FIRST_DELAY * 2**attempt)
        if budget.left() <= pause:
            return
        clock.sleep(pause)
        yield


def settle(count: int, once: Callable[[list[int]], Outcome], budget: clock.Budget) -> dict[int, str]:
    """Call `once` with the indexes still undone until none is left or time is; answer those with reasons."""
    refused: dict[int, str] = {}
    again = dict.fromkeys(range(count), "not tried")
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
        logger.error("AWS refused: %s", error)
        return Outcome(refused=reasons)


def _one_by_one(once: Callable[[list[int]], Outcome], indexes: list[int]) -> Outcome:
    """AWS refuses a whole batch for one bad entry without naming it: alone, the good ones get in."""
    whole = Outcome()
    for index in indexes:
        alone = _guarded(once, [index])
        whole.again |= alone.again
        whole.refused |= alone.refused
    return whole
