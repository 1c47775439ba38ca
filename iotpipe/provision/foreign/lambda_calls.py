"""Calls to Lambda that tolerate deleted resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iotpipe.provision.run import Run

Response = Mapping[str, Any]
"""One resource or setting as AWS returns it."""


def list_all(run: Run, operation: str, key: str, **parameters: str) -> list[Response]:
    """Return all pages of a list; empty if the function does not exist."""
    client = run.client("lambda")
    try:
        return [each for page in client.get_paginator(operation).paginate(**parameters) for each in page[key]]
    except client.exceptions.ResourceNotFoundException:
        return []


def call_if_exists(run: Run, operation: str, **parameters: Any) -> bool:
    """Make the call. Return False if the resource does not exist."""
    client = run.client("lambda")
    try:
        getattr(client, operation)(**parameters)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def removal(run: Run, operation: str, **parameters: Any) -> Callable[[], None]:
    """Return a removal that makes this one call."""

    def remove() -> None:
        call_if_exists(run, operation, **parameters)

    return remove
