"""The API on loopback: checks signatures as AWS does, calls the handlers, and fails where a test says so."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iotpipe.handlers import ingestion, query
from iotpipe.provision.aws import Aws
from iotpipe.provision.run import Run
from tests.support.handlers_world import Clock, World, proxy_event

REGION = "eu-central-1"
Reply = tuple[int, dict[str, str], str]


@dataclass
class Request:
    method: str
    path: str
    pairs: list[tuple[str, str]]
    headers: dict[str, str]
    body: str

    @property
    def parameters(self) -> dict[str, str]:
        """The query parameters; of those that are given more than once, the last value."""
        return dict(self.pairs)

    @property
    def all_values(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found


@dataclass
class Gateway:
    """What API Gateway is to a client. `faults` are asked, one per request, before the handlers: each may answer."""

    world: World
    stage: str = "/prod"
    secret: str = "testing"
    requests: list[Request] = field(default_factory=list)
    faults: deque[Callable[[Request], Reply | None]] = field(default_factory=deque)
    url: str = ""
    connections: set[tuple[str, int]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def posts(self) -> list[Any]:
        """The bodies of POST /ingest that were meant to be stored."""
        bodies = [json.loads(one.body) for one in self.requests if one.method == "POST"]
        return [body for body in bodies if body != {"readings": []}]

    def reply(self, request: Request) -> Reply | None:
        """None: the connection is closed without an answer."""
        with self._lock:
            self.requests.append(request)
            if self.faults and (scripted := self.faults.popleft()(request)):
                return scripted
            if not self._signed(request):
                return 403, {}, '{"message": "The request signature we calculated does not match"}'
            handlers = {"/ingest": ingestion, "/query": query, "/devices": query}
            handler = handlers.get(request.path.removeprefix(self.stage))
            if handler is None:
                return 403, {}, '{"message": "Missing Authentication Token"}'
            event = proxy_event(
                request.method,
                request.path.removeprefix(self.stage),
                headers=request.headers,
                multiValueHeaders=None,
                queryStringParameters=request.parameters or None,
                multiValueQueryStringParameters=request.all_values or None,
                body=request.body or None,
            )
            answer = handler.lambda_handler(event, self.world.context(28))
            return answer["statusCode"], answer["headers"], answer["body"]

    def _signed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        if "SignedHeaders=" not in given:
            return False
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in request.pairs)
        url = f"{self.url.removesuffix(self.stage)}{request.path}" + (f"?{query}" if query else "")
        headers = {name: request.headers[name] for name in names}
        again = AWSRequest(request.method, url, headers, request.body.encode())
        again.context["timestamp"] = request.headers["x-amz-date"]
        signer = SigV4Auth(Credentials("testing", self.secret), "execute-api", REGION)
        text = signer.string_to_sign(again, signer.canonical_request(again))
        return given.endswith(f"Signature={signer.signature(text, again)}")


def answering(status: int, body: str = "{}", **headers: str) -> Callable[[Request], Reply]:
    """A fault: this answer, and nothing is done."""
    return lambda request: (status, headers, body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that close the connection, as many tests let them do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def listening(gateway: Gateway) -> Iterator[Gateway]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # With it, the body would wait up to 40 ms for the client's system to acknowledge the headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def _serve(self, method: str) -> None:
            gateway.connections.add(self.client_address)
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            pairs = parse_qsl(parts.query, keep_blank_values=True)
            reply = gateway.reply(Request(method, parts.path, pairs, headers, body))
            if reply is None or reply[0] == 0:
                self.close_connection = True
                return
            content = reply[2].encode()
            self.send_response_only(reply[0])
            for name, value in {
                "Date": self.date_time_string(),
                **reply[1],
                "Content-Length": str(len(content)),
            }.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        gateway.url = f"http://127.0.0.1:{server.server_port}{gateway.stage}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()


class Waiting:
    """The command's clock: to wait is to have the queue's messages delivered."""

    def __init__(self, clock: Clock, world: World) -> None:
        self.clock = clock
        self.world = world
        self.slept: list[float] = []
        self.delivers = True

    def now(self) -> float:
        return self.clock.elapsed()

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        self.slept.append(seconds)
        self.clock.pass_(seconds)
        if self.delivers:
            self.world.deliver()


def run_in(world: World, clock: Clock) -> Run:
    """A command's run in this world."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    aws = Aws(session, "123456789012", REGION, "arn:aws:iam::123456789012:user/me")
    return Run(aws, "test", clock=Waiting(clock, world))
