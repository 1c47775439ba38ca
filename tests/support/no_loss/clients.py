"""The senders of readings: a client that sends again what was not acknowledged, and Lambda's retries of an event."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from iotpipe.handlers import ingestion
from tests.support.handlers_world import Clock, proxy_event
from tests.support.no_loss.invocations import Invocations
from tests.support.no_loss.samples import BAD, Facts, Sent, batches, facts

ONCE_MORE = 0.05  # share of the acknowledged requests
PARTIAL, WITH_BAD, GZIP = 0.3, 0.5, 0.2  # shares of the requests; WITH_BAD of the partial ones
# Requests that are in flight: a retry follows after a few others.
_IN_FLIGHT = 8
# The requests without a `timestamp` arrive at few different times, so that many arrive in the same millisecond.
_ARRIVALS = 10_000

ANSWERS = {200, 207, 503}
KEY = "right"


@dataclass
class Request:
    event: dict[str, Any]
    facts: list[Facts]
    acknowledged: bool = False


class Client:
    """The clients' view: what was sent, what was acknowledged, and with which answers."""

    def __init__(self, invocations: Invocations, dice: random.Random) -> None:
        self._invocations, self._dice = invocations, dice
        self.answers: Counter[str] = Counter()
        self.once_more = 0

    def post(self, event: dict[str, Any]) -> dict[str, Any] | None:
        answer = self._invocations.invoke(ingestion.lambda_handler, event)
        status = answer["statusCode"] if answer else "died"
        self.answers[str(status)] += 1
        assert answer is None or status in ANSWERS, answer
        return answer

    def repeats(self) -> bool:
        """Whether an acknowledged request is sent once more."""
        again = self._dice.random() < ONCE_MORE
        self.once_more += again
        return again

    def event(self, readings: Any, **changes: Any) -> dict[str, Any]:
        headers, text = {"X-Api-Key": KEY}, json.dumps(readings)
        if self._dice.random() >= GZIP:
            return proxy_event("POST", "/ingest", headers=headers, body=text, **changes)
        body = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        headers["Content-Encoding"] = "gzip"
        return proxy_event("POST", "/ingest", headers=headers, body=body, isBase64Encoded=True, **changes)


class TimedClient(Client):
    """Sends readings with a `timestamp`: what was not acknowledged again, in new requests."""

    def __init__(self, readings: list[Sent], invocations: Invocations, dice: random.Random) -> None:
        super().__init__(invocations, dice)
        self.sent = {facts(reading) for reading in readings}
        self.acknowledged: set[Facts] = set()
        self._waiting = deque(batches(readings, dice))

    def is_done(self) -> bool:
        return not self._waiting

    def send_one(self) -> None:
        self._waiting.rotate(-self._dice.randrange(min(_IN_FLIGHT, len(self._waiting))))
        batch = self._waiting.popleft()
        partial = self._dice.random() < PARTIAL
        sent: list[Sent] = list(batch)
        if partial and self._dice.random() < WITH_BAD:
            sent.insert(self._dice.randrange(len(sent) + 1), BAD)
        confirmed = self._confirmed(sent, self.post(self._event(sent, partial)))
        self.acknowledged.update(facts(reading) for reading in confirmed)
        self._send_again(batch, confirmed)

    def _send_again(self, batch: list[Sent], confirmed: list[Sent]) -> None:
        left = [reading for reading in batch if not any(reading is one for one in confirmed)]
        if left:
            self._waiting.insert(_IN_FLIGHT, left)
        elif self.repeats():
            self._waiting.insert(_IN_FLIGHT, batch)

    def _event(self, sent: list[Sent], partial: bool) -> dict[str, Any]:
        alone = len(sent) == 1 and self._dice.random() < 0.5
        parameters = {"partial": "true"} if partial else None
        many = {"partial": ["true"]} if partial else None
        changes = {"queryStringParameters": parameters, "multiValueQueryStringParameters": many}
        return self.event(sent[0] if alone else {"readings": sent}, **changes)

    def _confirmed(self, sent: list[Sent], answer: dict[str, Any] | None) -> list[Sent]:
        """Return the readings that the answer acknowledges: all of them with 200, else one by one."""
        if answer is None:
            return []
        if answer["statusCode"] == 200:
            return sent
        results = json.loads(answer["body"]).get("results", [])
        for result in results:
            assert (result["status"] == "rejected") == (sent[result["index"]] is BAD), result
        return [sent[result["index"]] for result in results if result["status"] in ("accepted", "duplicate")]


class UntimedClient(Client):
    """Sends readings without a `timestamp`. Lambda repeats the very same event until it is answered with 200."""

    def __init__(self, readings: list[Sent], invocations: Invocations, dice: random.Random, clock: Clock) -> None:
        super().__init__(invocations, dice)
        self.acknowledged: Counter[Facts] = Counter()
        self.sent = len(readings)
        self._clock = clock
        self._new = list(batches(readings, dice))
        self._in_flight: list[Request] = []

    def is_done(self) -> bool:
        return not (self._new or self._in_flight)

    def send_one(self) -> None:
        if self._new and len(self._in_flight) < _IN_FLIGHT:
            self._in_flight.append(self._request(self._new.pop()))
        request = self._in_flight.pop(self._dice.randrange(len(self._in_flight)))
        answer = self.post(request.event)
        if answer and answer["statusCode"] == 200 and not request.acknowledged:
            request.acknowledged = True
            self.acknowledged.update(request.facts)
        if not (answer and answer["statusCode"] == 200) or self.repeats():
            self._in_flight.append(request)

    def _request(self, batch: list[Sent]) -> Request:
        time = self._clock.now() // _ARRIVALS * _ARRIVALS
        names = {"requestId": f"request-{len(self._new)}", "extendedRequestId": f"JJbx{len(self._new)}="}
        event = self.event(batch, requestContext={**names, "requestTimeEpoch": time})
        return Request(event, [facts(reading, time) for reading in batch])
