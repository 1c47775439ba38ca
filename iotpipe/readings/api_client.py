"""Client of a deployed API: signs requests with SigV4, retries transient errors and explains rejections."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import boto3
from botocore import exceptions
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from iotpipe.errors import CredentialsError, IotpipeError

Parameters = Mapping[str, str | tuple[str, ...]]
"""Query parameters; those that are given more than once have several values."""

_LOGIN = "Renew the credentials (`aws sso login`, `aws configure`) and run the command again"

# API Gateway times out after 29 s and reports it; a shorter read timeout would hide that response.
_TIMEOUTS = (5, 35)
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 0.2, 10.0, 60.0

# Also raised when the response is lost: the API may have processed the request.
_TRANSIENT = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyConnectionError,
    exceptions.HTTPClientError,  # a timeout while reading and a closed connection included
)


@dataclass(frozen=True)
class Response:
    """The API's last response, the seconds that its attempt took, and why earlier attempts were retried."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float
    retried: tuple[str, ...] = ()

    def document(self) -> Any:
        """The body as JSON; an empty object if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def details(self) -> list[dict[str, Any]]:
        """The details of a rejection: field, code, message and, for a batch, index."""
        document = self.document()
        error = document.get("error") if isinstance(document, dict) else None
        details = error.get("details") if isinstance(error, dict) else None
        return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []

    def summary(self) -> str:
        """Status and the beginning of the body, on one line."""
        return " ".join(f"{self.status} {self.body}".split())[:300]


class Unreachable(IotpipeError):
    """All attempts ended without a response."""


class Api:
    """A thread-safe client of one API. `pause(seconds)` waits between attempts and may raise Interrupted.

    `explain(path)` returns why the function of a path does not start; empty if it starts. Retries are safe: requests
    are idempotent, because readings carry their time and the handlers store the same reading once.
    """

    def __init__(
        self,
        endpoint: str,
        session: boto3.Session,
        region: str,
        pause: Callable[[float], None],
        *,
        api_key: str = "",
        connections: int = 8,
        attempts: int = 8,
        chance: Callable[[], float] = random.random,
        explain: Callable[[str], str] = lambda path: "",
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.attempts = attempts
        self._credentials = session.get_credentials()
        self._region = region
        self._pause = pause
        self._api_key = api_key
        self._chance = chance
        self._explain = explain
        self._http = URLLib3Session(
            verify=os.environ.get("AWS_CA_BUNDLE") or True,
            proxies=get_environ_proxies(endpoint),
            timeout=_TIMEOUTS,
            max_pool_connections=connections,
            # As boto3's clients do it: with Nagle's algorithm a body waits until the server acknowledges the headers,
            # which a system delays by up to 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def post(self, path: str, body: str) -> Response:
        """POST a JSON document."""
        # A lone surrogate has no UTF-8 encoding. It is sent as a JSON escape, which the API rejects.
        return self._call("POST", self.endpoint + path, body.encode(errors="backslashreplace"))

    def get(self, path: str, parameters: Parameters) -> Response:
        """GET with query parameters."""
        pairs = [
            f"{name}={quote(value, safe='-_.~', errors='backslashreplace')}"
            for name, given in parameters.items()
            for value in ((given,) if isinstance(given, str) else given)
        ]
        return self._call("GET", f"{self.endpoint}{path}?{'&'.join(pairs)}", b"")

    def check(self) -> None:
        """Check reachability and access with a request that the API must reject, so that nothing is stored.

        Raises what `raise_for_permanent_error` raises, and IotpipeError if it is not an iotpipe API.
        """
        response = self.post("/ingest", '{"readings": []}')
        if response.status != 400 or "validation_failed" not in response.body:
            raise_for_permanent_error(response)
            raise IotpipeError(
                f"{self.endpoint} does not respond like an iotpipe API: {response.summary()}",
                "Run `iotpipe status`, and `iotpipe up` if anything is missing or drifted",
            )

    def _call(self, method: str, url: str, body: bytes) -> Response:
        response, error = None, None
        reasons: tuple[str, ...] = ()
        for number in range(self.attempts):
            if number:
                self._pause(self._wait(number, response))
            response, error = None, None
            try:
                response = self._once(method, url, body, reasons)
            except exceptions.SSLError as failure:
                raise Unreachable(f"{self.endpoint}: {failure}", "Check AWS_CA_BUNDLE and the network") from failure
            except _TRANSIENT as failure:
                error = failure
            if response and response.status != 429 and response.status < 500:
                return response
            # API Gateway returns 502 if the function failed, whether the failure is transient or permanent.
            if response and response.status == 502 and (why := self._explain(url.removeprefix(self.endpoint))):
                raise IotpipeError(why, "Fix its imports and run `iotpipe up`; `iotpipe logs` shows more")
            reasons += (str(response.status) if response else type(error).__name__,)
        if response:
            return response
        raise Unreachable(
            f"{self.endpoint} is unreachable: {error}", "Check the network, and that `iotpipe status` lists the API"
        ) from error

    def _once(self, method: str, url: str, body: bytes, reasons: tuple[str, ...]) -> Response:
        request = self._signed(method, url, body)
        began = time.perf_counter()
        response = self._http.send(request)
        seconds = time.perf_counter() - began
        return Response(response.status_code, response.headers, response.text, seconds, reasons)

    def _wait(self, number: int, response: Response | None) -> float:
        """Seconds before the next attempt: the API's Retry-After plus exponential backoff with jitter."""
        header = response.headers.get("Retry-After", "") if response else ""
        retry_after = min(float(header), _LONGEST_RETRY_AFTER) if header.isdigit() else 0.0
        return retry_after + self._chance() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**number)

    def _signed(self, method: str, url: str, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        if self._api_key:
            headers["X-Api-Key"] = self._api_key
        request = AWSRequest(method, url, headers, body)
        try:
            # Read for each request, because botocore refreshes temporary credentials.
            credentials = self._credentials.get_frozen_credentials() if self._credentials else None
            SigV4Auth(credentials, "execute-api", self._region).add_auth(request)
        except exceptions.BotoCoreError as error:
            raise CredentialsError(f"the AWS credentials cannot be used: {error}", _LOGIN) from error
        return request.prepare()


def raise_for_permanent_error(response: Response) -> None:
    """Raise if the response is an error that every further request would get too: access, API key or route."""
    document = response.document()
    message = str(document.get("message") or document.get("Message") or "") if isinstance(document, dict) else ""
    if response.status == 401:
        raise IotpipeError(
            "the API rejects the X-Api-Key: 401",
            "Set `api.require_api_key: true` in the configuration; a changed key takes effect within 30 s",
        )
    if response.status == 403:
        raise _forbidden(response, message)
    if response.status in (404, 405):
        raise IotpipeError(f"there is no such route: {response.summary()}", "Run `iotpipe up`: it repairs the API")


def _forbidden(response: Response, message: str) -> IotpipeError:
    low = message.lower()
    if "signature expired" in low or "signature not yet current" in low:
        return CredentialsError(f"this machine's clock is {_skew(response)} the API's: 403 {message}", "Set the clock")
    if "expired" in low:
        return CredentialsError(f"the AWS credentials have expired: 403 {message}", _LOGIN)
    if "security token" in low or "signature we calculated" in low or "invalidclienttokenid" in low:
        return CredentialsError(
            f"the API does not accept the credentials: 403 {message}", "Check AWS_PROFILE and the keys it stands for"
        )
    if "missing authentication token" in low:
        return IotpipeError(
            "the API has no such route or stage: 403 Missing Authentication Token",
            "Run `iotpipe status`, then `iotpipe up`, which repairs it",
        )
    return IotpipeError(
        f"the API denies access to these credentials: {response.summary()}",
        "Allow them execute-api:Invoke, as `iotpipe policy --for operate` prints it, and check with `iotpipe status` "
        "that the API is as declared",
    )


def _skew(response: Response) -> str:
    try:
        api_time = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return "far from"
    seconds = time.time() - api_time
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
