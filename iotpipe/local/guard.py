"""Who may talk to the embedded AWS: programs of this machine that sign with a key it made, and no web page.

ministack lets pages of every origin in, takes any Host, and never checks the signature of its well-known root keys.
With CreateFunction that would let a web page run code here, so this stands in front of it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from iotpipe.local.signatures import Refused, Request, Scope, Signatures, worded

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Admin = Callable[[str, str], Awaitable[Mapping[str, Any]]]

SECRET = "x-iotpipe-secret"
"""The header that lets the launcher into the paths under ADMIN and those of ministack itself."""
ADMIN = "/_iotpipe/"

_IN_QUERY = ("x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature")


class Guard:
    """An ASGI application in front of another one.

    `ready` is called once the application has started, `touched` after every request that it was given, and `admin`
    answers what the launcher asks under ADMIN.
    """

    def __init__(
        self,
        application: Application,
        *,
        port: int,
        secret: str,
        signatures: Signatures,
        ready: Callable[[], None],
        touched: Callable[[], None],
        admin: Admin,
    ) -> None:
        self._application = application
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._secret = secret.encode()
        self._signatures = signatures
        self._ready = ready
        self._touched = touched
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._listening(send))
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            request = Request.of(scope)
            try:
                await self._let_in(request, scope, receive, send)
            except Refused as refused:
                # hypercorn ends no connection as long as nobody takes what still comes in on it.
                rest = asyncio.create_task(_discard(receive))
                try:
                    await _answer(send, *worded(request, refused))
                finally:
                    rest.cancel()

    async def _let_in(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request on, if it is let in. Raises Refused."""
        self._check_sender(request)
        if request.path.startswith(ADMIN):
            found = await self._admin(request.method, request.path.removeprefix(ADMIN))
            await _answer(send, 200, {"content-type": "application/json"}, json.dumps(found).encode())
            return
        if not self._is_of_the_launcher(request):
            signature = self._signatures.check_head(request)
            body = await _read(request, receive, signature.largest)
            self._signatures.check_body(request, signature, body)
            receive = _again(body, receive)
        try:
            await self._application(scope, receive, send)
        finally:
            self._touched()

    def _check_sender(self, request: Request) -> None:
        """Raise Refused for what comes from a web page, under a foreign name, or to what only iotpipe may ask."""
        if "origin" in request.headers:
            raise Refused("requests from web pages are refused")
        if request.headers.get("host") not in self._hosts:  # one that is there twice is a name with a comma
            raise Refused("this AWS is only known as 127.0.0.1 and localhost")
        if self._is_of_the_launcher(request):
            if not hmac.compare_digest(request.headers.get(SECRET, "").encode(), self._secret):
                raise Refused("this path is only open to iotpipe itself")
        elif any(name.lower() in _IN_QUERY for name in request.parameters):
            raise Refused("requests are signed in the Authorization header here")

    def _is_of_the_launcher(self, request: Request) -> bool:
        return request.path.startswith("/_") and not request.to_an_api

    def _listening(self, send: Send) -> Send:
        async def heard(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready()

        return heard


async def _read(request: Request, receive: Receive, largest: int) -> bytes:
    """The body. Raises Refused as soon as it is too large, by its own word or by what has come of it."""
    too_large = Refused(f"Request must be smaller than {largest} bytes", "RequestEntityTooLargeException", 413)
    if int(request.headers.get("content-length", "0")) > largest:
        raise too_large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("the body ended before its end")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise too_large
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that has been read once more, and then what comes after it."""
    given = False

    async def once_more() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once_more


async def _discard(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    said = {**headers, "content-length": str(len(body))}
    # Of what is refused the body may not have been read: the connection cannot be used for another request.
    closed = {"connection": "close"} if status >= 400 else {}
    pairs = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in (said | closed).items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
