"""Checks that `plan` and `up` make in addition to the plan: what AWS would reject halfway through an `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

from iotpipe.checks import api_gateway_logging, concurrency, kms_key, runtimes
from iotpipe.checks.finding import PROBLEM, Finding, unknown
from iotpipe.errors import RefusedError, ResourceError
from iotpipe.provision import plan as planning
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.ledger import Row
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.function import Function
from iotpipe.provision.run import Run


def planned(
    resources: Sequence[Resource],
    run: Run,
    rows: Mapping[str, Row],
    adopt: Adoption = NOTHING,
    *,
    protect: bool = False,
    foreign: bool = False,
) -> tuple[Plan, list[Finding]]:
    """The plan, and the findings of the checks, which run in parallel to the plan's reads.

    The embedded AWS has none of the checked limits. Raises what `plan` raises.
    """
    if run.aws.emulator:
        return planning.plan(resources, run, rows, adopt, protect=protect, foreign=foreign), []
    scope = adopt.scope(resources)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="iotpipe-preflight") as pool:
        running = [
            pool.submit(_run_check, concurrency.CHECK, lambda: concurrency.refusal(run, scope, rows)),
            pool.submit(_run_check, kms_key.CHECK, lambda: kms_key.refusal(run, resources)),
        ]
        plan = planning.plan(resources, run, rows, adopt, protect=protect, foreign=foreign)
        findings = [finding for each in running for finding in each.result()]
        findings += kms_key.too_early(run, plan, resources)
        return plan, [*findings, *api_gateway_logging.refusal(run, scope), *_runtimes(plan, run, scope)]


def refuse(findings: Sequence[Finding]) -> None:
    """Raise RefusedError with all problems and their remedies, if there is any."""
    reasons = [f"  {each.found}.\n    {each.remedy}." for each in findings if each.result == PROBLEM]
    if reasons:
        raise RefusedError("refused, and nothing was changed:\n" + "\n".join(reasons))


def today(run: Run) -> date:
    """The day in UTC, by the command's clock."""
    return datetime.fromtimestamp(run.clock.now(), UTC).date()


def _run_check(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except ResourceError as error:
        return [unanswered(name, error)]


def unanswered(name: str, error: ResourceError) -> Finding:
    """The finding of a check whose call failed, with the first line of the error: some emulators return pages."""
    reason = error.message.partition("\n")[0].rstrip(" :")
    return unknown(name, reason, error.hint or "Try again later; `up` continues without this check")


def _runtimes(plan: Plan, run: Run, resources: Sequence[Resource]) -> Iterator[Finding]:
    planned_actions: dict[str, set[str]] = {}
    for each in resources:
        if isinstance(each, Function):
            planned_actions.setdefault(each.runtime, set()).add(plan.of(each.address).action)
    for runtime, actions in planned_actions.items():
        yield from runtimes.refusal(runtime, today(run), actions)
