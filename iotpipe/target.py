"""Resolve an environment's target: account and region, on AWS, the embedded AWS or the user's emulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import boto3

from iotpipe.configuration import Environment, load
from iotpipe.local import engine_directory
from iotpipe.local.engine_directory import EngineDirectory
from iotpipe.provision import ledger
from iotpipe.provision.aws import Aws, Emulator, connect, user_emulator_endpoint
from iotpipe.provision.ledger import Contents
from iotpipe.provision.resources import SERVICES


@dataclass(frozen=True)
class Options:
    """The command-line options of an environment; None if not given."""

    name: str
    config_dir: Path
    state_dir: Path
    profile: str | None = None
    region: str | None = None

    @property
    def state_file(self) -> Path:
        return ledger.path_of(self.state_dir, self.name)

    @property
    def is_configured(self) -> bool:
        """Whether the environment has a configuration; `local` has one without a file."""
        return self.name == "local" or (self.config_dir / f"{self.name}.yaml").exists()


@dataclass(frozen=True)
class Target:
    """Command-line options, configuration and state file together; one of the last two may be missing."""

    options: Options
    env: Environment | None
    contents: Contents | None

    @property
    def is_local(self) -> bool:
        if self.env:
            return self.env.target == "local"
        return self.contents is not None and self.contents.account == engine_directory.ACCOUNT

    @property
    def users_emulator(self) -> str:
        """The URL of the user's emulator, used instead of the embedded AWS; empty without one."""
        return user_emulator_endpoint() if self.is_local else ""

    @property
    def is_embedded(self) -> bool:
        return self.is_local and not self.users_emulator

    @property
    def engine(self) -> EngineDirectory:
        """The directory of the embedded AWS."""
        return engine_directory.at(self.options.state_dir)

    @property
    def account(self) -> str | None:
        """The account; None if it is unknown without calling AWS."""
        recorded = self.contents.account if self.contents else None
        embedded = engine_directory.ACCOUNT if self.is_embedded else None
        return (self.env.account if self.env else None) or recorded or embedded

    @property
    def region(self) -> str | None:
        """The region; None leaves it to the profile and AWS_REGION."""
        configured = self.env.region if self.env else None
        recorded = self.contents.region if self.contents else None
        embedded = engine_directory.REGION if self.is_embedded else None
        return self.options.region or configured or recorded or embedded

    def emulator(self) -> Emulator | None:
        """How to reach the user's emulator or the embedded AWS; None if the embedded AWS is not running."""
        if url := self.users_emulator:
            return Emulator(url)
        running = self.engine.running()
        return self.embedded(running.endpoint) if running else None

    def embedded(self, endpoint: str) -> Emulator:
        """The embedded AWS at this address, with its root credentials."""
        key = self.engine.root_key()
        return Emulator(endpoint, key.access_key, key.secret_key)

    def connect(self, emulator: Emulator | None) -> Aws:
        """Connect to AWS or to the emulator. Raises CredentialsError and UsageError."""
        account = self.env.account if self.env else None
        return connect(self.options.profile, self.region, account, emulator, SERVICES)

    def unasked(self) -> Aws:
        """The embedded AWS if it is not running; it cannot be called."""
        region = self.region or engine_directory.REGION
        return Aws(boto3.Session(region_name=region), engine_directory.ACCOUNT, region, "")


def resolve(options: Options, *, declared: bool = True) -> Target:
    """The target of a command. With `declared=False` a state file without a configuration is sufficient.

    Raises ConfigurationError, LedgerCorrupt and LedgerTooNew.
    """
    contents = ledger.read(options.state_file)
    needed = declared or options.is_configured or contents is None
    return Target(options, load(options.name, options.config_dir) if needed else None, contents)
