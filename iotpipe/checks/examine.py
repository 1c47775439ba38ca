"""Examine one environment: run all checks and go on after each problem."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from iotpipe.checks import aws_checks, credentials, embedded_aws, state_file
from iotpipe.checks.finding import Finding, ok, problem, unknown
from iotpipe.configuration import Environment, load
from iotpipe.errors import ConfigurationError, CredentialsError, UsageError
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision.aws import Aws, Emulator
from iotpipe.provision.ledger import Contents
from iotpipe.provision.run import Clock, Run
from iotpipe.target import Options, Target

CONFIGURATION = "configuration"


@dataclass(frozen=True)
class _Reached:
    """The AWS of the environment, None if it cannot be reached, and the findings about reaching it."""

    aws: Aws | None
    findings: list[Finding]


def examine(
    options: Options, package: Callable[[Environment], Artifacts], clock: Clock
) -> tuple[Aws | None, list[Finding]]:
    """Return the AWS that was reached, if any, and all findings. `package` builds the layer and the handlers."""
    path = options.state_file
    env, findings = _configuration(options)
    contents, recorded = state_file.check(path)
    reached = _reach(Target(options, env, contents), clock)
    if contents and reached.aws:
        recorded = [*state_file.binding(contents, path, options.name, reached.aws), *recorded]
    elif contents:
        recorded = [state_file.recorded(contents, path), *recorded]
    findings += [*recorded, *reached.findings]
    if env is None:
        rest = unknown("everything else", "unknown without a valid configuration", "Correct it first")
        return reached.aws, [*findings, rest]
    return reached.aws, [*findings, *_environment(options.name, env, contents, reached.aws, package, clock)]


def _configuration(options: Options) -> tuple[Environment | None, list[Finding]]:
    file = options.config_dir / f"{options.name}.yaml"
    try:
        env = load(options.name, options.config_dir)
    except ConfigurationError as error:
        problems = [(str(replace(each, remedy="")), each.remedy or "Correct it") for each in error.problems]
        return None, [problem(CONFIGURATION, text, remedy) for text, remedy in problems]
    return env, [
        ok(CONFIGURATION, f"{file} is valid" if file.exists() else f"{options.name} has no file: all defaults")
    ]


def _reach(target: Target, clock: Clock) -> _Reached:
    if not target.is_local:
        return _connected(target, None, clock)
    if given := target.users_emulator:
        taken = ok(
            embedded_aws.CHECK, f"AWS_ENDPOINT_URL names an emulator on this machine, which is used instead: {given}"
        )
        reached = _connected(target, target.emulator(), clock)
        return _Reached(reached.aws, [taken, *reached.findings])
    found = embedded_aws.check(target.engine)
    if (emulator := target.emulator()) is None:
        return _Reached(None, found)
    reached = _connected(target, emulator, clock)
    return _Reached(reached.aws, [*found, *reached.findings])


def _connected(target: Target, emulator: Emulator | None, clock: Clock) -> _Reached:
    try:
        aws = target.connect(emulator)
    except (CredentialsError, UsageError) as error:
        unasked = unknown("AWS", "AWS was not asked", "Fix the credentials first")
        return _Reached(None, [problem(credentials.CREDENTIALS, error.message, error.hint), unasked])
    return _Reached(aws, credentials.check(aws, target.env.account if target.env else None, clock.now()))


def _environment(
    name: str,
    env: Environment,
    contents: Contents | None,
    aws: Aws | None,
    package: Callable[[Environment], Artifacts],
    clock: Clock,
) -> list[Finding]:
    """Check the environment itself. The offline checks may build the layer, in parallel to the checks of AWS."""
    built = package(env)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotpipe-doctor") as background:
        offline = background.submit(aws_checks.check_offline, env, built, clock.now())
        findings: list[Finding] = []
        if aws:
            run = Run(aws, name, command="doctor", tags=env.tags, clock=clock)
            resources = pipeline(env, built, aws.region)
            findings = aws_checks.check_aws(aws_checks.CheckContext(env, run, resources, built, contents))
        return [*offline.result(), *findings]
