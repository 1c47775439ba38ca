"""All checks of one environment. Those that call AWS run in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

from iotpipe import policy
from iotpipe.checks import (
    api_gateway_logging,
    concurrency,
    credentials,
    existing_resources,
    iot_logging,
    kms_key,
    packages,
    permissions,
    runtimes,
    state_file,
)
from iotpipe.checks.finding import Finding, problem
from iotpipe.checks.preflight import unanswered
from iotpipe.configuration import Environment
from iotpipe.errors import ApplyFailed, CredentialsError, IotpipeError, ResourceError
from iotpipe.pipeline import Artifacts
from iotpipe.provision import plan as planning
from iotpipe.provision.ledger import Contents, Row
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


@dataclass(frozen=True)
class CheckContext:
    """What the checks of an environment need. `contents` is its state file's contents; None without a state file."""

    env: Environment
    run: Run
    resources: Sequence[Resource]
    built: Artifacts
    contents: Contents | None

    @property
    def rows(self) -> Mapping[str, Row]:
        return self.contents.rows if self.contents else {}

    @property
    def policy_environment(self) -> policy.Environment:
        """The environment as `iotpipe policy` describes it, for the permissions check."""
        aws = self.run.aws
        return policy.Environment(
            self.env.name,
            aws.account,
            aws.region,
            self.resources,
            self.rows,
            boundary=self.env.functions.permissions_boundary,
            kms_keys=self.env.usable_kms_keys,
            web_acl=self.env.api.web_acl,
        )


_LIMITS: tuple[tuple[str, Callable[[CheckContext], list[Finding]]], ...] = (
    (permissions.CHECK, lambda context: permissions.check(context.run, context.policy_environment)),
    (concurrency.CHECK, lambda context: concurrency.check(context.run, context.resources)),
    (api_gateway_logging.CHECK, lambda context: api_gateway_logging.check(context.run, context.resources)),
    (iot_logging.CHECK, lambda context: iot_logging.check(context.run, context.resources)),
    (kms_key.CHECK, lambda context: kms_key.check(context.run, context.resources)),
    (packages.STORAGE, lambda context: packages.storage(context.run, context.built)),
)


def check_offline(env: Environment, built: Artifacts, now: float) -> list[Finding]:
    """Run the checks that do not call AWS: the runtime's dates, and the packages, which are built if necessary."""
    if env.target == "local":
        return packages.check(built)[:1]
    return [*runtimes.check(env.functions.runtime, _day(now)), *packages.check(built)]


def check_aws(context: CheckContext) -> list[Finding]:
    """Run the checks that call AWS. The embedded AWS has no limits to check."""
    limits = () if context.run.aws.emulator else _LIMITS
    with ThreadPoolExecutor(max_workers=len(_LIMITS) + 1, thread_name_prefix="iotpipe-doctor") as pool:
        existing = pool.submit(_run_check, existing_resources.NAMES, partial(_check_existing, context))
        running = [pool.submit(_run_check, name, partial(check, context)) for name, check in limits]
        findings = list(dict.fromkeys(finding for each in (*running, existing) for finding in each.result()))
    deleted = context.contents.deleted if context.contents and context.run.aws.eventually_consistent else {}
    return findings + state_file.names_not_reusable_yet(deleted, context.run.clock.now())


def _check_existing(context: CheckContext) -> list[Finding]:
    run, declared = context.run, context.resources
    try:
        plan = planning.plan(declared, run, context.rows, protect=context.env.protect, foreign=True)
    except ApplyFailed as error:
        return _unreadable(error)
    findings = [*existing_resources.names(plan), *existing_resources.foreign(plan)]
    findings += _run_check(existing_resources.ALERTS, lambda: existing_resources.alerts(run, declared))
    if run.aws.emulator:  # it publishes almost no metrics
        return findings
    return findings + _run_check(existing_resources.ALARMS, lambda: existing_resources.alarms(run, declared))


def _unreadable(error: ApplyFailed) -> list[Finding]:
    """One problem per remedy: a single missing permission may hide a dozen alarms."""
    by_remedy: dict[str, list[IotpipeError]] = {}
    for failure in error.failed:
        by_remedy.setdefault(failure.hint or "See AWS's message", []).append(failure)
    findings = []
    for remedy, errors in by_remedy.items():
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        findings.append(problem(existing_resources.NAMES, errors[0].message + more, remedy))
    return findings


def _run_check(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except CredentialsError as error:  # expired credentials make every check fail alike
        return [problem(credentials.CREDENTIALS, error.message, error.hint)]
    except ResourceError as error:
        return [unanswered(name, error)]


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
