"""Describe the data that is lost when resources are deleted."""

from __future__ import annotations

from collections.abc import Iterable

from iotpipe.operations.queue_client import messages_lost
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


def lost(run: Run, addresses: Iterable[str]) -> list[str]:
    """One line per resource that loses messages, an API key or a URL. The caller reports the rows of tables."""
    return [line for address in addresses if (line := _lost(run, address))]


def _lost(run: Run, address: str) -> str:
    kind, _, name = address.partition("/")
    match Resource.kinds[kind].holds:
        case "messages":
            return messages_lost(run, name)
        case "key":
            return f"{address}: the API key; a new environment gets another one"
        case "URL" if not Resource.kinds[kind].inside:
            return f"{address}: its URL; a new environment gets another one"
    return ""
