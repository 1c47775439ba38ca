"""The web server of the page: on 127.0.0.1 only, for requests of its own page with its key."""

from __future__ import annotations

import io
import json
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.view import guard
from iotpipe.view.connection import DeadlineReader, is_closed
from iotpipe.view.files import page_files
from iotpipe.view.routes import Api, BadRequest, parameters
from iotpipe.view.sessions import Sessions
from iotpipe.view.source import Source

MOST_CONNECTIONS = 32
_IDLE_SECONDS, _REQUEST_SECONDS, _ANSWER_SECONDS = 30.0, 5.0, 30.0
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_NO_KEY = "this page has no key, or one that is no longer accepted"
_NO_LINK = "this link was used already or is older than a minute"


class Server(socketserver.ThreadingTCPServer):
    """Serves the page of one environment. `tell` is called with what went wrong inside iotpipe, a bug.

    The page asks again every `every` seconds, but not more often than the source finds it worth.
    Raises OSError if the port is taken; port 0 takes a free one. It is a TCPServer, because HTTPServer looks up the
    name of the machine, which takes seconds in some networks.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        source: Source,
        tell: Callable[[str], None],
        *,
        port: int = 0,
        every: float = 0,
        idle_seconds: float = _IDLE_SECONDS,
        request_seconds: float = _REQUEST_SECONDS,
    ) -> None:
        self.api, self.tell, self.sessions = Api(source, every), tell, Sessions()
        self.idle_seconds, self.request_seconds = idle_seconds, request_seconds
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(("127.0.0.1", port), _Handler)
        self.port: int = self.server_address[1]

    def link(self) -> str:
        """A new link, good once and for a minute. No request, log or referrer contains the part after `#`."""
        return f"http://127.0.0.1:{self.port}/#{self.sessions.new_token()}"

    def start(self) -> None:
        """Serve in a thread that ends with the process."""
        threading.Thread(target=self.serve_forever, name="page", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.sendall(_BUSY)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell a bug. The default prints it past the filter of everything that is printed.

        A connection that the client has closed is none, wherever that shows.
        """
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            self.tell(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave at once: with Nagle's algorithm and delayed acknowledgements an answer takes 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self._raw = DeadlineReader(self.connection, self.server.idle_seconds, self.server.request_seconds)
        self.rfile = io.BufferedReader(self._raw)

    def handle_one_request(self) -> None:
        self._raw.expect_request()
        super().handle_one_request()

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def handle_expect_100(self) -> bool:
        self.send_error(HTTPStatus.EXPECTATION_FAILED, "bodies are short: send them at once")
        return False

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log of requests."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server cannot parse, in the same form as every other refusal."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, None
        self._refuse(status, message or status.phrase)

    def _answer(self, method: str) -> None:
        if refused := guard.refusal(self.headers, self.path, self.server.port):
            return self._refuse(refused.status, refused.reason)
        body = self._body()
        parts = urlsplit(self.path)
        if parts.path == "/session" and method == "POST":
            return self._open_session(body)
        if parts.path.startswith("/api/"):
            return self._api(method, parts.path, parts.query)
        if not (file := page_files().get(parts.path)):
            return self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        if method != "GET":
            return self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this can only be read")
        return self._send(HTTPStatus.OK, file.content, file.content_type)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the body ended early")
        return body

    def _open_session(self, body: bytes) -> None:
        if not self._is_json():
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body has to be JSON")
        try:
            token = json.loads(body)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._refuse(HTTPStatus.BAD_REQUEST, "the body has no token")
        if not isinstance(token, str) or not (key := self.server.sessions.open(token)):
            return self._refuse(HTTPStatus.UNAUTHORIZED, _NO_LINK)
        return self._send_json(HTTPStatus.OK, {"key": key})

    def _api(self, method: str, path: str, query: str) -> None:
        if not self.server.sessions.knows(guard.key_of(self.headers)):
            return self._refuse(HTTPStatus.UNAUTHORIZED, _NO_KEY)
        api = self.server.api
        if not (route := api.routes.get((method, path))):
            status = HTTPStatus.METHOD_NOT_ALLOWED if api.knows(path) else HTTPStatus.NOT_FOUND
            return self._refuse(status, "there is nothing here")
        if method == "POST" and not self._is_json():
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body has to be JSON")
        try:
            found = route(parameters(query), partial(is_closed, self.connection))
        except BadRequest as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except IotpipeError as error:
            status = HTTPStatus.BAD_REQUEST if isinstance(error, UsageError) else HTTPStatus.BAD_GATEWAY
            return self._send_json(status, {"error": error.message, "hint": error.hint})
        except Exception:  # noqa: BLE001 - a bug in one answer is told, and the page goes on with the others
            self.server.tell(traceback.format_exc())
            return self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "iotpipe failed; the terminal says how")
        if found is None:
            return self._send(HTTPStatus.NO_CONTENT)
        return self._send_json(HTTPStatus.OK, found)

    def _is_json(self) -> bool:
        """Whether the body is said to be JSON, which a form of a foreign page cannot say."""
        return self.headers.get_all("Content-Type") == ["application/json"]

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Refuse and close: what follows on this connection is not to be trusted to begin where it should."""
        self.close_connection = True
        self._send_json(status, {"error": reason})

    def _send_json(self, status: HTTPStatus, document: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes = b"", content_type: str = "") -> None:
        self.connection.settimeout(_ANSWER_SECONDS)
        # http.server would leave out the headers of an answer to a request without a version.
        self.request_version = self.protocol_version
        self.send_response_only(status)
        for name, value in guard.HEADERS.items():
            self.send_header(name, value)
        if content_type:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
