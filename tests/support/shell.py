"""A directory to type iotpipe's commands in, with an environment of nothing but what is said."""

from __future__ import annotations

import codecs
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.support.forked_commands import ForkedCommands

READS = ("Get", "List", "Describe", "Filter")


@dataclass
class Shell:
    """A directory to type commands in. `aws` is the address of its AWS, `notes` where that notes operations.

    Commands run as the program that is installed, or in forks of a process that has imported everything.
    """

    directory: Path
    cache: Path
    forked: ForkedCommands | None
    aws: str = ""
    notes: Path = Path()
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PIP_CONFIG_FILE") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        account = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
        here = {"XDG_CACHE_HOME": str(self.cache), "AWS_ENDPOINT_URL": self.aws, "AWS_EC2_METADATA_DISABLED": "true"}
        return kept | account | here | self.extra

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("iotpipe")), *arguments]

    def run(self, *arguments: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run iotpipe; fails the test unless it exits with `code`."""
        done = self._done(arguments, stdin)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def _done(self, arguments: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
        if self.forked:
            return self.forked.run(arguments, self.directory, self.environment, stdin)
        command, where, who = self.command(*arguments), self.directory, self.environment
        return subprocess.run(command, cwd=where, env=who, input=stdin, capture_output=True, text=True, timeout=120)

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.aws, region_name="us-east-1")

    @contextmanager
    def held(self, operation: str) -> Iterator[Callable[[], None]]:
        """AWS does not answer this operation as long as this lasts. Yields what waits until it has been asked."""
        self.notes.with_suffix(".held").write_text(operation)
        try:
            yield lambda: self._await(operation)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """AWS answers what it held back."""
        self.notes.with_suffix(".held").unlink(missing_ok=True)

    def _await(self, operation: str) -> None:
        deadline = time.monotonic() + 60
        while operation not in self.notes.read_text().splitlines():
            assert time.monotonic() < deadline, f"{operation} was never asked"
            time.sleep(0.01)

    def operations(self) -> list[str]:
        """What AWS was asked since the last time this was called."""
        found = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.write_text("")
        return found


def writes(operations: list[str]) -> list[str]:
    """Those that could change something."""
    return [each for each in operations if not each.startswith((*READS, "GET ", "POST /tags"))]


def settings(shell: Shell, environment: str, text: str) -> None:
    """Write a configuration."""
    path = shell.directory / "config" / f"{environment}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def read_until(terminal: int, text: str) -> str:
    """What is shown on the terminal up to this text, for which it waits a minute."""
    shown, deadline = "", time.monotonic() + 60
    decoder = codecs.getincrementaldecoder("utf-8")()  # a part may end within a character
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], deadline - time.monotonic())
        assert ready, shown
        shown += decoder.decode(os.read(terminal, 4096))
    return shown
