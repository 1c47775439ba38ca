"""In which state each service of the emulated account is: what was read of one stays true while its state lasts.

A service goes by the first part of its address, monitoring for CloudWatch.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber

States = dict[str, int]

SERVICES = frozenset({"apigateway", "dynamodb", "iam", "lambda", "logs", "monitoring", "sns", "sqs", "ssm"})
READING = re.compile(r"Get|List|Describe|Lookup|Query|Scan|Filter")

_numbers = itertools.count(1)
_states: States = {}
_reset: Any = BackendDict.reset.__func__  # type: ignore[attr-defined] # a class method, whatever mypy takes it for
_process: Any = BotocoreStubber.process_request


def watch_states() -> None:
    """From now on, know what changes a service of moto."""

    def reset(kind: type[BackendDict]) -> None:
        _reset(kind)
        _states.clear()

    def process(stub: BotocoreStubber, request: Any) -> Any:
        with _changing(request):
            return _process(stub, request)

    BackendDict.reset = classmethod(reset)  # type: ignore[assignment, method-assign]
    BotocoreStubber.process_request = process  # type: ignore[method-assign]


def state(service: str) -> int:
    """The state of this service: the number is the same as long as nothing writes to it, and when it is put back."""
    return _states.setdefault(service, next(_numbers))


def states() -> States:
    """The states of all services, to be put back with what they hold."""
    return dict(_states)


def put_back_states(taken: States) -> None:
    """The services hold again what they held in these states."""
    _states.clear()
    _states.update(taken)


@contextmanager
def _changing(request: Any) -> Iterator[None]:
    """The service gets this request, and is in another state from then on if it does more than read."""
    if _reads(request):
        yield
        return
    host = urlsplit(request.url).netloc
    _change(host)  # whoever reads meanwhile keeps what it reads for no state that lasts
    try:
        yield
    finally:
        _change(host)


def _change(host: str) -> None:
    # A table may be asked for at 123456789012.ddb.us-east-1.amazonaws.com.
    service = "dynamodb" if ".ddb." in host else host.partition(".")[0]
    if service in SERVICES:
        _states[service] = next(_numbers)
    else:  # as the tagging service, it may write to all of them
        _states.clear()


def _reads(request: Any) -> bool:
    """Whether the request only asks. What cannot be told is taken for a change."""
    if target := request.headers.get("X-Amz-Target"):
        operation = target.decode() if isinstance(target, bytes) else target
        return READING.match(operation.rpartition(".")[2]) is not None
    if "/operation/" in request.url:
        return READING.match(request.url.rpartition("/operation/")[2]) is not None
    if request.method == "POST":
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        asked = parse_qs(body).get("Action", [""]) if isinstance(body, str) else [""]
        return READING.match(asked[0]) is not None
    return bool(request.method == "GET")
