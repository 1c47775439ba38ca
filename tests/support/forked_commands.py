"""Runs a command in a fork of the process that `command_server` is, and hands back what it printed."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ForkedCommands:
    """Where commands are forked from: the other end of `requests`."""

    requests: socket.socket

    def run(
        self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run` would answer for iotpipe with these arguments."""
        too_late = [name for name in environment if name.startswith(("PYTHON", "LC_"))]
        assert not too_late, f"Python reads {too_late} when it starts, and has started already"
        request = {"arguments": list(arguments), "directory": str(directory), "environment": dict(environment)}
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            code = self._begun(request, given.fileno(), out.fileno(), err.fileno())
            texts = [_content(out.fileno()), _content(err.fileno())]
        assert code, f"{arguments} was killed\n{texts[1]}"
        return subprocess.CompletedProcess(arguments, int(code), *texts)

    def _begun(self, request: Mapping[str, object], *streams: int) -> bytes:
        """The exit code that the command leaves; nothing where it was killed."""
        read, write = os.pipe()
        try:
            socket.send_fds(self.requests, [f"{json.dumps(request)}\n".encode()], [*streams, write])
        finally:
            os.close(write)
        with open(read, "rb") as result:
            assert select.select([result], [], [], 120)[0], f"{request['arguments']} has not ended after 120 s"
            return result.read()


def _content(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, encoding="utf-8", closefd=False) as file:
        return file.read()


@contextmanager
def forked_commands() -> Iterator[ForkedCommands]:
    """Start the process that forks, and end it: it ends when nobody can ask it for anything."""
    here, there = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IOTPIPE_"))}
    command = [sys.executable, "-m", "tests.support.command_server", str(there.fileno())]
    with subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL):
        there.close()
        with here:
            yield ForkedCommands(here)
