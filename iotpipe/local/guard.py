"""Authenticates requests to the embedded AWS: they must be signed with a key that it issued and not from a web page.

ministack accepts every Origin and Host, and does not check the signatures of its well-known root keys. A web page could
run code on this machine with CreateFunction, so this guard checks every request first.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from iotpipe.local.signatures import Refused, Request, Scope, Signatures, error_response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Admin = Callable[[str, str], Awaitable[Mapping[str, Any]]]

SECRET = "x-iotpipe-secret"
"""The header that authenticates the launcher for the paths under ADMIN and ministack's own admin paths."""
ADMIN = "/_iotpipe/"

_QUERY_CREDENTIALS = ("x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature")


class Guard:
    """ASGI middleware in front of ministack.

    Awaits `ready` when the application has started, and calls `on_request` after every request that it has processed.
    `admin` answers the launcher's requests under ADMIN.
    """

    def __init__(
        self,
        application: Application,
        *,
        port: int,
        secret: str,
        signatures: Signatures,
        ready: Callable[[], Awaitable[None]],
        on_request: Callable[[], None],
        admin: Admin,
    ) -> None:
        self._application = application
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._secret = secret.encode()
        self._signatures = signatures
        self._ready = ready
        self._on_request = on_request
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._notice_startup(send))
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            request = Request.of(scope)
            try:
                await self._authenticate_and_pass(request, scope, receive, send)
            except Refused as refused:
                # hypercorn does not close a connection while unread data arrives on it.
                rest = asyncio.create_task(_discard(receive))
                try:
                    await _answer(send, *error_response(request, refused))
                finally:
                    rest.cancel()

    async def _authenticate_and_pass(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an authenticated request to the application. Raises Refused."""
        self._check_sender(request)
        if request.path.startswith(ADMIN):
            answer = await self._admin(request.method, request.path.removeprefix(ADMIN))
            await _answer(send, 200, {"content-type": "application/json"}, json.dumps(answer).encode())
            return
        if not self._is_admin_path(request):
            signature = self._signatures.check_head(request)
            body = await _read(request, receive, signature.max_body_bytes)
            self._signatures.check_body(request, signature, body)
            receive = _replay(body, receive)
        try:
            await self._application(scope, receive, send)
        finally:
            self._on_request()

    def _check_sender(self, request: Request) -> None:
        """Raise Refused for a request from a web page, to another Host, or to an admin path without the secret."""
        if "origin" in request.headers:
            raise Refused("requests from web pages are refused")
        if request.headers.get("host") not in self._hosts:  # a repeated Host is joined with a comma, so it is refused
            raise Refused("this AWS is only known as 127.0.0.1 and localhost")
        if self._is_admin_path(request):
            if not hmac.compare_digest(request.headers.get(SECRET, "").encode(), self._secret):
                raise Refused("this path is only open to iotpipe itself")
        elif any(name.lower() in _QUERY_CREDENTIALS for name in request.parameters):
            raise Refused("requests must be signed in the Authorization header")

    def _is_admin_path(self, request: Request) -> bool:
        return request.path.startswith("/_") and not request.is_for_an_api

    def _notice_startup(self, send: Send) -> Send:
        async def send_and_notice(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                await self._ready()

        return send_and_notice


async def _read(request: Request, receive: Receive, max_bytes: int) -> bytes:
    """Return the body. Raises Refused as soon as Content-Length or the bytes received exceed the limit."""
    too_large = Refused(f"Request must be smaller than {max_bytes} bytes", "RequestEntityTooLargeException", 413)
    if int(request.headers.get("content-length", "0")) > max_bytes:
        raise too_large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("the body is incomplete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise too_large
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first gives the body which has been read already."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _discard(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    all_headers = {**headers, "content-length": str(len(body))}
    if status >= 400:
        # The body of a refused request may be unread, so the connection cannot be used for another request.
        all_headers["connection"] = "close"
    pairs = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
