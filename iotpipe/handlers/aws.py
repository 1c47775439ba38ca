"""AWS clients, created on first use, and the retry loop for all AWS calls."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from iotpipe.handlers import clock

logger = logging.getLogger(__name__)


class Unconfirmed(Exception):
    """AWS's response does not confirm the request: it may have been performed or not."""


ERRORS = (ClientError, BotoCoreError, ResponseParserError, Unconfirmed)

# This module retries, not botocore: retries have to end in time for the invocation's deadline. "standard", because the
# legacy mode reads a data file that the layer's trimmed botocore may lack.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 1},
    parameter_validation=False,
)
# A notice to a device must not delay the batch that it is about.
_SHORTER = {"iot-data": Config(connect_timeout=1, read_timeout=2)}
_MAX_ATTEMPTS = 8
_FIRST_PAUSE, _MAX_PAUSE = 0.05, 2.0

# Transient errors with status 400 of the services used here.
_TRANSIENT_CODES = {
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
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("given", default=None)


@contextmanager
def using(**clients: Any) -> Iterator[None]:
    """Let this thread call AWS with these clients, by service: outside of Lambda."""
    before = _given.set(clients)
    try:
        yield
    finally:
        _given.reset(before)


def client(service: str) -> Any:
    """Return the botocore client of a service. The first call creates it, which takes tens of milliseconds."""
    if (given := _given.get()) is not None:
        return given[service]
    if service not in _clients:
        with _lock:
            if service not in _clients:
                _clients[service] = _create(service)
    return _clients[service]


def _create(service: str) -> Any:
    global _session
    _session = _session or botocore.session.get_session()
    config = _CONFIG.merge(_SHORTER.get(service, Config()))
    return _session.create_client(service, os.environ.get("AWS_REGION"), config=config)


@contextmanager
def checked_response() -> Iterator[None]:
    """Raise Unconfirmed for a response that botocore cannot parse. Wrap it around a single AWS call only.

    botocore's JSON parser does not check the document's structure: `null`, `[]` or a string for a list cause these
    errors, whatever the status is. HTML and truncated documents give an empty response instead.
    """
    try:
        yield
    except (AttributeError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise Unconfirmed(f"a response that cannot be parsed: {type(error).__name__}") from error


def code(error: Exception) -> str:
    """Return AWS's error code, or the exception's name if the error is not from AWS."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or "Unknown")
    return type(error).__name__


def describe(error: Exception) -> str:
    """Return an error for the log, on one line; of a ValidationException only the code, as it may quote the data."""
    return code(error) if code(error) == "ValidationException" else " ".join(str(error).split())[:500]


def is_transient(error: Exception) -> bool:
    """Whether a retry of the same call may succeed."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or code(error) in _TRANSIENT_CODES


def attempts(budget: clock.Budget, limit: int = _MAX_ATTEMPTS) -> Iterator[None]:
    """Iterate up to `limit` times while there is time, with exponential backoff and jitter."""
    pause = 0.0
    for attempt in range(limit):
        if budget.remaining() <= pause:
            return
        if attempt:
            clock.sleep(pause)
        yield
        pause = clock.jitter() * min(_MAX_PAUSE, _FIRST_PAUSE * 2**attempt)


@dataclass
class Outcome:
    """The entries that one call left undone, by index with the reason: to be retried, or rejected permanently."""

    retry: dict[int, str] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)


def retry_undone(count: int, call: Callable[[list[int]], Outcome], budget: clock.Budget) -> dict[int, str]:
    """Call `call` with the undone indexes until none is left or time runs out; return the undone ones with reasons."""
    rejected: dict[int, str] = {}
    retry = dict.fromkeys(range(count), clock.OUT_OF_TIME)
    for _ in attempts(budget):
        outcome = _try_once(call, list(retry))
        rejected |= outcome.rejected
        retry = outcome.retry
        if not retry:
            break
    return rejected | retry


def _try_once(call: Callable[[list[int]], Outcome], indexes: list[int]) -> Outcome:
    try:
        return call(indexes)
    except ERRORS as error:
        reasons = dict.fromkeys(indexes, code(error))
        if is_transient(error):
            return Outcome(retry=reasons)
        if code(error) == "ValidationException" and len(indexes) > 1:
            return _one_by_one(call, indexes)
        logger.error("AWS rejected the call: %s", describe(error))
        return Outcome(rejected=reasons)


def _one_by_one(call: Callable[[list[int]], Outcome], indexes: list[int]) -> Outcome:
    """Send the entries one by one: DynamoDB rejects a whole batch for one invalid item without naming it."""
    whole = Outcome()
    for index in indexes:
        alone = _try_once(call, [index])
        whole.retry |= alone.retry
        whole.rejected |= alone.rejected
    return whole
