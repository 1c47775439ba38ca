"""Who may talk to the embedded AWS: programs of this machine that sign with a key it made, and no web page.

ministack lets pages of every origin in, takes any Host, and never checks the signature of its well-known root keys.
With CreateFunction that would let a web page run code here, so this stands in front of it.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Admin = Callable[[str, str], Awaitable[Mapping[str, Any]]]

SECRET = "x-iotpipe-secret"
"""The header that lets the launcher into the paths under ADMIN and those of ministack itself."""
ADMIN = "/_iotpipe/"

_EXECUTE = re.compile("/_aws/execute-api/[^/]+/")
"""Where an API answers. Without a stage behind the API's id, ministack takes the request for one of a service."""
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/")
_MADE_HERE = re.compile(r"A[KS]IA[A-Z0-9]{16}")
"""Keys of users and roles as ministack makes them. It checks their signatures, as it does that of our root key."""
_IN_QUERY = ("x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature")


class Guard:
    """An ASGI application in front of another one.

    `root` is the only root key that is let in. `ready` is called once the application has started, `touched` after
    every request that it was given, and `admin` answers what the launcher asks under ADMIN.
    """

    def __init__(
        self,
        application: Application,
        *,
        port: int,
        root: str,
        secret: str,
        ready: Callable[[], None],
        touched: Callable[[], None],
        admin: Admin,
    ) -> None:
        self._application = application
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._root = root
        self._secret = secret.encode()
        self._ready = ready
        self._touched = touched
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._listening(send))
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := self.refusal(scope):
            await _answer(send, 403, {"__type": "AccessDeniedException", "message": refusal})
        elif scope["path"].startswith(ADMIN):
            await _answer(send, 200, await self._admin(scope["method"], scope["path"].removeprefix(ADMIN)))
        else:
            try:
                await self._application(scope, receive, send)
            finally:
                self._touched()

    def refusal(self, scope: Scope) -> str:
        """Why the request is not let in; empty if it is."""
        headers = _Headers(scope)
        if headers.all("origin"):
            return "requests from web pages are refused"
        if len(headers.all("host")) != 1 or headers.first("host") not in self._hosts:
            return "this AWS is only known as 127.0.0.1 and localhost"
        path = scope["path"]
        to_an_api = _EXECUTE.match(path) is not None
        if path.startswith("/_") and not to_an_api:
            known = hmac.compare_digest(headers.first(SECRET).encode(), self._secret)
            return "" if known else "this path is only open to iotpipe itself"
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name.lower() in _IN_QUERY for name in query):
            return "requests are signed in the Authorization header here"
        return self._of_key(headers, needed=not to_an_api)

    def _of_key(self, headers: _Headers, needed: bool) -> str:
        given = headers.all("authorization")
        if not given:
            return "this AWS only takes signed requests" if needed else ""
        signed = _SIGNED.match(given[0]) if len(given) == 1 else None
        if not signed:
            return "this AWS only takes requests that are signed with Signature Version 4"
        key = signed[1]
        if key != self._root and not _MADE_HERE.fullmatch(key):
            return "this AWS does not know that access key"
        return ""

    def _listening(self, send: Send) -> Send:
        async def heard(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready()

        return heard


class _Headers:
    def __init__(self, scope: Scope) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self._pairs if each == name]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


async def _answer(send: Send, status: int, content: Mapping[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", str(content.get("__type", "")).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
