"""What botocore and moto work out anew for every session or call although it stays the same: worked out once.

Nothing is answered differently: only the request ids are drawn in another way, and requests to moto are not signed.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import xmltodict
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from moto import backend_index
from moto.core import responses, serialize
from moto.core.base_backend import BaseBackend
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, Request
from moto.kms import models as kms
from moto.sqs import models as sqs

from tests.support import memoized_botocore

_urls_of: Any = BaseBackend.urls.fget  # type: ignore[attr-defined] # a property, whatever mypy takes it for
_urls: dict[type[BaseBackend], Any] = {}
_add_auth: Any = SigV4Auth.add_auth
_request_from: Any = Request.from_primitives.__func__  # type: ignore[attr-defined] # a class method
_possible_keys: Any = serialize.XFormedAttributePicker.get_possible_keys
_keys: dict[Any, tuple[str, ...]] = {}

_SERVICES = frozenset(
    {"apigateway", "cloudwatch", "dynamodb", "iam", "iot", "lambda", "logs", "resourcegroupstaggingapi"}
) | {*("sns", "sqs", "ssm", "sts")}


def be_quick() -> None:
    """Let this process remember it."""
    memoized_botocore.be_quick()
    BaseBackend.urls = property(_urls_once)
    # Every request is compared with the addresses of all services, and those of a pipeline come late among them.
    backend_index.backend_url_patterns.sort(key=lambda service: service[0] not in _SERVICES)
    responses.gen_amzn_requestid_long = _request_id
    SigV4Auth.add_auth = _sign_elsewhere
    Request.from_primitives = classmethod(_request_at_once)  # type: ignore[assignment, method-assign]
    serialize.XFormedAttributePicker.get_possible_keys = _possible_keys_once
    xmltodict._validate_name = functools.cache(xmltodict._validate_name)
    responses.camelcase_to_underscores = functools.cache(responses.camelcase_to_underscores)
    # moto draws an RSA key for every KMS key, also for those that only encrypt.
    kms.generate_private_key = functools.cache(kms.generate_private_key)
    # A queue asks what time it is for every message that it holds, and moto answers by way of three datetimes.
    sqs.unix_time, sqs.unix_time_millis = time.time, lambda: time.time() * 1000.0


def collect_seldom() -> None:
    """Go through all modules and service models no more when garbage is collected, and collect it seldom.

    Otherwise up to half of the time of a test goes there. To be called when all of them are loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _urls_once(backend: BaseBackend) -> Any:
    """The addresses that a service answers at."""
    kind = type(backend)
    if kind not in _urls:
        _urls[kind] = _urls_of(backend)
    return _urls[kind]


def _request_id(headers: dict[str, Any]) -> str:
    """Drawn at once, where moto draws 52 letters."""
    headers["x-amzn-requestid"] = uuid.uuid4().hex
    return str(headers["x-amzn-requestid"])


def _sign_elsewhere(signer: SigV4Auth, request: Any) -> None:
    """Sign; for the emulated AWS, only name who calls and where: it reads nothing else of a signature."""
    if type(signer) is not SigV4Auth or signer.credentials is None or ".amazonaws.com" not in request.url:
        _add_auth(signer, request)
        return
    request.context["timestamp"] = time.strftime(SIGV4_TIMESTAMP, time.gmtime())
    signer._modify_request_before_signing(request)
    scope = signer.scope(request)
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"


def _request_at_once(kind: type[Request], method: str, url: str, headers: Any, body: Any = None) -> Request:
    """A request as moto takes it. moto has werkzeug build it, which takes it apart and puts it together four times."""
    if not isinstance(body, bytes | str | None) or ";" in url or not url.isascii():
        return _request_from(kind, method, url, headers, body)  # type: ignore[no-any-return]
    address = urlsplit(url)
    content = body.encode() if isinstance(body, str) else body or b""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(address.path).encode().decode("latin-1"),
        "QUERY_STRING": address.query,
        "REQUEST_URI": address.path,
        "RAW_URI": address.path,
        "SERVER_NAME": address.hostname,
        "SERVER_PORT": str(address.port or {"https": 443}.get(address.scheme, 80)),
        "HTTP_HOST": address.netloc,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": address.scheme,
        "wsgi.input": BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        PRESERVED_HEADER_NAMES_ENVIRON_KEY: {},
    }
    environ.update(_environ_of(headers))
    if content or "CONTENT_LENGTH" not in environ:
        environ["CONTENT_LENGTH"] = str(len(content))
    return kind(environ)


def _environ_of(headers: Mapping[str, str | bytes]) -> Iterator[tuple[str, str]]:
    """The headers by their names in an environment of WSGI."""
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key != "TRANSFER_ENCODING":
            text = value.decode() if isinstance(value, bytes) else str(value)
            yield key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", text


def _possible_keys_once(picker: Any, context: Any) -> Iterator[str]:
    """The names under which an object may hold a member of an answer."""
    known = (context.key, context.shape, type(context.obj))
    if known not in _keys:
        _keys[known] = tuple(_possible_keys(picker, context))
    return iter(_keys[known])
