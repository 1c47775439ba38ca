"""Which requests the server answers: those of its own page, opened in a browser on this machine.

Any web page can make a browser send requests to 127.0.0.1. A foreign page shows in `Origin` and `Sec-Fetch-Site`;
a foreign name that resolves to 127.0.0.1 (DNS rebinding) shows in `Host`.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus

LONGEST_BODY = 200
"""Bytes. The longest body that the page sends is a token."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            *(f"{kind}-src 'self'" for kind in ("script", "style", "connect")),
            "img-src 'self' data:",
            *(f"{kind} 'none'" for kind in ("frame-ancestors", "base-uri", "form-action")),
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer, also with refusals."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: HTTPStatus
    reason: str


def refusal(headers: Message, target: str, port: int) -> Refusal | None:
    """Why no page of this server can have sent the request; None if one can."""
    if not target.startswith("/"):
        return Refusal(HTTPStatus.BAD_REQUEST, "the request's target is not a path")
    hosts = headers.get_all("Host", [])
    if len(hosts) != 1 or hosts[0] not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        return Refusal(HTTPStatus.FORBIDDEN, "the request is for another host")
    origins = headers.get_all("Origin", [])
    if origins and origins != [f"http://{hosts[0]}"]:
        return Refusal(HTTPStatus.FORBIDDEN, "the request comes from another origin")
    sites = headers.get_all("Sec-Fetch-Site", [])
    if sites and sites not in (["same-origin"], ["none"]):
        return Refusal(HTTPStatus.FORBIDDEN, "the request comes from another site")
    return _of_body(headers)


def _of_body(headers: Message) -> Refusal | None:
    lengths = headers.get_all("Content-Length", [])
    if "Transfer-Encoding" in headers or len(lengths) > 1:
        return Refusal(HTTPStatus.BAD_REQUEST, "the length of the body is not clear")
    if not lengths:
        return None
    # str.isdigit also accepts digits of other scripts, and int accepts signs and underscores.
    if not (lengths[0].isascii() and lengths[0].isdigit()):
        return Refusal(HTTPStatus.BAD_REQUEST, "the length of the body is not a number")
    if len(lengths[0]) > 9 or int(lengths[0]) > LONGEST_BODY:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {LONGEST_BODY} bytes")
    return None


def key_of(headers: Message) -> str:
    """The key that the request shows; empty without exactly one."""
    shown = headers.get_all("Authorization", [])
    return shown[0].removeprefix("Bearer ") if len(shown) == 1 and shown[0].startswith("Bearer ") else ""
