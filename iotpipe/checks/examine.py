"""One environment examined from the outside in: nothing stops it at the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from iotpipe.checks import aws_checks, credentials, embedded_aws, state_file
from iotpipe.checks.finding import Finding, ok, problem, unknown
from iotpipe.configuration import Environment, load
from iotpipe.errors import ConfigurationError, CredentialsError, UsageError
from iotpipe.local import engine_directory
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import ledger
from iotpipe.provision.aws import Aws, Emulator, connect, emulator_of_the_user
from iotpipe.provision.ledger import Contents
from iotpipe.provision.resources import SERVICES
from iotpipe.provision.run import Clock, RealClock, Run

CONFIGURATION = "configuration"


@dataclass(frozen=True)
class Asked:
    """What the command line says (None where it says nothing), and `package`, which makes what goes to Lambda."""

    name: str
    config_dir: Path
    state_dir: Path
    profile: str | None
    region: str | None
    package: Callable[[Environment], Artifacts]
    clock: Clock = field(default_factory=RealClock)


@dataclass(frozen=True)
class _Reached:
    """The AWS that the environment is for, None where it cannot be asked, and what was found on the way."""

    aws: Aws | None
    findings: list[Finding]


def examine(asked: Asked) -> tuple[Aws | None, list[Finding]]:
    """Every finding, and the AWS that was asked, if one was."""
    path = ledger.path_of(asked.state_dir, asked.name)
    env, findings = _configuration(asked)
    contents, recorded = state_file.check(path)
    reached = _reach(asked, env, contents)
    if contents and reached.aws:
        recorded = [*state_file.binding(contents, path, asked.name, reached.aws), *recorded]
    elif contents:
        recorded = [state_file.recorded(contents, path), *recorded]
    findings += [*recorded, *reached.findings]
    if env is None:
        rest = unknown("everything else", "without a valid configuration there is no telling", "Correct it first")
        return reached.aws, [*findings, rest]
    return reached.aws, [*findings, *_inside(asked, env, contents, reached.aws)]


def _configuration(asked: Asked) -> tuple[Environment | None, list[Finding]]:
    file = asked.config_dir / f"{asked.name}.yaml"
    try:
        env = load(asked.name, asked.config_dir)
    except ConfigurationError as error:
        found = [(str(replace(each, remedy="")), each.remedy or "Correct it") for each in error.problems]
        return None, [problem(CONFIGURATION, what, remedy) for what, remedy in found]
    return env, [ok(CONFIGURATION, f"{file} is valid" if file.exists() else f"{asked.name} has no file: all defaults")]


def _reach(asked: Asked, env: Environment | None, contents: Contents | None) -> _Reached:
    is_local = env.target == "local" if env else bool(contents and contents.account == engine_directory.ACCOUNT)
    region = asked.region or (env.region if env else None) or (contents.region if contents else None)
    if not is_local:
        return _connected(asked, env, region, None)
    if given := emulator_of_the_user():
        taken = ok(
            embedded_aws.CHECK, f"AWS_ENDPOINT_URL names an emulator on this machine, which is used instead: {given}"
        )
        reached = _connected(asked, env, region, Emulator(given))
        return _Reached(reached.aws, [taken, *reached.findings])
    engine = engine_directory.at(asked.state_dir)
    found = embedded_aws.check(engine)
    if (running := engine.running()) is None:
        return _Reached(None, found)
    key = engine.root_key()
    emulator = Emulator(running.endpoint, key.access_key, key.secret_key)
    reached = _connected(asked, env, region or engine_directory.REGION, emulator)
    return _Reached(reached.aws, [*found, *reached.findings])


def _connected(asked: Asked, env: Environment | None, region: str | None, emulator: Emulator | None) -> _Reached:
    account = env.account if env else None
    try:
        aws = connect(asked.profile, region, account, emulator, SERVICES)
    except (CredentialsError, UsageError) as error:
        unasked = unknown("AWS", "it was not asked about anything", "See to the credentials first")
        return _Reached(None, [problem(credentials.CREDENTIALS, error.message, error.hint), unasked])
    return _Reached(aws, credentials.check(aws, account, asked.clock.now()))


def _inside(asked: Asked, env: Environment, contents: Contents | None, aws: Aws | None) -> list[Finding]:
    """What is to be said of the environment itself. The layer may have to be built: AWS is asked meanwhile."""
    built = asked.package(env)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotpipe-doctor") as beside:
        here = beside.submit(aws_checks.of_environment, env, built, asked.clock.now())
        there: list[Finding] = []
        if aws:
            run = Run(aws, asked.name, command="doctor", tags=env.tags, clock=asked.clock)
            resources = pipeline(env, built, aws.region)
            there = aws_checks.of_aws(aws_checks.CheckContext(env, run, resources, built, contents))
        return [*here.result(), *there]
