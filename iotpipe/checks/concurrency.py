"""Check the account's Lambda concurrency against the functions' reservations and the queue's maximum concurrency."""

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
MIN_UNRESERVED = 100
"""The executions that AWS keeps for functions without a reservation; they cannot be reserved.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
_MIN_MAXIMUM_CONCURRENCY = 2
"""The smallest maximum concurrency of an event source mapping."""


@dataclass(frozen=True)
class Pool:
    """The concurrent executions of an account in one region: the limit, and those that are not reserved."""

    limit: int
    unreserved: int

    @property
    def free(self) -> int:
        """How many more can be reserved."""
        return max(0, self.unreserved - MIN_UNRESERVED)


def account_settings(run: Run) -> Mapping[str, Any]:
    """Lambda's limits for this account and region, and their use; read once per run."""
    get_account_settings = run.client("lambda").get_account_settings
    response: Mapping[str, Any] = run.once(
        "Lambda's account settings",
        lambda: run.with_retries("read", "Lambda's account settings", lambda attempt: get_account_settings()),
    )
    return response


def pool(run: Run) -> Pool:
    """The concurrency of this account and region."""
    limits = account_settings(run)["AccountLimit"]
    return Pool(limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"])


def check(run: Run, resources: Sequence[Resource]) -> list[Finding]:
    """Check reservations and the queue. Raises ResourceError if AWS does not answer."""
    available, growth = pool(run), _growth(run, resources)
    return [_reservations(run, resources, available, growth), *_throttled_queue(resources, available)]


def refusal(run: Run, resources: Sequence[Resource], rows: Mapping[str, Row]) -> list[Finding]:
    """Check the reservations that are to be created or raised; without any, AWS is not called.

    If the ledger already shows a raise, the limits are read first, in parallel to the plan's reads of the functions.
    """
    if any(_recorded(rows.get(function.address)) < _reserved(function) for function in _functions(resources)):
        account_settings(run)
    growth = _growth(run, resources)
    if not any(more > 0 for more in growth.values()):
        return []
    return [_reservations(run, resources, pool(run), growth)]


def _functions(resources: Sequence[Resource]) -> list[Function]:
    return [each for each in resources if isinstance(each, Function)]


def _reserved(function: Function) -> int:
    return function.reserved_concurrency or 0


def _recorded(row: Row | None) -> int:
    return (row.properties.get("ReservedConcurrentExecutions") or 0) if row and row.status == "ready" else 0


def _growth(run: Run, resources: Sequence[Resource]) -> dict[Function, int]:
    """The difference between each function's declared and actual reservation."""
    return {each: _reserved(each) - _live(run, each) for each in _functions(resources)}


def _live(run: Run, function: Function) -> int:
    observed = run.with_retries("read", function.address, lambda attempt: run.look(function))
    return (observed or {}).get("ReservedConcurrentExecutions") or 0


def _reservations(run: Run, resources: Sequence[Resource], available: Pool, growth: Mapping[Function, int]) -> Finding:
    more = sum(growth.values())
    limits = (
        f"the limit is {available.limit:,} concurrent executions in {run.aws.region}, "
        f"{available.unreserved:,} of them unreserved"
    )
    if more <= 0 or more <= available.free:
        needs = f"reserved_concurrency needs {f'{more:,}' if more > 0 else 'no'} more"
        return ok(CHECK, f"{needs}; {limits}")
    parts = ", ".join(f"{_short(function)} {_reserved(function):,}" for function in growth if _reserved(function))
    free = f"only {available.free:,} are" if available.free else "none is"
    return problem(
        CHECK,
        f"reserved_concurrency needs {more:,} more concurrent executions than now ({parts}), and {free} available: "
        f"{limits}, and AWS keeps {MIN_UNRESERVED} for functions without a reservation",
        f"Set {_settings(resources, available, growth)}; or request more concurrent executions "
        "(Service Quotas, AWS Lambda, quota L-B99A9384)",
    )


def _short(function: Function) -> str:
    """The function's name in the configuration."""
    return function.handler.split(".")[-2]


def _settings(resources: Sequence[Resource], available: Pool, growth: Mapping[Function, int]) -> str:
    """Configuration values that fit the limit: equal reservations, or none if they would be too small."""
    reserving = [function for function in growth if _reserved(function)]
    share = (available.free + sum(_reserved(each) - growth[each] for each in reserving)) // len(reserving)
    values = {each: min(share, _reserved(each)) if share >= _MIN_MAXIMUM_CONCURRENCY else None for each in reserving}
    lines = [f"functions.{_short(each)}.reserved_concurrency: {_yaml(value)}" for each, value in values.items()]
    for mapping in _mappings(resources):
        reservation = values.get(mapping.function, mapping.function.reserved_concurrency)
        maximum = _queue_share(available) if reservation is None else reservation
        if mapping.maximum_concurrency > maximum:
            lines.append(f"queue.maximum_concurrency: {maximum}")
    return ", ".join(lines[:-1]) + f" and {lines[-1]}" if len(lines) > 1 else lines[0]


def _yaml(value: int | None) -> str:
    return "null" if value is None else str(value)


def _mappings(resources: Sequence[Resource]) -> list[EventSourceMapping]:
    return [each for each in resources if isinstance(each, EventSourceMapping) and each.enabled]


def _queue_share(available: Pool) -> int:
    """The share of one queue in the concurrency of all functions without a reservation: half of it."""
    return max(_MIN_MAXIMUM_CONCURRENCY, available.unreserved // 2)


def _throttled_queue(resources: Sequence[Resource], available: Pool) -> list[Finding]:
    """Warn if the queue may be throttled: each throttled invocation counts as a receive, until the DLQ."""
    return [
        warning(
            CHECK,
            f"the queue may have {mapping.maximum_concurrency:,} batches processed at once, and the functions without "
            f"a reservation share {available.unreserved:,} executions: throttled messages return to the queue, and "
            f"after {mapping.queue.max_receives} receives they are dead letters",
            f"Set queue.maximum_concurrency: {_queue_share(available)}",
        )
        for mapping in _mappings(resources)
        if mapping.function.reserved_concurrency is None and mapping.maximum_concurrency >= available.unreserved
    ]
