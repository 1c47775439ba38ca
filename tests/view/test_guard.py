"""Which requests the server of the page answers: a table of requests, sent to the real server."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from iotpipe.view import guard
from iotpipe.view.server import MOST_CONNECTIONS, Server
from iotpipe.view.sessions import LINK_SECONDS, Sessions
from tests.support.local_machine import eventually
from tests.support.view_world import Pipeline, served

Header = tuple[str, str]


def ask(
    server: Server, method: str, path: str, headers: Sequence[Header] = (), body: bytes = b"", host: str = ""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request with exactly these headers besides Host and Content-Length; an empty `host` is the right one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or f"127.0.0.1:{server.port}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def opened(server: Server) -> Header:
    """The header of a page whose link was opened."""
    token = server.link().partition("#")[2]
    status, _, body = ask(server, "POST", "/session", JSON, json.dumps({"token": token}).encode())
    assert status == 200
    return "Authorization", f"Bearer {json.loads(body)['key']}"


JSON = [("Content-Type", "application/json")]
OWN, FOREIGN = "http://127.0.0.1:{port}", "http://evil.test"

REQUESTS: list[tuple[str, str, str, list[Header], int]] = [
    # method, path, host, headers, status
    ("GET", "/", "", [], 200),
    ("GET", "/", "localhost:{port}", [], 200),
    ("GET", "/", "127.0.0.1", [], 403),
    ("GET", "/", "127.0.0.1:1", [], 403),
    ("GET", "/", "evil.test", [], 403),
    ("GET", "/", "evil.test:{port}", [], 403),
    ("GET", "/", "localhost.evil.test:{port}", [], 403),
    ("GET", "/", "127.0.0.1:{port}@evil.test", [], 403),
    ("GET", "/", "[::1]:{port}", [], 403),
    ("GET", "/", "LOCALHOST:{port}", [], 403),
    ("GET", "/", "", [("Host", "127.0.0.1:{port}")], 403),
    ("GET", "/", "", [("Host", "evil.test")], 403),
    ("GET", "/", "", [("Origin", OWN)], 200),
    ("GET", "/", "", [("Origin", FOREIGN)], 403),
    ("GET", "/", "", [("Origin", "null")], 403),
    ("GET", "/", "", [("Origin", "https://127.0.0.1:{port}")], 403),
    ("GET", "/", "", [("Origin", "http://localhost:{port}")], 403),
    ("GET", "/", "", [("Origin", OWN), ("Origin", OWN)], 403),
    ("GET", "/", "", [("Sec-Fetch-Site", "none")], 200),
    ("GET", "/", "", [("Sec-Fetch-Site", "same-origin")], 200),
    ("GET", "/", "", [("Sec-Fetch-Site", "same-site")], 403),
    ("GET", "/", "", [("Sec-Fetch-Site", "cross-site")], 403),
    ("GET", "/", "", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")], 403),
    ("GET", "http://evil.test/", "", [], 400),
    ("GET", "http://127.0.0.1:{port}/", "", [], 400),
    ("GET", "/nothing", "", [], 404),
    ("GET", "/../view/server.py", "", [], 404),
    ("GET", "/%2e%2e/server.py", "", [], 404),
    ("GET", "/..%2fserver.py", "", [], 404),
    ("GET", "//etc/passwd", "", [], 404),
    ("GET", "/./index.html", "", [], 404),
    ("GET", "/index.html%00.js", "", [], 404),
    ("GET", "/\\..\\server.py", "", [], 404),
    ("GET", "/session", "", [], 404),
    ("HEAD", "/", "", [], 405),
    ("OPTIONS", "/api/snapshot", "", [("Origin", FOREIGN), ("Access-Control-Request-Method", "GET")], 405),
    ("PUT", "/", "", [], 405),
    ("DELETE", "/", "", [], 405),
    ("CONNECT", "/", "", [], 405),
    ("TRACE", "/", "", [], 405),
    ("get", "/", "", [], 405),
    ("POST", "/", "", JSON, 405),
    ("POST", "/session", "", JSON, 400),
    ("POST", "/session", "", [], 415),
    ("POST", "/session", "", [("Content-Type", "text/plain")], 415),
    ("POST", "/session", "", [*JSON, *JSON], 415),
    ("POST", "/session", "", [*JSON, ("Origin", FOREIGN)], 403),
    ("POST", "/session", "", [*JSON, ("Transfer-Encoding", "chunked")], 400),
    ("POST", "/session", "", [*JSON, ("Content-Length", "2"), ("Content-Length", "2")], 400),
    ("POST", "/session", "", [*JSON, ("Content-Length", "-1")], 400),
    ("POST", "/session", "", [*JSON, ("Content-Length", "+2")], 400),
    ("POST", "/session", "", [*JSON, ("Content-Length", "9" * 30)], 413),
    ("POST", "/session", "", [*JSON, ("Content-Length", "201")], 413),
    ("POST", "/session", "", [*JSON, ("Content-Length", "2"), ("Expect", "100-continue")], 417),
    ("GET", "/", "", [("Content-Length", "201")], 413),
    ("GET", "/api/snapshot", "", [], 401),
    ("GET", "/api/nothing", "", [], 401),
    ("GET", "/api/snapshot", "", [("Authorization", "Bearer ")], 401),
    ("GET", "/api/snapshot", "", [("Authorization", "Bearer wrong")], 401),
    ("GET", "/api/snapshot", "", [("Authorization", "Bearer w\u00f6rong")], 401),
    ("GET", "/api/snapshot", "", [("Cookie", "key=wrong")], 401),
    ("POST", "/api/dead-letters", "", JSON, 401),
]


@pytest.mark.parametrize(("method", "path", "host", "headers", "status"), REQUESTS)
def test_only_the_servers_own_page_is_answered(
    server: Server, pipeline: Pipeline, method: str, path: str, host: str, headers: list[Header], status: int
) -> None:
    def here(text: str) -> str:
        return text.replace("{port}", str(server.port))

    sent = [(name, here(value)) for name, value in headers]
    found, told, body = ask(server, method, here(path), sent, host=here(host))
    assert found == status
    assert not pipeline.asked
    for name, value in guard.HEADERS.items():
        assert told.get_all(name) == [value]
    assert not [name for name in told if name.lower().startswith(("access-control", "set-cookie", "server"))]
    if status != 200:
        assert told["Connection"] == "close"
        assert method == "HEAD" or json.loads(body)["error"]
    assert method != "HEAD" or not body


KEYED: list[tuple[str, str, list[Header], int]] = [
    ("GET", "/api/snapshot", [], 200),
    ("GET", "/api/snapshot?range=3600", [], 200),
    ("GET", "/api/snapshot?range=5", [], 400),
    ("GET", "/api/snapshot?range=900&range=900", [], 400),
    ("GET", "/api/snapshot?range=%C3%28", [], 400),
    ("GET", "/api/snapshot?" + "&".join(f"a{n}=1" for n in range(60)), [], 400),
    ("GET", "/api/snapshot?revision=1", [], 204),
    ("GET", "/api/snapshot?revision=2", [], 200),
    ("GET", "/api/snapshot?revision=-1", [], 400),
    ("GET", "/api/devices", [], 200),
    ("GET", "/api/devices?revision=1", [], 204),
    ("GET", "/api/series?device=sensor-001&every=5m&from=1795500000000&to=1795528606000", [], 200),
    ("GET", "/api/series?device=sensor-001&every=5m&from=x&to=1795528606000", [], 400),
    ("GET", "/api/series?device=sensor-001&from=1&to=2", [], 400),
    ("GET", "/api/rows?device=sensor-001&limit=5", [], 200),
    ("GET", "/api/rows?limit=5", [], 400),
    ("GET", "/api/rows?device=sensor-001&limit=\u0665", [], 400),
    ("GET", "/api/nothing", [], 404),
    ("GET", "/api/snapshot/", [], 404),
    ("POST", "/api/snapshot", JSON, 405),
    ("GET", "/api/dead-letters", [], 405),
    ("POST", "/api/dead-letters", [], 415),
    ("POST", "/api/dead-letters", JSON, 200),
    ("GET", "/api/snapshot", [("Authorization", "Bearer other")], 401),
    ("GET", "/api/snapshot", [("Origin", FOREIGN)], 403),
    ("GET", "/api/snapshot", [("Sec-Fetch-Site", "cross-site")], 403),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), KEYED)
def test_with_its_key_the_page_gets_what_it_asks_for(
    server: Server, method: str, path: str, headers: list[Header], status: int
) -> None:
    from urllib.parse import quote

    found, told, body = ask(server, method, quote(path, safe="/?=&%-"), [opened(server), *headers])
    assert found == status, body
    assert status != 204 or (not body and "Content-Length" not in told)


def test_a_link_is_good_once(server: Server) -> None:
    body = json.dumps({"token": server.link().partition("#")[2]}).encode()
    assert ask(server, "POST", "/session", JSON, body)[0] == 200
    status, _, said = ask(server, "POST", "/session", JSON, body)
    assert (status, json.loads(said)["error"]) == (401, "this link was used already or is older than a minute")


@pytest.mark.parametrize("token", ["", "wrong", "\ud800", None, 1, [], {"a": "b"}])
def test_what_is_not_the_token_of_a_link_gives_no_key(server: Server, token: object) -> None:
    server.link()
    assert ask(server, "POST", "/session", JSON, json.dumps({"token": token}).encode())[0] == 401


@pytest.mark.parametrize("body", [b"[]", b'"token"', b"{", b"[" * 200, b"\xff\xfe", b"{}"])
def test_a_body_without_a_token_is_refused(server: Server, body: bytes) -> None:
    assert ask(server, "POST", "/session", JSON, body)[0] == 400


def test_a_link_is_good_for_a_minute(pipeline: Pipeline) -> None:
    now = [1000.0]
    sessions = Sessions(lambda: now[0])
    in_time, late = sessions.new_token(), sessions.new_token()
    now[0] += LINK_SECONDS - 1
    assert sessions.open(in_time)
    now[0] += 1
    assert not sessions.open(late)


def test_the_keys_of_the_newest_pages_are_kept() -> None:
    sessions = Sessions()
    keys = [sessions.open(sessions.new_token()) or "" for _ in range(40)]
    assert sessions.knows(keys[-1]) and not sessions.knows(keys[0])


def test_the_server_listens_on_loopback_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.link().startswith(f"http://127.0.0.1:{server.port}/#")


def raw(server: Server, sent: bytes) -> bytes:
    """What the server answers to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 403),
        (b"GET / HTTP/1.0\r\n\r\n", 403),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n", 431),
    ],
)
def test_what_is_not_a_request_of_a_browser_is_refused(server: Server, sent: bytes, status: int) -> None:
    head = raw(server, sent).split(b"\r\n\r\n")[0].decode()
    assert head.startswith(f"HTTP/1.1 {status} ") and "Content-Security-Policy: default-src 'none'" in head


def test_after_a_refusal_nothing_more_of_the_connection_is_read(server: Server) -> None:
    good = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    assert raw(server, b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n" + good).count(b"HTTP/1.1 ") == 1


def test_a_connection_is_kept_for_the_next_request(server: Server) -> None:
    key = opened(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for status in (200, 204, 204):
        connection.request("GET", f"/api/snapshot?revision={0 if status == 200 else 1}", headers=dict([key]))
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, status == 200)
    connection.close()


@contextmanager
def connected(server: Server, count: int) -> Iterator[list[socket.socket]]:
    sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(count)]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def test_no_more_connections_are_held_than_a_browser_needs(server: Server) -> None:
    with connected(server, MOST_CONNECTIONS) as held:
        for each in held:  # Each has a thread by the time it has got an answer.
            each.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            assert each.recv(100).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as refused:
            assert refused.recv(100).startswith(b"HTTP/1.1 503")


def test_who_answers_is_told_that_the_client_is_gone(server: Server, pipeline: Pipeline) -> None:
    pipeline.hold = threading.Event()
    name, key = opened(server)
    path = "/api/series?device=sensor-001&every=5m&from=1795500000000&to=1795528606000"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{name}: {key}\r\n\r\n".encode())
        eventually(lambda: pipeline.asked)
        assert not pipeline.gone()
    eventually(pipeline.gone)
    pipeline.hold.set()


def test_clients_that_are_gone_before_they_are_refused_are_no_bug(pipeline: Pipeline) -> None:
    told: list[str] = []
    with Server(pipeline, told.append) as server, connected(server, MOST_CONNECTIONS + 1) as clients:
        # A connection that is closed like this is reset.
        clients[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[-1].close()
        for _ in clients:
            server.handle_request()
    assert not told


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: ", b"POST /session HTTP/1.1\r\nHost: "])
def test_a_client_that_sends_slowly_loses_its_connection(pipeline: Pipeline, begun: bytes) -> None:
    with served(pipeline, idle_seconds=0.05, request_seconds=0.05) as server:
        assert raw(server, begun) == b""


def test_a_body_that_does_not_come_ends_the_connection(pipeline: Pipeline) -> None:
    with served(pipeline, request_seconds=0.05) as server:
        head = f"POST /session HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 20\r\n\r\n"
        assert raw(server, head.encode()) == b""
