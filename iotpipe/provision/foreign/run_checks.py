"""Runs the checks for foreign changes on the resources that were read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iotpipe.provision.foreign import CHECKS
from iotpipe.provision.foreign.finding import RISKS, CheckedResource, Foreign, Read, default_to_empty
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


def start_reads(reads: Reads, resources: Sequence[Resource]) -> None:
    """Start the further reads that the checks need."""
    for resource in resources:
        for ask in CHECKS[resource.kind].reads:
            reads.optional(resource.address, _read(reads.run, resource, ask))


def _read(run: Run, resource: Resource, ask: Read) -> Callable[[], Any]:
    return lambda: run.answer(resource, ask)


def run_checks(run: Run, resources: Sequence[Resource]) -> list[Foreign]:
    """Return the findings on the resources, the worst risk first."""
    findings = [finding for resource in resources for finding in _findings(run, resource)]
    return sorted(findings, key=lambda finding: RISKS.index(finding.risk))


def _findings(run: Run, resource: Resource) -> list[Foreign]:
    observed, check = run.look(resource), CHECKS[resource.kind]
    if observed is None and not check.absent:
        return []
    for ask in check.reads:
        default_to_empty(run, resource, ask)
    return list(check.find(CheckedResource(run, resource, observed or {})))
