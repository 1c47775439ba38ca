"""How the checks of Lambda ask AWS: what is gone is no error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iotpipe.provision.run import Run

Answer = Mapping[str, Any]
"""What AWS says of one thing."""


def pages(run: Run, operation: str, key: str, **asked: str) -> list[Answer]:
    """Everything that is listed; nothing where the function is gone."""
    client = run.client("lambda")
    try:
        return [each for page in client.get_paginator(operation).paginate(**asked) for each in page[key]]
    except client.exceptions.ResourceNotFoundException:
        return []


def unless_gone(run: Run, operation: str, **parameters: Any) -> bool:
    """Make the call; whether there was still something to make it about."""
    client = run.client("lambda")
    try:
        getattr(client, operation)(**parameters)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def removing(run: Run, operation: str, **parameters: Any) -> Callable[[], None]:
    """A removal that is this one call."""

    def remove() -> None:
        unless_gone(run, operation, **parameters)

    return remove
