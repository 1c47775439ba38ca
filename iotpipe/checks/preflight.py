"""What `plan` and `up` look at beyond what they read anyway: AWS would refuse it halfway through an `up`."""

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
    """The plan, and what else stands in its way or cannot be told; AWS is asked about both at the same time.

    An AWS on this machine has none of the limits that are looked at. Raises what `plan` raises.
    """
    if run.aws.emulator:
        return planning.plan(resources, run, rows, adopt, protect=protect, foreign=foreign), []
    scope = adopt.scope(resources)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="iotpipe-preflight") as beside:
        asked = [
            beside.submit(_asked, concurrency.CHECK, lambda: concurrency.refusal(run, scope, rows)),
            beside.submit(_asked, kms_key.CHECK, lambda: kms_key.refusal(run, resources)),
        ]
        steps = planning.plan(resources, run, rows, adopt, protect=protect, foreign=foreign)
        told = [finding for each in asked for finding in each.result()]
        told += kms_key.too_early(run, steps, resources)
        return steps, [*told, *api_gateway_logging.refusal(run, scope), *_runtimes(steps, run, scope)]


def refuse(findings: Sequence[Finding]) -> None:
    """Raise RefusedError, with every reason and what to do, if AWS would refuse something."""
    reasons = [f"  {each.found}.\n    {each.remedy}." for each in findings if each.result == PROBLEM]
    if reasons:
        raise RefusedError("refused, and nothing was changed:\n" + "\n".join(reasons))


def today(run: Run) -> date:
    """The day in UTC, by the command's clock."""
    return datetime.fromtimestamp(run.clock.now(), UTC).date()


def _asked(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except ResourceError as error:
        return [untold(check, error)]


def untold(check: str, error: ResourceError) -> Finding:
    """A question that AWS did not answer; of the answer, as some emulators give whole pages, the first line."""
    reason = error.message.partition("\n")[0].rstrip(" :")
    return unknown(check, reason, error.hint or "Ask again later; `up` goes on without the answer")


def _runtimes(steps: Plan, run: Run, resources: Sequence[Resource]) -> Iterator[Finding]:
    wanted: dict[str, set[str]] = {}
    for each in resources:
        if isinstance(each, Function):
            wanted.setdefault(each.runtime, set()).add(steps.of(each.address).action)
    for runtime, actions in wanted.items():
        yield from runtimes.refusal(runtime, today(run), actions)
