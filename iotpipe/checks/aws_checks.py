"""Every check of one environment, in the order in which a person would look, those that ask AWS at the same time."""

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
    kms_key,
    packages,
    permissions,
    runtimes,
    state_file,
)
from iotpipe.checks.finding import Finding, problem
from iotpipe.checks.preflight import untold
from iotpipe.configuration import Environment
from iotpipe.errors import ApplyFailed, CredentialsError, IotpipeError, ResourceError
from iotpipe.pipeline import Artifacts
from iotpipe.provision import plan as planning
from iotpipe.provision.ledger import Contents, Row
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


@dataclass(frozen=True)
class CheckContext:
    """An environment whose AWS answers: `contents` is what its state file records, None where it has none."""

    env: Environment
    run: Run
    resources: Sequence[Resource]
    built: Artifacts
    contents: Contents | None

    @property
    def rows(self) -> Mapping[str, Row]:
        return self.contents.rows if self.contents else {}

    @property
    def operated(self) -> policy.Environment:
        """What the permissions are about."""
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
    (permissions.CHECK, lambda it: permissions.check(it.run, it.operated)),
    (concurrency.CHECK, lambda it: concurrency.check(it.run, it.resources)),
    (api_gateway_logging.CHECK, lambda it: api_gateway_logging.check(it.run, it.resources)),
    (kms_key.CHECK, lambda it: kms_key.check(it.run, it.resources)),
    (packages.STORAGE, lambda it: packages.storage(it.run, it.built)),
)


def of_environment(env: Environment, built: Artifacts, now: float) -> list[Finding]:
    """What needs no AWS to ask: the runtime's dates, and the packages, which are built for it if need be."""
    if env.target == "local":
        return packages.check(built)[:1]
    return [*runtimes.check(env.functions.runtime, _day(now)), *packages.check(built)]


def of_aws(patient: CheckContext) -> list[Finding]:
    """What AWS has to say. The AWS on this machine has no limits to speak of."""
    limits = () if patient.run.aws.emulator else _LIMITS
    with ThreadPoolExecutor(max_workers=len(_LIMITS) + 1, thread_name_prefix="iotpipe-doctor") as pool:
        alive = pool.submit(_answered, existing_resources.NAMES, partial(_alive, patient))
        asked = [pool.submit(_answered, check, partial(look, patient)) for check, look in limits]
        found = list(dict.fromkeys(finding for each in (*asked, alive) for finding in each.result()))
    deleted = patient.contents.deleted if patient.contents and patient.run.aws.eventually_consistent else {}
    return found + state_file.kept_back(deleted, patient.run.clock.now())


def _alive(patient: CheckContext) -> list[Finding]:
    run, declared = patient.run, patient.resources
    try:
        steps = planning.plan(declared, run, patient.rows, protect=patient.env.protect, foreign=True)
    except ApplyFailed as error:
        return _unreadable(error)
    found = [*existing_resources.names(steps), *existing_resources.foreign(steps)]
    found += _answered(existing_resources.ALERTS, lambda: existing_resources.alerts(run, declared))
    if run.aws.emulator:  # it measures next to nothing
        return found
    return found + _answered(existing_resources.ALARMS, lambda: existing_resources.alarms(run, declared))


def _unreadable(error: ApplyFailed) -> list[Finding]:
    """What could not be read, once per thing to do about it: one missing permission may hide a dozen alarms."""
    by_remedy: dict[str, list[IotpipeError]] = {}
    for each in error.failed:
        by_remedy.setdefault(each.hint or "See what AWS says", []).append(each)
    found = []
    for remedy, errors in by_remedy.items():
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        found.append(problem(existing_resources.NAMES, errors[0].message + more, remedy))
    return found


def _answered(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except CredentialsError as error:  # once they have expired, every question ends like this
        return [problem(credentials.CREDENTIALS, error.message, error.hint)]
    except ResourceError as error:
        return [untold(check, error)]


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
