"""Parses API Gateway's REST proxy events, and builds answers and refusals."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from dataclasses import dataclass
from typing import Any

# Limits a refusal's list: the answer must stay below Lambda's 6 MB.
MAX_DETAILS = 1000
RETRY_AFTER = 2
# Lambda's limit for an uncompressed body.
MAX_BODY_BYTES = 6_000_000
_GZIP = b"\x1f\x8b"
# Lambda retries an asynchronous invocation for six hours. A more distant time is not API Gateway's.
_MAX_DELIVERY_DELAY = 6 * 3_600_000
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/=@+-]{1,128}")

Answer = dict[str, Any]


class Refused(Exception):
    """The request is invalid: it gets this status and these details, and changes nothing."""

    def __init__(self, status: int, code: str, details: list[dict[str, Any]]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.details = details


class Unavailable(Exception):
    """AWS is unavailable, probably for a short time: the answer is 503 with Retry-After."""


def invalid(details: list[dict[str, Any]]) -> Refused:
    return Refused(400, "validation_failed", details)


def detail(field: str, code: str, message: str, index: int | None = None) -> dict[str, Any]:
    """Return one entry of a refusal's list. `index` counts the readings of a batch from 0."""
    position = {} if index is None else {"index": index}
    return {**position, "field": field, "code": code, "message": message}


@dataclass(frozen=True)
class Request:
    """The parts of a proxy event that the routes need; header names are lower-case."""

    headers: dict[str, str]
    parameters: dict[str, list[str]]
    request_id: str
    correlation_id: str
    event: dict[str, Any]
    origin: str
    """An id that is unique to the request, and the same when Lambda retries it."""

    def received_at(self, now: int) -> int:
        """Return when API Gateway received the request, in epoch milliseconds; `now` if the event does not have it.

        A retry by Lambda has the same event, so its readings get the same time.
        """
        time = _request_context(self.event).get("requestTimeEpoch")
        return time if isinstance(time, int) and abs(time - now) <= _MAX_DELIVERY_DELAY else now

    def body(self) -> str:
        """Return the body as text. Raises Refused if it is missing or not UTF-8."""
        body = self.event.get("body")
        if not isinstance(body, str) or not body.strip():
            raise bad_body("required", "a JSON body is required")
        compressed = self.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip")
        if not self.event.get("isBase64Encoded"):
            # API Gateway decompresses a request before it calls the function, but may keep the header.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
            if compressed and body.startswith(_GZIP[:1].decode()):
                raise bad_body("gzip", "compressed bytes that were decoded as text cannot be read")
            return body
        try:
            content = base64.b64decode(body, validate=True)
            # API Gateway may have decompressed it already and kept the header: `decompress` takes that too.
            return (decompress(content) if compressed else content).decode()
        except ValueError:
            hint = "; gzip needs the header Content-Encoding: gzip" if _is_gzip(body) and not compressed else ""
            raise bad_body("base64", f"base64 of UTF-8 text required{hint}") from None


def bad_body(code: str, message: str) -> Refused:
    """Return the refusal of a body as a whole."""
    return invalid([detail("body", code, message)])


def _is_gzip(body: str) -> bool:
    return body.startswith(base64.b64encode(_GZIP)[:2].decode())


def decompress(content: bytes) -> bytes:
    """Decompress gzip with one member; never holds more than the limit in memory. Returns other content unchanged.

    Raises Refused for damaged content and for more than MAX_BODY_BYTES.
    """
    if not content.startswith(_GZIP):
        return content
    member = zlib.decompressobj(wbits=31)
    try:
        decompressed = member.decompress(content, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise bad_body("gzip", "not gzip, or damaged") from None
    if len(decompressed) > MAX_BODY_BYTES:
        raise bad_body("size", f"more than {MAX_BODY_BYTES} bytes when decompressed")
    if not member.eof or member.unused_data:
        raise bad_body("gzip", "incomplete, or more than one gzip member")
    return decompressed


def request(event: dict[str, Any], context: Any) -> Request:
    """Parse a proxy event; any part of it may be missing or null."""
    all_headers = _all_values(event, "headers", "multiValueHeaders")
    headers = {name.lower(): values[-1] for name, values in all_headers.items()}
    request_id = _request_id(event, context)
    return Request(
        headers=headers,
        parameters=_all_values(event, "queryStringParameters", "multiValueQueryStringParameters"),
        request_id=request_id,
        correlation_id=safe_id(headers.get("x-correlation-id")) or request_id,
        event=event,
        origin=_origin(event, context),
    )


def _request_context(event: dict[str, Any]) -> dict[str, Any]:
    context_fields = event.get("requestContext")
    return context_fields if isinstance(context_fields, dict) else {}


def _request_id(event: dict[str, Any], context: Any) -> str:
    gateway_id = _request_context(event).get("requestId")
    return safe_id(gateway_id) or safe_id(getattr(context, "aws_request_id", None)) or "unknown"


def _origin(event: dict[str, Any], context: Any) -> str:
    """Return both of API Gateway's ids, since clients may set the first; else Lambda's id; else a random one.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    context_fields = _request_context(event)
    gateway_ids = [context_fields.get(name) for name in ("requestId", "extendedRequestId")]
    ids = [value for value in gateway_ids if isinstance(value, str) and value]
    ids = ids or [value for value in [getattr(context, "aws_request_id", None)] if isinstance(value, str) and value]
    return json.dumps(ids or [os.urandom(16).hex()])


def safe_id(text: Any) -> str | None:
    """Return an id if it is safe in logs, headers and message attributes, else None."""
    return text if isinstance(text, str) and _SAFE_ID.fullmatch(text) else None


def _all_values(event: dict[str, Any], single_member: str, multi_member: str) -> dict[str, list[str]]:
    single, multi = event.get(single_member), event.get(multi_member)
    pairs = {name: [value] for name, value in single.items()} if isinstance(single, dict) else {}
    if isinstance(multi, dict):
        pairs |= {name: values for name, values in multi.items() if isinstance(values, list) and values}
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
        "details": refused.details[:MAX_DETAILS],
    }
    if len(refused.details) > MAX_DETAILS:
        error["omitted"] = len(refused.details) - MAX_DETAILS
    return answer(request, refused.status, json.dumps({"error": error}))


def unavailable(request: Request, body: dict[str, Any]) -> Answer:
    """Answer 503: the client may send the same request again. `body` has the results so far."""
    error = {"code": "unavailable", "request_id": request.request_id, "details": []}
    return answer(request, 503, json.dumps({"error": error, **body}), {"Retry-After": str(RETRY_AFTER)})
