"""Checks the signatures of requests: that they cover the body, the operation and the service, as AWS requires.

ministack checks less. It does not check that X-Amz-Target is signed, that X-Amz-Content-Sha256 is the body's hash, or
that the signature is for this service. It authorizes the `Action` of the URL or a form, but then performs the operation
of the path or X-Amz-Target. And some of its paths answer without any signature.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from iotpipe.local.engine_directory import ACCOUNT

Scope = MutableMapping[str, Any]

EXECUTE = re.compile("/_aws/execute-api/[^/]+/")
"""The paths of API Gateway's APIs. Without a stage after the API's id, ministack routes a request to a service."""

_MAX_BODY_BYTES = {"execute-api": 10_485_760, "lambda": 70_167_211}
"""AWS's limit for a request body, by service.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html; Lambda
names its limit, a 50 MB archive in base64, in its answer to a larger request.
"""
_DEFAULT_MAX_BODY_BYTES = 16 * 2**20
"""The limit of DynamoDB's BatchWriteItem; the other services used here have lower limits."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request"
    r", *SignedHeaders=([a-z0-9_.-]+(?:;[a-z0-9_.-]+)*), *Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """A refused request, with the status and error code that AWS uses for it."""

    def __init__(self, message: str, code: str = "AccessDeniedException", status: int = 403) -> None:
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


@dataclass(frozen=True)
class Request:
    """The head of a request. Header names are lower-case; the values of a repeated header are joined with commas."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    repeated: frozenset[str]

    @property
    def is_for_an_api(self) -> bool:
        return EXECUTE.match(self.path) is not None

    @property
    def parameters(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)

    @classmethod
    def of(cls, scope: Scope) -> Request:
        from ministack.core.sigv4 import decode_header_value

        headers: dict[str, str] = {}
        repeated = set()
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), decode_header_value(raw_value)
            if name in headers:
                repeated.add(name)
                value = f"{headers[name]},{value}"
            headers[name] = value
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        return cls(scope.get("method", "GET"), scope["path"], raw_path, query, headers, frozenset(repeated))


@dataclass(frozen=True)
class Signature:
    """The parts of the Authorization header. `scope` is date, region and service."""

    key: str
    scope: tuple[str, str, str]
    signed_headers: str
    digest: str

    @property
    def service(self) -> str:
        return self.scope[2]

    @property
    def max_body_bytes(self) -> int:
        """The service's limit for a request body."""
        return _MAX_BODY_BYTES.get(self.service, _DEFAULT_MAX_BODY_BYTES)

    @classmethod
    def of(cls, request: Request) -> Signature:
        """Parse the signature of a request; it may still be forged. Raises Refused if there is none."""
        header = request.headers.get("authorization")
        if header is None:
            message = "Missing Authentication Token" if request.is_for_an_api else "this AWS only takes signed requests"
            raise Refused(message, "MissingAuthenticationTokenException")
        match = _AUTHORIZATION.fullmatch(header)
        if not match:
            message = (
                "this AWS only takes requests that are signed with Signature Version 4, in one Authorization header"
            )
            raise Refused(message, "IncompleteSignatureException")
        key, date, region, service, signed_headers, digest = match.groups()
        return cls(key, (date, region, service), signed_headers, digest)


class Signatures:
    """Checks signatures with the secrets of ministack's users and roles, and of one root key."""

    def __init__(self, root: str) -> None:
        self._root = root

    def check_head(self, request: Request) -> Signature:
        """Check everything but the body, and return the parsed signature. Raises Refused."""
        signature = Signature.of(request)
        self._secret(request, signature)
        _check_signed_headers(request, signature)
        _check_time(request, signature)
        _check_service(request, signature)
        return signature

    def check_body(self, request: Request, signature: Signature, body: bytes) -> None:
        """Check the signature against the whole request. Raises Refused."""
        from ministack.core import sigv4

        declared = request.headers.get("x-amz-content-sha256")
        if declared is not None and declared != hashlib.sha256(body).hexdigest():
            raise Refused("X-Amz-Content-Sha256 is not the hash of the body", _MISMATCH)
        header_signature = sigv4.HeaderSignature(
            signature.key, *signature.scope, signature.signed_headers, signature.digest, request.headers["x-amz-date"]
        )
        secret = self._secret(request, signature)
        parts = (request.method, request.raw_path, request.parameters, request.headers, body)
        if failure := sigv4.header_signature_failure(header_signature, secret, *parts):
            raise Refused(failure[1], _MISMATCH)

    def _secret(self, request: Request, signature: Signature) -> str:
        """Return the key's secret. Raises Refused for a key that was not issued here, like ministack's root keys."""
        from ministack.core import iam_evaluator, responses

        if signature.key != self._root and not _ISSUED_KEY.fullmatch(signature.key):
            raise Refused("this AWS does not know that access key", _UNKNOWN)
        account = responses._account_from_sts_session(signature.key) or ACCOUNT
        token = request.headers.get("x-amz-security-token", "")
        credential = iam_evaluator.resolve_credential(signature.key, account, session_token=token)
        if isinstance(credential, iam_evaluator.CredentialResolutionError):
            code = "ExpiredTokenException" if credential.code.startswith("Expired") else _UNKNOWN
            raise Refused(credential.message, code)
        return str(credential.secret_access_key)


_MISMATCH, _UNKNOWN = "InvalidSignatureException", "UnrecognizedClientException"
_ISSUED_KEY = re.compile(r"A[KS]IA[A-Z0-9]{16}")


def error_response(request: Request, refused: Refused) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a refusal, in the protocol of the service's clients."""
    from ministack.core.iam_actions import access_denied_response

    credential = _CREDENTIAL.match(request.headers.get("authorization", ""))
    if request.is_for_an_api or not credential:
        error_type = {} if request.is_for_an_api else {"__type": refused.code}
        body = json.dumps(error_type | {"message": refused.message}).encode()
        return refused.status, {"content-type": "application/json", "x-amzn-errortype": refused.code}, body
    service, code = credential[1], _MINISTACK_CODES.get(refused.code, refused.code)
    status, headers, body = access_denied_response(
        service, "", "", str(uuid.uuid4()), error_code=code, message=refused.message, headers=dict(request.headers)
    )
    return refused.status if refused.status != 403 else status, headers, body


_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/[^/]+/[^/]+/([a-z0-9-]+)/")
_MINISTACK_CODES = {
    _MISMATCH: "SignatureDoesNotMatch",
    "IncompleteSignatureException": "IncompleteSignature",
}


def _check_signed_headers(request: Request, signature: Signature) -> None:
    """Refuse unsigned headers that select the host, time or operation, and repeated headers that could be ambiguous."""
    required = {"host", "x-amz-date", *(name for name in request.headers if name.startswith("x-amz-"))}
    if missing := sorted(required - set(signature.signed_headers.split(";"))):
        raise Refused(f"'{missing[0]}' must be a 'SignedHeader' in the AWS Authorization.", _MISMATCH)
    unambiguous = required | {"authorization", "content-type", "content-encoding", "content-length"}
    if repeated := sorted(unambiguous & request.repeated):
        raise Refused(f"'{repeated[0]}' occurs more than once", _MISMATCH)


def _check_time(request: Request, signature: Signature) -> None:
    from ministack.core import sigv4

    date = request.headers.get("x-amz-date", "")
    if sigv4._amz_datetime(date) is None:
        raise Refused("X-Amz-Date is not a time like 20260101T120000Z", "IncompleteSignatureException")
    dated = sigv4.HeaderSignature(signature.key, *signature.scope, signature.signed_headers, signature.digest, date)
    if failure := sigv4.request_time_failure(dated):
        raise Refused(failure[1], _MISMATCH)


def _check_service(request: Request, signature: Signature) -> None:
    """Refuse a signature for another service than the one that will answer, and ambiguous operations."""
    service = "execute-api" if request.is_for_an_api else _routed_service(request, signature)
    if service != signature.service:
        raise Refused(f"Credential should be scoped to correct service: '{service}'.", _MISMATCH)
    if not request.is_for_an_api:
        _check_operation(request, signature)


def _routed_service(request: Request, signature: Signature) -> str:
    """Return the signing name of the service to which ministack routes the request."""
    from ministack.core import router

    if signature.service == "execute-api":
        raise Refused("no API of this AWS answers at this path")
    routed: str = router.detect_service(request.method, request.path, dict(request.headers), request.parameters)
    untargeted = {name: value for name, value in request.headers.items() if name != "x-amz-target"}
    if routed == router.detect_service(request.method, request.path, untargeted, request.parameters):
        return signature.service
    return str(router.SERVICE_PATTERNS[routed].get("credential_scope", routed))


def _check_operation(request: Request, signature: Signature) -> None:
    if "content-encoding" in request.headers:
        message = "this AWS takes no compressed requests: set AWS_DISABLE_REQUEST_COMPRESSION=true"
        raise Refused(message, "UnsupportedMediaType", 415)
    if any(name.lower() == "action" for name in request.parameters):
        raise Refused("the operation must be in the body or in X-Amz-Target, not in the URL")
    if _SMITHY.search(request.path):
        raise Refused("this AWS does not support Smithy RPC; use JSON with X-Amz-Target")
    content_type = request.headers.get("content-type", "").lower()
    unambiguous = True
    if "x-amz-target" in request.headers:
        is_root = (request.method, request.path, request.query) == ("POST", "/", "")
        unambiguous = is_root and _JSON.fullmatch(content_type) is not None
    elif _FORM in content_type:
        unambiguous = request.method == "POST" and not request.query and signature.service in _QUERY_PROTOCOL
    if not unambiguous:
        raise Refused("the operation is ambiguous: URL, headers and content type do not agree")


_FORM, _JSON = "x-www-form-urlencoded", re.compile(r"application/x-amz-json-1\.[01](; *charset=utf-8)?")
_SMITHY = re.compile("/service/[^/]+/operation/")
_QUERY_PROTOCOL = frozenset(
    {"autoscaling", "cloudformation", "ec2", "elasticache", "elasticloadbalancing", "email", "iam", "monitoring"}
    | {"rds", "ses", "sns", "sqs", "sts"}
)
"""The services with AWS's query protocol: a form with the operation as `Action`."""
