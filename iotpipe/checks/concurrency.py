"""Whether Lambda lets the functions reserve what the configuration says, and run what the queue may send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iotpipe.checks.finding import Finding, ok, problem, warning
from iotpipe.provision.ledger import Row
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.run import Run

CHECK = "concurrency"
KEPT = 100
"""What AWS keeps for functions without a reservation; of less than that, nothing can be reserved at all.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
_FEWEST = 2
"""The smallest maximum concurrency of an event source mapping."""


@dataclass(frozen=True)
class Pool:
    """The concurrent executions of an account in one region: all there are, and those that nobody has reserved."""

    limit: int
    unreserved: int

    @property
    def free(self) -> int:
        """How many more can be reserved."""
        return max(0, self.unreserved - KEPT)


def account_settings(run: Run) -> Mapping[str, Any]:
    """Lambda's limits for this account and region, and what it uses of them; asked for once."""
    ask = run.client("lambda").get_account_settings
    answer: Mapping[str, Any] = run.once(
        "Lambda's account settings",
        lambda: run.with_retries("read", "Lambda's account settings", lambda attempt: ask()),
    )
    return answer


def pool(run: Run) -> Pool:
    """What AWS has for this account and region."""
    limits = account_settings(run)["AccountLimit"]
    return Pool(limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"])


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Everything about the account's concurrency. Raises ResourceError where AWS does not say."""
    there, wanted = pool(run), _growth(run, resources)
    return [_reservations(run, resources, there, wanted), *_throttled_queue(resources, there)]


def refusal(run: Run, resources: Sequence[Resource], rows: Mapping[str, Row]) -> list[Finding]:
    """What Lambda would refuse; AWS is only asked where a reservation is to be made or raised.

    Where the ledger tells so, it is asked at once, so that nobody waits for it after the functions were read.
    """
    if any(_recorded(rows.get(each.address)) < _reserved(each) for each in _functions(resources)):
        account_settings(run)
    wanted = _growth(run, resources)
    if not any(more > 0 for more in wanted.values()):
        return []
    return [_reservations(run, resources, pool(run), wanted)]


def _functions(resources: Sequence[Resource]) -> list[Function]:
    return [each for each in resources if isinstance(each, Function)]


def _reserved(function: Function) -> int:
    return function.reserved_concurrency or 0


def _recorded(row: Row | None) -> int:
    return (row.properties.get("ReservedConcurrentExecutions") or 0) if row and row.status == "ready" else 0


def _growth(run: Run, resources: Sequence[Resource]) -> dict[Function, int]:
    """By how much each reservation is to change from what AWS has."""
    return {each: _reserved(each) - _live(run, each) for each in _functions(resources)}


def _live(run: Run, function: Function) -> int:
    observed = run.with_retries("read", function.address, lambda attempt: run.look(function))
    return (observed or {}).get("ReservedConcurrentExecutions") or 0


def _reservations(run: Run, resources: Sequence[Resource], there: Pool, wanted: Mapping[Function, int]) -> Finding:
    more = sum(wanted.values())
    has = f"this account may run {there.limit:,} at once in {run.aws.region}, {there.unreserved:,} of them unreserved"
    if more <= 0 or more <= there.free:
        needs = f"{more:,} more are to be reserved" if more > 0 else "no more are to be reserved"
        return ok(CHECK, f"{needs}; {has}")
    parts = ", ".join(f"{_short(each)} {_reserved(each):,}" for each in wanted if _reserved(each))
    can = f"only {there.free:,}" if there.free else "none"
    return problem(
        CHECK,
        f"the functions are to reserve {more:,} more concurrent executions than now ({parts}), and AWS lets {can} be "
        f"reserved: {has}, and AWS keeps {KEPT} for functions that reserve none",
        f"Set {_settings(resources, there, wanted)}; or ask AWS for more concurrent executions "
        "(Service Quotas, AWS Lambda, quota L-B99A9384)",
    )


def _short(function: Function) -> str:
    """The function's name in the configuration."""
    return function.handler.split(".")[-2]


def _settings(resources: Sequence[Resource], there: Pool, wanted: Mapping[Function, int]) -> str:
    """What to write into the configuration so that it fits: equal shares, or none where they would be tiny."""
    reserving = [each for each in wanted if _reserved(each)]
    share = (there.free + sum(_reserved(each) - wanted[each] for each in reserving)) // len(reserving)
    values = {each: min(share, _reserved(each)) if share >= _FEWEST else None for each in reserving}
    lines = [f"functions.{_short(each)}.reserved_concurrency: {_yaml(value)}" for each, value in values.items()]
    for mapping in _mappings(resources):
        at_once = values.get(mapping.function, mapping.function.reserved_concurrency)
        most = _most(there) if at_once is None else at_once
        if mapping.maximum_concurrency > most:
            lines.append(f"queue.maximum_concurrency: {most}")
    return ", ".join(lines[:-1]) + f" and {lines[-1]}" if len(lines) > 1 else lines[0]


def _yaml(value: int | None) -> str:
    return "null" if value is None else str(value)


def _mappings(resources: Sequence[Resource]) -> list[EventSourceMapping]:
    return [each for each in resources if isinstance(each, EventSourceMapping) and each.enabled]


def _most(there: Pool) -> int:
    """What one queue may take of the pool that all functions without a reservation share."""
    return max(_FEWEST, there.unreserved // 2)


def _throttled_queue(resources: Sequence[Resource], there: Pool) -> list[Finding]:
    """A message whose invocation is throttled counts as received: enough of that, and it is a dead letter."""
    return [
        warning(
            CHECK,
            f"the queue may have {mapping.maximum_concurrency:,} batches processed at once, and the functions without "
            f"a reservation share {there.unreserved:,} executions: messages that find none free go back, and after "
            f"{mapping.queue.max_receives} receives they are dead letters",
            f"Set queue.maximum_concurrency: {_most(there)}",
        )
        for mapping in _mappings(resources)
        if mapping.function.reserved_concurrency is None and mapping.maximum_concurrency >= there.unreserved
    ]
