"""An empty directory in which tests start the embedded AWS as a user would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iotpipe.local.engine_directory import EngineDirectory, Record, at
from tests.support.forked_commands import ForkedCommands

T = TypeVar("T")

IOTPIPE = str(Path(sys.executable).with_name("iotpipe"))


@dataclass
class Machine:
    """A project directory in which commands run. `extra` are environment variables of the user.

    Commands run as the program that is installed, or in forks of a process that has imported everything.
    """

    directory: Path
    cache: Path
    forked: ForkedCommands | None
    extra: dict[str, str] = field(default_factory=dict)

    @cached_property
    def api(self) -> str:
        """The path of the pipeline's API."""
        return urlsplit(self.json("outputs", "--env", "local")["ApiEndpoint"]).path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name[:4] == "PIP_"}
        return kept | {"XDG_CACHE_HOME": str(self.cache), "AWS_EC2_METADATA_DISABLED": "true"} | self.extra

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command without waiting for it."""
        return subprocess.Popen(
            [IOTPIPE, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; fails the test unless it exits with `code`."""
        done = self._done(arguments)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def _done(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if self.forked:
            return self.forked.run(arguments, self.directory, self.environment, stdin="")
        with self.begin(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    @property
    def engine_directory(self) -> EngineDirectory:
        return at(self.directory / ".iotpipe")

    @property
    def record(self) -> Record:
        record = self.engine_directory.record()
        assert record
        return record

    @property
    def root(self) -> Credentials:
        key = self.engine_directory.root_key()
        return Credentials(key.access_key, key.secret_key)

    def client(self, service: str, key: Credentials | None = None) -> Any:
        """Return a boto3 client of the embedded AWS, with the root credentials unless others are given."""
        key = key or self.root
        return boto3.client(
            service,
            endpoint_url=self.record.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            aws_session_token=key.token,
        )

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, str]:
        """Send a request without a signature; return status and body of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.record.port, timeout=60)) as connection:
            connection.request(method, path, body=body or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def signed(
        self,
        service: str,
        method: str,
        path: str,
        body: bytes = b"",
        key: Credentials | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Send a request signed with Signature Version 4; return status and body of the answer."""
        request = AWSRequest(method, f"{self.record.endpoint}{path}", data=body, headers=dict(headers or {}))
        SigV4Auth(key or self.root, service, "us-east-1").add_auth(request)
        return self.send(method, path, dict(request.headers), body)

    def end(self) -> None:
        """Kill the engine if it is still running."""
        with suppress(OSError, ValueError, KeyError):
            pid = json.loads((self.engine_directory.path / "engine.json").read_text())["pid"]
            if self.engine_directory.alive() and pid:
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.engine_directory.path.exists() or not self.engine_directory.alive())

    def kill(self) -> None:
        """Kill the engine with SIGKILL and wait for its end."""
        os.kill(self.record.pid, signal.SIGKILL)
        eventually(lambda: not self.engine_directory.alive())


def eventually(attempt: Callable[[], T], seconds: float = 60) -> T:
    """Poll `attempt` and return its first true result; fails the test after `seconds`.

    More and more rarely: what takes 20 s would be asked for a thousand times, and others need the processor.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while not (answer := attempt()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(pause)
        pause = min(pause * 1.1, 0.3)
    return answer


def processes(mentioning: str) -> list[str]:
    """Return the command lines of the running processes that contain a text."""
    listed = subprocess.run(["ps", "-Awwo", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if mentioning in line]
