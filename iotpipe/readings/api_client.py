"""Calls of a deployed API: signed with SigV4, tried again where that is safe, and every refusal explained."""

from __future__ import annotations

import json
import os
import random
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

_LOGIN = "Renew the credentials (`aws sso login`, `aws configure`) and run the command again"

# API Gateway gives up on a function after 29 s, and says so; to give up before it would hide its answer.
_TIMEOUTS = (5, 35)
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 0.2, 10.0, 60.0

# An answer that was lost on the way is one of these too: what was sent may have arrived.
_PASSING = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ReadTimeoutError,
    exceptions.ConnectionClosedError,
    exceptions.ProxyConnectionError,
    exceptions.HTTPClientError,
)


@dataclass(frozen=True)
class Answer:
    """What the API answered, the seconds its last try took, and why the tries before it were none."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float
    retried: tuple[str, ...] = ()

    def document(self) -> Any:
        """The body as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def details(self) -> list[dict[str, Any]]:
        """What a refusal lists: field, code, message and, for a batch, index."""
        document = self.document()
        error = document.get("error") if isinstance(document, dict) else None
        listed = error.get("details") if isinstance(error, dict) else None
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []

    def brief(self) -> str:
        """Status and the first of what was said, on one line."""
        return " ".join(f"{self.status} {self.body}".split())[:300]


class Unreachable(IotpipeError):
    """No answer came, however often it was tried."""


class Api:
    """One API. `pause(seconds)` waits between tries, and may raise Interrupted; safe to share between threads.

    `explain(path)` says why the function behind a path will not answer however often it is asked, if that is so.
    Repeating is safe: readings carry their time, and the handlers store the same reading once.
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
        tries: int = 8,
        chance: Callable[[], float] = random.random,
        explain: Callable[[str], str] = lambda path: "",
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.tries = tries
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
        )

    def post(self, path: str, body: str) -> Answer:
        """POST a JSON document."""
        # Half a surrogate pair has no UTF-8. As JSON's escape it arrives, and is refused like all that cannot be kept.
        return self._call("POST", self.endpoint + path, body.encode(errors="backslashreplace"))

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """GET with parameters in the address."""
        pairs = [f"{name}={quote(value, safe='-_.~', errors='backslashreplace')}" for name, value in parameters.items()]
        return self._call("GET", f"{self.endpoint}{path}?{'&'.join(pairs)}", b"")

    def check(self) -> None:
        """Send what is certainly refused and stores nothing, before anything else is sent.

        Raises what `refuse` raises where the API is out of reach, lets us not in, or is none of ours.
        """
        answer = self.post("/ingest", '{"readings": []}')
        if answer.status != 400 or "validation_failed" not in answer.body:
            refuse(answer)
            raise IotpipeError(
                f"{self.endpoint} does not respond like an iotpipe API: {answer.brief()}",
                "Run `iotpipe status`, and `iotpipe up` if anything is missing or drifted",
            )

    def _call(self, method: str, url: str, body: bytes) -> Answer:
        answer, error = None, None
        reasons: tuple[str, ...] = ()
        for number in range(self.tries):
            if number:
                self._pause(self._wait(number, answer))
            answer, error = None, None
            try:
                answer = self._once(method, url, body, reasons)
            except exceptions.SSLError as failure:
                raise Unreachable(f"{self.endpoint}: {failure}", "Check AWS_CA_BUNDLE and the network") from failure
            except _PASSING as failure:
                error = failure
            if answer and answer.status != 429 and answer.status < 500:
                return answer
            # What API Gateway answers where a function has failed, for once or for good.
            if answer and answer.status == 502 and (why := self._explain(url.removeprefix(self.endpoint))):
                raise IotpipeError(why, "Repair what it imports, and run `iotpipe up`; `iotpipe logs` shows more")
            reasons += (str(answer.status) if answer else type(error).__name__,)
        if answer:
            return answer
        raise Unreachable(
            f"{self.endpoint} is unreachable: {error}", "Check the network, and with `iotpipe status` that it is up"
        ) from error

    def _once(self, method: str, url: str, body: bytes, reasons: tuple[str, ...]) -> Answer:
        request = self._signed(method, url, body)
        began = time.perf_counter()
        response = self._http.send(request)
        seconds = time.perf_counter() - began
        return Answer(response.status_code, response.headers, response.text, seconds, reasons)

    def _wait(self, number: int, answer: Answer | None) -> float:
        """Seconds before the next try: at least what the API asks for, and never in step with other clients."""
        asked = answer.headers.get("Retry-After", "") if answer else ""
        least = min(float(asked), _LONGEST_RETRY_AFTER) if asked.isdigit() else 0.0
        return least + self._chance() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**number)

    def _signed(self, method: str, url: str, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        if self._api_key:
            headers["X-Api-Key"] = self._api_key
        request = AWSRequest(method, url, headers, body)
        try:
            # Asked for each time: temporary ones are renewed on the way.
            credentials = self._credentials.get_frozen_credentials() if self._credentials else None
            SigV4Auth(credentials, "execute-api", self._region).add_auth(request)
        except exceptions.BotoCoreError as error:
            raise CredentialsError(f"the AWS credentials cannot be used: {error}", _LOGIN) from error
        return request.prepare()


def refuse(answer: Answer) -> None:
    """Raise what an answer means of which no repetition makes another, for this call or any other."""
    said = answer.document()
    words = str(said.get("message") or said.get("Message") or "") if isinstance(said, dict) else ""
    if answer.status == 401:
        raise IotpipeError(
            "the API rejects the X-Api-Key: 401",
            "Set `api.require_api_key: true` in the configuration; a changed key holds within half a minute",
        )
    if answer.status == 403:
        raise _forbidden(answer, words)
    if answer.status in (404, 405):
        raise IotpipeError(f"there is no such route: {answer.brief()}", "Run `iotpipe up`: it repairs the API")


def _forbidden(answer: Answer, words: str) -> IotpipeError:
    low = words.lower()
    if "signature expired" in low or "signature not yet current" in low:
        return CredentialsError(f"this machine's clock is {_skew(answer)} the API's: 403 {words}", "Set the clock")
    if "expired" in low:
        return CredentialsError(f"the AWS credentials have expired: 403 {words}", _LOGIN)
    if "security token" in low or "signature we calculated" in low or "invalidclienttokenid" in low:
        return CredentialsError(
            f"the API does not accept the credentials: 403 {words}", "Check AWS_PROFILE and the keys it stands for"
        )
    if "missing authentication token" in low:
        return IotpipeError(
            "the API has no such route or stage: 403 Missing Authentication Token",
            "Run `iotpipe status`, then `iotpipe up`, which repairs it",
        )
    return IotpipeError(
        f"the API denies access to these credentials: {answer.brief()}",
        "Check that they may execute-api:Invoke on it, as `iotpipe policy --for operate` prints it, "
        "and with `iotpipe status` that the API is as declared",
    )


def _skew(answer: Answer) -> str:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return "far from"
    seconds = time.time() - theirs
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
