"""One environment examined from the outside in: nothing stops it at the first thing that is wrong."""

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
    """The AWS that the environment is for, None where it cannot be asked, and what was found on the way."""

    aws: Aws | None
    findings: list[Finding]


def examine(
    options: Options, package: Callable[[Environment], Artifacts], clock: Clock
) -> tuple[Aws | None, list[Finding]]:
    """Every finding, and the AWS that was asked, if one was. `package` makes what goes to Lambda."""
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
    return reached.aws, [*findings, *_inside(options.name, env, contents, reached.aws, package, clock)]


def _configuration(options: Options) -> tuple[Environment | None, list[Finding]]:
    file = options.config_dir / f"{options.name}.yaml"
    try:
        env = load(options.name, options.config_dir)
    except ConfigurationError as error:
        found = [(str(replace(each, remedy="")), each.remedy or "Correct it") for each in error.problems]
        return None, [problem(CONFIGURATION, what, remedy) for what, remedy in found]
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


def _inside(
    name: str,
    env: Environment,
    contents: Contents | None,
    aws: Aws | None,
    package: Callable[[Environment], Artifacts],
    clock: Clock,
) -> list[Finding]:
    """What is to be said of the environment itself. The layer may have to be built: AWS is asked meanwhile."""
    built = package(env)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotpipe-doctor") as beside:
        here = beside.submit(aws_checks.of_environment, env, built, clock.now())
        there: list[Finding] = []
        if aws:
            run = Run(aws, name, command="doctor", tags=env.tags, clock=clock)
            resources = pipeline(env, built, aws.region)
            there = aws_checks.of_aws(aws_checks.CheckContext(env, run, resources, built, contents))
        return [*here.result(), *there]
