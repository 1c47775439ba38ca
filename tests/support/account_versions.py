"""Versions of what the emulated account holds: what was read of a service stays true while its version lasts.

Versions are known from the first snapshot of the account on, until the account is emptied.
"""

from __future__ import annotations

import itertools
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.responses import BaseResponse

Versions = dict[str, int]

READING = ("Get", "List", "Describe", "BatchGet", "Query", "Scan", "Filter", "Lookup")
SERVICES = ("apigateway", "awslambda", "cloudwatch", "dynamodb", "iam", "iot", "logs", "sns", "sqs", "ssm")
"""The services of moto whose contents are read."""

_numbers = itertools.count(1)
_versions: Versions = {}
_reset: Any = BackendDict.reset.__func__  # type: ignore[attr-defined] # a class method, whatever mypy takes it for
_call_action: Any = BaseResponse.call_action


def watch_changes() -> None:
    """From now on, notice each request that changes a service."""

    def reset(kind: type[BackendDict]) -> None:
        _reset(kind)
        _versions.clear()

    def call_action(response: BaseResponse) -> Any:
        if response._get_action().startswith(READING):
            return _call_action(response)
        # Also before: who reads meanwhile must not keep what it reads for the version that comes.
        _changed(response.service_name)
        try:
            return _call_action(response)
        finally:
            _changed(response.service_name)

    BackendDict.reset = classmethod(reset)  # type: ignore[assignment, method-assign]
    BaseResponse.call_action = call_action  # type: ignore[method-assign]


def _changed(service: str) -> None:
    if service in _versions:
        _versions[service] = next(_numbers)
    elif service not in SERVICES:  # such as the tagging service, which writes to all the others
        _versions.clear()


def version(service: str) -> int | None:
    """The version of what this service holds, if it is known."""
    return _versions.get(service)


def versions() -> Versions:
    """The versions of all services, for a snapshot."""
    for service in SERVICES:
        _versions.setdefault(service, next(_numbers))
    return dict(_versions)


def put_back_versions(taken: Versions) -> None:
    """The services hold again what they held at that snapshot."""
    _versions.clear()
    _versions.update(taken)
