"""A real process with the engine in it is killed with SIGKILL in the middle: the next one continues from there."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.support.account_inventory import inventory, left_over

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).parents[2]


class Server:
    """moto on loopback, in this process; kills who called when the request with a chosen number has come in."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.requests = 0
        self.fatal = 0
        self.caller: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        with self.lock:
            self.requests += 1
            if self.requests == self.fatal and self.caller:
                self.caller.send_signal(signal.SIGKILL)
        # Whoever has sent a request can die: AWS carries it out all the same.
        return self.application(environ, start_response)

    def run(self, command: str, directory: Path, address: str, fatal: int = 0) -> int:
        """One command, killed at request number `fatal`; answers with its exit code."""
        self.requests, self.fatal = 0, 0
        environment = os.environ | {"AWS_ENDPOINT_URL": address}
        with self.lock:
            engine = [sys.executable, "-m", "tests.support.engine_process", command, str(directory)]
            self.caller = subprocess.Popen(engine, cwd=ROOT, env=environment)
            self.fatal = fatal
        return self.caller.wait()


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    application = Server()
    listening = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield application, f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(6))
def test_a_process_killed_at_any_instant_leaves_a_state_from_which_the_next_goes_on(
    server: tuple[Server, str], tmp_path: Path, seed: int
) -> None:
    aws, address = server
    chance = random.Random(seed)
    (tmp_path / "dev.yaml").write_text(yaml.safe_dump({"alerts": {"emails": ["ops@example.com"]}}))
    assert aws.run("up", tmp_path, address) == 0
    made, requests = inventory(), aws.requests
    assert aws.run("down", tmp_path, address, fatal=chance.randrange(2, 30)) == -signal.SIGKILL
    assert aws.run("down", tmp_path, address) == 0
    assert left_over() == []
    assert aws.run("up", tmp_path, address, fatal=chance.randrange(30, requests - 5)) == -signal.SIGKILL
    assert aws.run("up", tmp_path, address) == 0
    assert inventory() == made
