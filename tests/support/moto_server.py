"""An AWS of its own process for end-to-end tests: moto without its gaps, on loopback, noting each operation.

    python -m tests.support.moto_server OPERATIONS_FILE

prints its address once it listens and appends a line per request to the file: the operation's name. As long as there
is a file of that name with `.held` after it, the operation that it names is not answered. POST /photograph keeps what
the account holds, POST /put-back brings it back.
"""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.support.account_snapshot import Photograph, photograph, put_back
from tests.support.memoized_aws import be_quick, collect_seldom
from tests.support.moto_gaps import close_gaps

Environ = dict[str, Any]


class Noting:
    """Notes what is asked for, and passes it on."""

    def __init__(self, application: Callable[..., Iterable[bytes]], notes: Path) -> None:
        self.application = application
        self.notes = notes
        self.held = notes.with_suffix(".held")
        self.lock = threading.Lock()
        self.taken = Photograph()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ("/photograph", "/put-back"):
            self._picture(environ["PATH_INFO"])
            start_response("204 No Content", [])
            return []
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if not environ["PATH_INFO"].startswith("/moto-api"):
            operation = _operation(environ, body)
            with self.lock, self.notes.open("a") as file:
                file.write(f"{operation}\n")
            while self._holds(operation):
                time.sleep(0.01)
        return self.application(environ, start_response)

    def _picture(self, path: str) -> None:
        if path == "/photograph":
            self.taken = photograph()
        else:
            put_back(self.taken)

    def _holds(self, operation: str) -> bool:
        try:
            return self.held.read_text() == operation
        except FileNotFoundError:
            return False


def _operation(environ: Environ, body: bytes) -> str:
    """The operation's name; of the REST services, method and path."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    if rpc := re.search(r"/operation/(\w+)$", environ["PATH_INFO"]):
        return rpc[1]
    if action := parse_qs(body.decode("latin-1")).get("Action"):
        return action[0]
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def main() -> None:
    close_gaps()
    be_quick()
    application = Noting(DomainDispatcherApplication(create_backend_app), Path(sys.argv[1]))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    collect_seldom()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
