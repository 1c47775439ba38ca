"""API Gateway's REST proxy events in, its answers out, and what a refusal looks like."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from dataclasses import dataclass
from typing import Any

# A refusal's list is cut here: the answer must stay below the 6 MB that Lambda returns.
MOST_DETAILS = 1000
RETRY_AFTER = 2
# As much as Lambda passes on of an uncompressed body.
LARGEST_BODY = 6_000_000
_GZIP = b"\x1f\x8b"
# Lambda repeats an asynchronous invocation for six hours. A time further away is not API Gateway's.
_LONGEST_UNDER_WAY = 6 * 3_600_000
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/=@+-]{1,128}")

Answer = dict[str, Any]


class Refused(Exception):
    """The request is at fault: it is answered with this status and these details, and changes nothing."""

    def __init__(self, status: int, code: str, details: list[dict[str, Any]]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.details = details


class Unavailable(Exception):
    """AWS is at fault, and probably not for long: 503 with Retry-After."""


def invalid(details: list[dict[str, Any]]) -> Refused:
    return Refused(400, "validation_failed", details)


def detail(field: str, code: str, message: str, index: int | None = None) -> dict[str, Any]:
    """One entry of a refusal's list. `index` counts the readings of a batch from 0."""
    where = {} if index is None else {"index": index}
    return {**where, "field": field, "code": code, "message": message}


@dataclass(frozen=True)
class Request:
    """A proxy event as far as the routes need it; header names in lower case."""

    headers: dict[str, str]
    parameters: dict[str, list[str]]
    request_id: str
    correlation_id: str
    event: dict[str, Any]
    origin: str
    """What no other request has, and a repetition of this one by Lambda has as well."""

    def received_at(self, now: int) -> int:
        """When API Gateway received the request, in epoch milliseconds; `now` where the event does not say it.

        A repetition by Lambda has the same event, and so its readings get the same time.
        """
        given = _about(self.event).get("requestTimeEpoch")
        return given if isinstance(given, int) and abs(given - now) <= _LONGEST_UNDER_WAY else now

    def body(self) -> str:
        """The body as text. Raises Refused where there is none, or none that is UTF-8."""
        body = self.event.get("body")
        if not isinstance(body, str) or not body.strip():
            raise _bad_body("required", "a JSON body is required")
        compressed = self.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip")
        if not self.event.get("isBase64Encoded"):
            # API Gateway decompresses a request before it calls the function; the header may still be there.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
            if compressed and body.startswith(_GZIP[:1].decode()):
                raise _bad_body("gzip", "compressed bytes that were passed on as text cannot be read")
            return body
        try:
            content = base64.b64decode(body, validate=True)
            return (_inflated(content) if compressed else content).decode()
        except ValueError:
            hint = "; gzip needs the header Content-Encoding: gzip" if _is_gzip(body) and not compressed else ""
            raise _bad_body("base64", f"base64 of UTF-8 text required{hint}") from None


def _bad_body(code: str, message: str) -> Refused:
    return invalid([detail("body", code, message)])


def _is_gzip(body: str) -> bool:
    return body.startswith(base64.b64encode(_GZIP)[:2].decode())


def _inflated(content: bytes) -> bytes:
    """What a gzip file of one member holds; nothing beyond the limit ever gets into memory.

    API Gateway may have decompressed it, so that it is taken as it is where it is no gzip.
    """
    if not content.startswith(_GZIP):
        return content
    member = zlib.decompressobj(wbits=31)
    try:
        found = member.decompress(content, LARGEST_BODY + 1)
    except zlib.error:
        raise _bad_body("gzip", "not gzip, or damaged") from None
    if len(found) > LARGEST_BODY:
        raise _bad_body("size", f"more than {LARGEST_BODY} bytes when decompressed")
    if not member.eof or member.unused_data:
        raise _bad_body("gzip", "cut off, or more than one gzip member")
    return found


def request(event: dict[str, Any], context: Any) -> Request:
    """Read a proxy event, taking nothing for granted: every part of it may be missing or null."""
    named = _pairs(event, "headers", "multiValueHeaders")
    headers = {name.lower(): values[-1] for name, values in named.items()}
    request_id = _request_id(event, context)
    return Request(
        headers=headers,
        parameters=_pairs(event, "queryStringParameters", "multiValueQueryStringParameters"),
        request_id=request_id,
        correlation_id=_safe(headers.get("x-correlation-id")) or request_id,
        event=event,
        origin=_origin(event, context),
    )


def _about(event: dict[str, Any]) -> dict[str, Any]:
    about = event.get("requestContext")
    return about if isinstance(about, dict) else {}


def _request_id(event: dict[str, Any], context: Any) -> str:
    given = _about(event).get("requestId")
    return _safe(given) or _safe(getattr(context, "aws_request_id", None)) or "unknown"


def _origin(event: dict[str, Any], context: Any) -> str:
    """Both of API Gateway's ids, since clients may choose the first; else Lambda's id; else a random one.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    about = _about(event)
    given = [about.get(name) for name in ("requestId", "extendedRequestId")]
    known = [name for name in given if isinstance(name, str) and name]
    known = known or [name for name in [getattr(context, "aws_request_id", None)] if isinstance(name, str) and name]
    return json.dumps(known or [os.urandom(16).hex()])


def _safe(text: Any) -> str | None:
    """Ids go into logs, headers and message attributes: only harmless characters, and not many."""
    return text if isinstance(text, str) and _SAFE_ID.fullmatch(text) else None


def _pairs(event: dict[str, Any], single: str, several: str) -> dict[str, list[str]]:
    one, many = event.get(single), event.get(several)
    pairs = {name: [value] for name, value in one.items()} if isinstance(one, dict) else {}
    if isinstance(many, dict):
        pairs |= {name: values for name, values in many.items() if isinstance(values, list) and values}
    return {str(name): [str(value) for value in values] for name, values in pairs.items()}


def answer(request: Request, status: int, body: str, headers: dict[str, str] | None = None) -> Answer:
    common = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Correlation-Id": request.correlation_id,
    }
    return {"statusCode": status, "headers": common | (headers or {}), "body": body}


def refusal(request: Request, refused: Refused) -> Answer:
    error: dict[str, Any] = {
        "code": refused.code,
        "request_id": request.request_id,
        "details": refused.details[:MOST_DETAILS],
    }
    if len(refused.details) > MOST_DETAILS:
        error["omitted"] = len(refused.details) - MOST_DETAILS
    return answer(request, refused.status, json.dumps({"error": error}))


def unavailable(request: Request, body: dict[str, Any]) -> Answer:
    """503: the same request may be sent again as it is. `body` tells what was done and what was not."""
    error = {"code": "unavailable", "request_id": request.request_id, "details": []}
    return answer(request, 503, json.dumps({"error": error, **body}), {"Retry-After": str(RETRY_AFTER)})
