"""Whether a request is signed as AWS wants it, and for what it asks: its body, its operation and its service.

ministack checks less: it never looks whether X-Amz-Target is signed, whether X-Amz-Content-Sha256 is that of the body,
or whether the request was signed for another service; it authorizes an `Action` in the URL or in a form, and then does
what the path or X-Amz-Target says; and some of its paths answer without a look at the signature.
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
"""Where an API answers. Without a stage behind the API's id, ministack takes the request for one of a service."""

_LARGEST = {"execute-api": 10_485_760, "lambda": 70_167_211}
"""Bytes of the largest body that AWS takes, by service.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html; Lambda
itself names its limit in its answer to a larger one, which is that of a 50 MB archive as base64.
"""
_LARGEST_OF_OTHERS = 16 * 2**20
"""What DynamoDB takes in one BatchWriteItem; no other service that is used here takes more."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request"
    r", *SignedHeaders=([a-z0-9_.-]+(?:;[a-z0-9_.-]+)*), *Signature=([0-9a-f]{64})"
)


class Refused(Exception):
    """A request that is not let in: AWS's status and code for it, and why."""

    def __init__(self, message: str, code: str = "AccessDeniedException", status: int = 403) -> None:
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


@dataclass(frozen=True)
class Request:
    """The head of a request. `headers` has lower-case names, and the values of a repeated one with commas between."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    repeated: frozenset[str]

    @property
    def to_an_api(self) -> bool:
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
    """What the Authorization header says. `scope` is date, region and service."""

    key: str
    scope: tuple[str, str, str]
    signed: str
    digest: str

    @property
    def service(self) -> str:
        return self.scope[2]

    @property
    def largest(self) -> int:
        """Bytes of the largest body that the service takes."""
        return _LARGEST.get(self.service, _LARGEST_OF_OTHERS)

    @classmethod
    def of(cls, request: Request) -> Signature:
        """The signature of a request, which may be forged. Raises Refused where there is none."""
        given = request.headers.get("authorization")
        if given is None:
            message = "Missing Authentication Token" if request.to_an_api else "this AWS only takes signed requests"
            raise Refused(message, "MissingAuthenticationTokenException")
        found = _AUTHORIZATION.fullmatch(given)
        if not found:
            message = (
                "this AWS only takes requests that are signed with Signature Version 4, in one Authorization header"
            )
            raise Refused(message, "IncompleteSignatureException")
        key, date, region, service, signed, digest = found.groups()
        return cls(key, (date, region, service), signed, digest)


class Signatures:
    """Checks signatures with the secrets that ministack keeps of users and roles, and those of one root key."""

    def __init__(self, root: str) -> None:
        self._root = root

    def check_head(self, request: Request) -> Signature:
        """What the request says of its signature, before its body is read. Raises Refused."""
        signature = Signature.of(request)
        self._secret(request, signature)
        _check_signed_headers(request, signature)
        _check_time(request, signature)
        _check_service(request, signature)
        return signature

    def check_body(self, request: Request, signature: Signature, body: bytes) -> None:
        """Compare the signature with that of the whole request. Raises Refused."""
        from ministack.core import sigv4

        given = request.headers.get("x-amz-content-sha256")
        if given is not None and given != hashlib.sha256(body).hexdigest():
            raise Refused("the body is not that of which X-Amz-Content-Sha256 is the hash", _MISMATCH)
        whole = sigv4.HeaderSignature(
            signature.key, *signature.scope, signature.signed, signature.digest, request.headers["x-amz-date"]
        )
        secret = self._secret(request, signature)
        sent = (request.method, request.raw_path, request.parameters, request.headers, body)
        if failure := sigv4.header_signature_failure(whole, secret, *sent):
            raise Refused(failure[1], _MISMATCH)

    def _secret(self, request: Request, signature: Signature) -> str:
        """The secret of the key; raises Refused for one that ministack did not make, like its well-known root keys."""
        from ministack.core import iam_evaluator, responses

        if signature.key != self._root and not _MADE_HERE.fullmatch(signature.key):
            raise Refused("this AWS does not know that access key", _UNKNOWN)
        account = responses._account_from_sts_session(signature.key) or ACCOUNT
        token = request.headers.get("x-amz-security-token", "")
        found = iam_evaluator.resolve_credential(signature.key, account, session_token=token)
        if isinstance(found, iam_evaluator.CredentialResolutionError):
            raise Refused(found.message, "ExpiredTokenException" if found.code.startswith("Expired") else _UNKNOWN)
        return str(found.secret_access_key)


_MISMATCH, _UNKNOWN = "InvalidSignatureException", "UnrecognizedClientException"
_MADE_HERE = re.compile(r"A[KS]IA[A-Z0-9]{16}")


def worded(request: Request, refused: Refused) -> tuple[int, dict[str, str], bytes]:
    """A refusal as the clients of the service understand it: status, headers and body."""
    from ministack.core.iam_actions import access_denied_response

    signed = _SERVICE.match(request.headers.get("authorization", ""))
    if request.to_an_api or not signed:
        said = {"__type": refused.code} if not request.to_an_api else {}
        body = json.dumps(said | {"message": refused.message}).encode()
        return refused.status, {"content-type": "application/json", "x-amzn-errortype": refused.code}, body
    code = _TO_MINISTACK.get(refused.code, refused.code)
    status, headers, body = access_denied_response(
        signed[1], "", "", str(uuid.uuid4()), error_code=code, message=refused.message, headers=dict(request.headers)
    )
    return refused.status if refused.status != 403 else status, headers, body


_SERVICE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/[^/]+/[^/]+/([a-z0-9-]+)/")
_TO_MINISTACK = {
    _MISMATCH: "SignatureDoesNotMatch",
    "IncompleteSignatureException": "IncompleteSignature",
}


def _check_signed_headers(request: Request, signature: Signature) -> None:
    """AWS wants every header signed that says what is asked for, and of whom."""
    bound = {"host", "x-amz-date", *(name for name in request.headers if name.startswith("x-amz-"))}
    if missing := sorted(bound - set(signature.signed.split(";"))):
        raise Refused(f"'{missing[0]}' must be a 'SignedHeader' in the AWS Authorization.", _MISMATCH)
    decisive = bound | {"authorization", "content-type", "content-encoding", "content-length"}
    if twice := sorted(decisive & request.repeated):
        raise Refused(f"'{twice[0]}' is there more than once", _MISMATCH)


def _check_time(request: Request, signature: Signature) -> None:
    from ministack.core import sigv4

    date = request.headers.get("x-amz-date", "")
    if sigv4._amz_datetime(date) is None:
        raise Refused("X-Amz-Date is not a time like 20260101T120000Z", "IncompleteSignatureException")
    whole = sigv4.HeaderSignature(signature.key, *signature.scope, signature.signed, signature.digest, date)
    if failure := sigv4.request_time_failure(whole):
        raise Refused(failure[1], _MISMATCH)


def _check_service(request: Request, signature: Signature) -> None:
    """The request says only once what is asked for, and was signed for the service that will do it."""
    wanted = "execute-api" if request.to_an_api else _service_asked(request, signature)
    if wanted != signature.service:
        raise Refused(f"Credential should be scoped to correct service: '{wanted}'.", _MISMATCH)
    if not request.to_an_api:
        _check_operation(request, signature)


def _service_asked(request: Request, signature: Signature) -> str:
    """The service for which a request should be signed that ministack takes for this one's."""
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
        message = "this AWS takes no compressed requests: AWS_DISABLE_REQUEST_COMPRESSION=true has clients send none"
        raise Refused(message, "UnsupportedMediaType", 415)
    if any(name.lower() == "action" for name in request.parameters):
        raise Refused("the operation is named in the body here, or in X-Amz-Target, not in the address")
    if _SMITHY.search(request.path):
        raise Refused("this AWS does not speak Smithy's RPC, but JSON with X-Amz-Target")
    kind = request.headers.get("content-type", "").lower()
    plain = True
    if "x-amz-target" in request.headers:
        plain = (request.method, request.path, request.query) == ("POST", "/", "") and _JSON.fullmatch(kind) is not None
    elif _FORM in kind:
        plain = request.method == "POST" and not request.query and signature.service in _TAKE_FORMS
    if not plain:
        raise Refused("it is not clear which operation is asked for: address, headers and kind of body do not agree")


_FORM, _JSON = "x-www-form-urlencoded", re.compile(r"application/x-amz-json-1\.[01](; *charset=utf-8)?")
_SMITHY = re.compile("/service/[^/]+/operation/")
_TAKE_FORMS = frozenset(
    {"autoscaling", "cloudformation", "ec2", "elasticache", "elasticloadbalancing", "email", "iam", "monitoring"}
    | {"rds", "ses", "sns", "sqs", "sts"}
)
"""The services with the query protocol, which names the operation in a form."""
