"""Asks whether AWS would refuse to delete resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from iotpipe.provision.ledger import Row
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


def ask_for_obstacles(reads: Reads, rows: Mapping[str, Row]) -> dict[str, Callable[[], str]]:
    """Submit the question for each row. Returns functions that return why AWS would refuse; empty if it would not."""
    return {address: reads.required(address, _asked(reads.run, row)) for address, row in rows.items()}


def _asked(run: Run, row: Row) -> Callable[[], str]:
    return lambda: Resource.kinds[row.kind].deletion_obstacle(run, row.recorded())
