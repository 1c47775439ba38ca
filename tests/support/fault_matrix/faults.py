"""The faults of the matrix: what AWS says when it will not, what a bad line does, and when one of them strikes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from moto.core.models import botocore_stubber

from iotpipe.provision.run import Run


class Call(NamedTuple):
    """One call of a command: the nth (from 1) with which this operation is asked for on behalf of this resource."""

    address: str
    service: str
    operation: str
    nth: int

    def __str__(self) -> str:
        return f"{self.service} {self.operation} number {self.nth} for {self.address}"


class Words(NamedTuple):
    """An answer of AWS's: its code, its message and the HTTP status."""

    code: str
    message: str
    status: int


THROTTLED, BROKEN, DROPPED, LOST = "throttled", "500", "dropped", "answer lost"
DENIED, EXPIRED, KILLED = "denied", "expired", "killed"
PASSING = (THROTTLED, BROKEN, DROPPED, LOST)

_RATE = Words("ThrottlingException", "Rate exceeded", 400)
_INTERNAL = "The request processing has failed because of an unknown error, exception or failure."
_LAMBDA_INTERNAL = "An error occurred and the request cannot be processed."
_USER = "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: {} because no identity-based "
_NOT_ALLOWED = _USER + "policy allows the action"
_TOKEN = "The security token included in the request is expired"

_THROTTLED = {
    "apigateway": Words("TooManyRequestsException", "Too Many Requests", 429),
    "cloudwatch": Words("Throttling", "Rate exceeded", 400),
    "dynamodb": Words("ThrottlingException", "Rate of requests exceeds the allowed throughput.", 400),
    "iam": Words("Throttling", "Rate exceeded", 400),
    "iot": Words("ThrottlingException", "Rate exceeded", 400),
    "lambda": Words("TooManyRequestsException", "Rate exceeded", 429),
    "logs": _RATE,
    "resourcegroupstaggingapi": Words("ThrottledException", "Rate exceeded", 400),
    "sns": Words("Throttled", "Rate exceeded", 429),
    "sqs": Words("RequestThrottled", "The request was denied due to request throttling.", 400),
    "ssm": _RATE,
    "sts": Words("Throttling", "Rate exceeded", 400),
}
_BROKEN = {
    # Also the load balancer in front of a service breaks, and says nothing but the status.
    "apigateway": Words("", "", 500),
    "cloudwatch": Words("InternalServiceError", _INTERNAL, 500),
    "dynamodb": Words("InternalServerError", _INTERNAL, 500),
    "iam": Words("ServiceFailure", _INTERNAL, 500),
    "iot": Words("InternalFailureException", _INTERNAL, 500),
    "lambda": Words("ServiceException", _LAMBDA_INTERNAL, 500),
    "logs": Words("ServiceUnavailableException", "The service cannot complete the request.", 500),
    "resourcegroupstaggingapi": Words("InternalServiceException", _INTERNAL, 500),
    "sns": Words("InternalError", _INTERNAL, 500),
    "sqs": Words("InternalError", "We encountered an internal error. Please try again.", 500),
    "ssm": Words("InternalServerError", _INTERNAL, 500),
    "sts": Words("InternalFailure", _INTERNAL, 500),
}
_QUERY = ("cloudwatch", "iam", "sns", "sqs", "sts")
"""Services that speak, or once spoke, the query protocol, and kept its codes."""


def words(fault: str, service: str, operation: str) -> Words:
    """What this service says to this operation."""
    if fault == THROTTLED:
        return _THROTTLED[service]
    if fault == BROKEN:
        return _BROKEN[service]
    if fault == EXPIRED:
        return Words("ExpiredToken" if service in _QUERY else "ExpiredTokenException", _TOKEN, 403)
    code = (
        "AuthorizationError" if service == "sns" else "AccessDenied" if service in _QUERY else "AccessDeniedException"
    )
    return Words(code, _NOT_ALLOWED.format(f"{service}:{operation}"), 403)


@dataclass
class Wire:
    """Every call that goes out while it is the current one, in order, and the fault that strikes some of them."""

    fault: str = ""
    strikes: Callable[[Call], bool] = lambda call: False
    calls: list[Call] = field(default_factory=list)
    hits: list[Call] = field(default_factory=list)
    answered: Callable[[str], None] = lambda operation: None
    """Is told after each call."""
    about: Callable[[], None] = lambda: None
    """Is told before each call."""
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before_call(self, service: str, operation: str) -> Words | None:
        """The answer that the fault puts in AWS's place, if it does."""
        with self._lock:
            asked = (getattr(_thread, "address", ""), service, operation)
            self._counts[asked] += 1
            call = Call(*asked, self._counts[asked])
            self.calls.append(call)
            struck = self.strikes(call)
            if struck:
                self.hits.append(call)
        self.about()
        _thread.struck = struck and self.fault in (DROPPED, LOST)
        return words(self.fault, service, operation) if struck and not _thread.struck else None

    def before_send(self, request: Any, event_name: str) -> None:
        """A bad line. It strikes the first time that botocore sends the call, and not when it sends it again."""
        struck, _thread.struck = getattr(_thread, "struck", False), False
        if struck and self.fault == LOST:
            botocore_stubber(event_name=event_name, request=request)
            raise ConnectionClosedError(endpoint_url=request.url)
        if struck:
            raise EndpointConnectionError(endpoint_url=request.url)


_thread = threading.local()
_trying = Run.with_retries


def _noted(self: Run, verb: str, address: str, attempt: Callable[[int], Any], inside: str = "") -> Any:
    """Notes on whose behalf this thread calls AWS."""
    before, _thread.address = getattr(_thread, "address", ""), address
    try:
        return _trying(self, verb, address, attempt, inside)
    finally:
        _thread.address = before


@contextmanager
def attributed() -> Iterator[None]:
    """Inside, every call is known to be some resource's."""
    with patch.object(Run, "with_retries", _noted):
        yield


def once_at(calls: Collection[Call]) -> Callable[[Call], bool]:
    """Strikes each of these calls once."""
    return lambda call: call in calls


def from_then_on(first: Call) -> Callable[[Call], bool]:
    """Strikes this call and every one after it."""
    begun = threading.Event()

    def strikes(call: Call) -> bool:
        if call == first:
            begun.set()
        return begun.is_set()

    return strikes


def always(one: Call) -> Callable[[Call], bool]:
    """Strikes every call of the same operation."""
    return lambda call: (call.service, call.operation) == (one.service, one.operation)
