"""Goes through the resources that were read and says what others added, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iotpipe.provision.foreign import CHECKS
from iotpipe.provision.foreign.finding import RISKS, Foreign, Read, Seen, nothing_if_unread
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


def begin_checks(reads: Reads, resources: Sequence[Resource]) -> None:
    """Ask what the checks need to know besides what is read anyway."""
    for resource in resources:
        for ask in CHECKS[resource.kind].reads:
            reads.optional(resource.address, _asked(reads.run, resource, ask))


def _asked(run: Run, resource: Resource, ask: Read) -> Callable[[], Any]:
    return lambda: run.answer(resource, ask)


def judged(run: Run, resources: Sequence[Resource]) -> list[Foreign]:
    """What others added to the resources."""
    found = [each for resource in resources for each in _judged(run, resource)]
    return sorted(found, key=lambda each: RISKS.index(each.risk))


def _judged(run: Run, resource: Resource) -> list[Foreign]:
    observed, check = run.look(resource), CHECKS[resource.kind]
    if observed is None and not check.absent:
        return []
    for ask in check.reads:
        nothing_if_unread(run, resource, ask)
    return list(check.judge(Seen(run, resource, observed or {})))
