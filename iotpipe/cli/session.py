"""Assemble what a command works with: configuration, AWS, ledger and declared pipeline."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from iotpipe.cli.options import Settings
from iotpipe.configuration import Environment, load
from iotpipe.errors import Interrupted, IotpipeError, PackagingError
from iotpipe.local import engine_directory, launcher
from iotpipe.names import HANDLERS
from iotpipe.packaging import check_sizes, handler_zip, layer
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import ledger, plan
from iotpipe.provision.aws import Aws, Emulator
from iotpipe.provision.lock import locked
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Event, RealClock, Run
from iotpipe.target import Options, Target, resolve
from iotpipe.times import timestamp


@dataclass
class Session:
    """What a command works with. `env` may be None, because `down` needs only the state file."""

    name: str
    path: Path
    aws: Aws
    run: Run
    env: Environment | None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        """The URL of the embedded AWS; empty for any other AWS."""
        return self.aws.emulator.endpoint if self.aws.emulator and self.aws.emulator.access_key else ""

    @property
    def protected(self) -> bool:
        """Whether `up` may delete or replace nothing that holds data, messages, a key or the URL."""
        return self.env is not None and self.env.protect

    def stop_engine(self) -> None:
        """Stop the embedded AWS unless another environment uses it."""
        if not self.endpoint:
            return
        others = [name for name in launcher.in_use(self.path.parent) if name != self.name]
        if not others:
            launcher.stop(engine_directory.at(self.path.parent))
        what = f"keeps running for {', '.join(others)}" if others else "stopped"
        self.run.tell(Event("embedded AWS", "waiting", what))

    def declared(self) -> tuple[list[Resource], Artifacts]:
        """The pipeline that the configuration declares, and its packages."""
        assert self.env is not None
        built = packaged(self.env)
        return pipeline(self.env, built, self.aws.region), built

    def rows(self) -> dict[str, ledger.Row]:
        """The rows of the state file. Raises LedgerOfAnotherAccount if it is not this environment's."""
        contents = ledger.read(self.path)
        if contents is None:
            return {}
        ledger.check_binding(contents, self.path, self.name, self.aws.account, self.aws.region)
        return dict(contents.rows)

    @contextmanager
    def writing(self) -> Iterator[ledger.Ledger]:
        """Lock and open the ledger."""
        with locked(self.path, f"{self.run.command} --env {self.name}", timestamp(RealClock().now())):
            yield ledger.Ledger(self.path, self.name, self.aws.account, self.aws.region, RealClock().now)

    def make_ready(self, built: Artifacts, steps: plan.Plan) -> None:
        """Build the layer if the plan publishes one, and check every size, before the first write."""
        if not any(step.address.startswith("layer/") for step in steps.pending):
            return
        self.run.tell(Event("layer", "waiting", "building the layer"))
        try:
            check_sizes(built.layer.content(), built.handlers)
        except PackagingError:
            if self.stop.is_set():
                raise Interrupted("stopped while the layer was built; nothing was changed") from None
            raise


def open_session(settings: Settings, command: str, tell: Callable[[Event], None], *, declared: bool = True) -> Session:
    """Load the configuration, connect to AWS and check that state file, account and region match.

    With `declared=False` a state file without a configuration is sufficient. Raises ConfigurationError,
    CredentialsError and UsageError, all before anything is changed.
    """
    target = resolve(options_of(settings), declared=declared)
    aws = target.connect(_emulator(target, command, tell) if target.is_local else None)
    return _session(target, aws, command, tell)


def options_of(settings: Settings) -> Options:
    """The options that select the environment. Raises UsageError if it is ambiguous."""
    return Options(settings.environment, settings.config_dir, settings.state_dir, settings.profile, settings.region)


def _session(target: Target, aws: Aws, command: str, tell: Callable[[Event], None]) -> Session:
    name, path, env, contents = target.options.name, target.options.state_file, target.env, target.contents
    if contents:
        ledger.check_binding(contents, path, name, aws.account, aws.region)
    stop = threading.Event()
    run = Run(aws, name, command=command, tags=env.tags if env else {}, tell=tell, stop=stop)
    run.deleted = contents.deleted if contents else {}
    return Session(name, path, aws, run, env, stop)


def untouched(settings: Settings) -> Session | None:
    """The session of an environment whose embedded AWS was never started, so that nothing can exist in it.

    None if resources may exist.
    """
    options = options_of(settings)
    if not options.is_configured or options.state_file.exists():
        return None
    target = resolve(options)
    if not target.is_embedded or target.engine.path.exists():
        return None
    return _session(target, target.unasked(), "", lambda event: None)


def _emulator(target: Target, command: str, tell: Callable[[Event], None]) -> Emulator:
    """The embedded AWS, or the emulator that the user runs. Only `up` and `down` start the engine."""
    if target.is_embedded and command in ("up", "down"):
        return target.embedded(
            launcher.start(target.engine, lambda text: tell(Event("embedded AWS", "waiting", text))).endpoint
        )
    if found := target.emulator():
        return found
    raise IotpipeError(
        "the embedded AWS is not running",
        "`iotpipe local start` starts it with what it held before; "
        f"`iotpipe up --env {target.options.name}` does that by itself",
    )


def undeployed(settings: Settings) -> list[Resource]:
    """The declared pipeline without calling AWS; ids and ARNs are not known."""
    env = load(settings.environment, settings.config_dir)
    return pipeline(env, packaged(env), settings.region or env.region or "us-east-1")


def packaged(env: Environment) -> Artifacts:
    """The handlers' zips and the layer, which is only built when its content is read."""
    handlers = {name: handler_zip(name) for name in HANDLERS}
    return Artifacts(handlers, layer(env.functions.runtime, env.functions.architecture))


@contextmanager
def stoppable(
    stop: threading.Event, next_time: str = "the next `up` or `down` continues from the state file"
) -> Iterator[None]:
    """On Ctrl-C or SIGTERM, start nothing more and wait for running calls. A second signal quits at once.

    `next_time` tells the user what continues.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os.write(sys.stderr.fileno(), f"\nquitting at once; {next_time}\n".encode())
            os._exit(130)
        stop.set()
        os.write(
            sys.stderr.fileno(),
            b"\nstopping: waiting for running calls to finish; press Ctrl-C again to quit at once\n",
        )

    with _on(on_signal, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def answerable() -> Iterator[None]:
    """Let Ctrl-C or SIGTERM interrupt a question or a download, which leaves nothing to finish."""
    with _on(signal.default_int_handler, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end an endless command at once, or at its next pause if Python drops the exception.

    Python drops exceptions, also KeyboardInterrupt, that occur while a response's stream is finalized.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        stop.set()
        raise KeyboardInterrupt

    with _on(on_signal, signal.SIGINT):
        yield


@contextmanager
def _on(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
