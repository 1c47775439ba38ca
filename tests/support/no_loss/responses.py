"""The faults of one AWS call, as HTTP responses or lost connections: botocore's own parsing runs on all of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

THROTTLES = {
    "dynamodb": ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"],
    "sqs": ["RequestThrottled", "KmsThrottled", "OverLimit"],
    "ssm": ["ThrottlingException", "RequestLimitExceeded"],
    "sns": ["Throttling", "ThrottledException"],
}
_HTML = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
_SUCCESS = b'{"UnprocessedItems": {}, "Successful": [{"Id": "0", "MessageId": "m"}], "Parameter": {"Value": "{}"}}'


@dataclass
class Exchange:
    """One request, and what AWS does with it.

    `performed` is the probability that AWS performs it although the response does not confirm it. `hang` lets the
    virtual time of a read timeout pass.
    """

    event_name: str
    request: AWSPreparedRequest
    dice: random.Random
    performed: float
    hang: Callable[[], None]

    @property
    def service(self) -> str:
        return self.event_name.split(".")[1]

    @property
    def operation(self) -> str:
        return self.event_name.split(".")[2]

    @property
    def asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(self.request.body)
        return asked

    def perform(self) -> AWSResponse:
        return botocore_stubber(self.event_name, self.request)

    def perform_perhaps(self) -> AWSResponse | None:
        """Perform the call or not; return moto's response, or None."""
        return self.perform() if self.dice.random() < self.performed else None

    def perform_part(self, asked: dict[str, Any]) -> None:
        sent, self.request.body = self.request.body, json.dumps(asked).encode()
        self.perform()
        self.request.body = sent

    def respond(self, body: Any, status: int = 200) -> AWSResponse:
        """Return a response; other bodies than bytes are sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return AWSResponse(self.request.url, status, {}, MockRawResponse(content))

    def error(self, code: str, status: int) -> AWSResponse:
        if self.service == "sns":
            return self.respond(f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode(), status)
        return self.respond({"__type": f"com.amazonaws.{self.service}#{code}", "message": "scripted"}, status)

    def some(self, entries: list[Any]) -> list[Any]:
        """Return some of the entries, from none to all but one."""
        return self.dice.sample(entries, self.dice.randrange(len(entries)))


def throttled(call: Exchange) -> AWSResponse:
    return call.error(call.dice.choice(THROTTLES[call.service]), 400)


def internal_error(call: Exchange) -> AWSResponse:
    call.perform_perhaps()
    return call.error("InternalServerError", 500)


def unavailable(call: Exchange) -> AWSResponse:
    if call.dice.random() < 0.5:
        return call.respond(_HTML, 503)
    return call.error("ServiceUnavailable", 503)


def unreachable(call: Exchange) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=call.request.url)


def answer_lost(call: Exchange) -> AWSResponse:
    call.perform()
    raise ConnectionClosedError(endpoint_url=call.request.url)


def timed_out(call: Exchange) -> AWSResponse:
    call.perform_perhaps()
    call.hang()
    raise ReadTimeoutError(endpoint_url=call.request.url)


def garbled(call: Exchange) -> AWSResponse:
    """200 with something that is no response of the operation."""
    call.perform_perhaps()
    return call.respond(call.dice.choice([_HTML, {}, b"", None, [], "done"]))


def cut_off(call: Exchange) -> AWSResponse:
    performed = call.perform_perhaps()
    whole = performed.content if performed else _SUCCESS
    return call.respond(whole.rstrip()[: call.dice.randrange(len(whole.rstrip()))])


def unprocessed_items_unclear(call: Exchange) -> AWSResponse:
    """200 whose UnprocessedItems is missing, null, or names a table or a key that nobody sent."""
    ((table, entries),) = call.asked["RequestItems"].items()
    other_key = {"PutRequest": {"Item": {"device_id": {"S": "another"}, "timestamp": {"N": "1"}}}}
    call.perform_perhaps()
    bodies: list[Any] = [
        {"ConsumedCapacity": []},
        {"UnprocessedItems": None},
        {"UnprocessedItems": {"another-table": entries}},
        {"UnprocessedItems": {table: [other_key]}},
    ]
    return call.respond(call.dice.choice(bodies))


def unprocessed_items(call: Exchange) -> AWSResponse:
    """An honest partial response of BatchWriteItem."""
    ((table, entries),) = call.asked["RequestItems"].items()
    done = call.some(entries)
    if done:
        call.perform_part({"RequestItems": {table: done}})
    return call.respond({"UnprocessedItems": {table: [entry for entry in entries if entry not in done]}})


def successful_unclear(call: Exchange) -> AWSResponse:
    """200 whose Successful is empty, null, or has ids that nobody sent."""
    call.perform_perhaps()
    ids = [entry["Id"] for entry in call.asked["Entries"]]
    bodies: list[Any] = [
        {"Successful": [], "Failed": []},
        {"Successful": None, "Failed": None},
        {"Successful": [{"Id": f"x{name}", "MessageId": "m"} for name in ids]},
        {"Successful": [{"Id": int(name), "MessageId": "m"} for name in ids]},
    ]
    return call.respond(call.dice.choice(bodies))


def successful_in_part(call: Exchange) -> AWSResponse:
    """200 that names what was done, and does not mention the rest."""
    return call.respond({"Successful": _send_some(call)})


def failed_entries(call: Exchange) -> AWSResponse:
    """An honest partial response of SendMessageBatch."""
    done = _send_some(call)
    ids = {entry["Id"] for entry in done}
    by_sender = call.dice.random() < 0.2
    failed = [
        {"Id": entry["Id"], "SenderFault": by_sender, "Code": "InternalError"}
        for entry in call.asked["Entries"]
        if entry["Id"] not in ids
    ]
    return call.respond({"Successful": done, "Failed": failed})


def _send_some(call: Exchange) -> list[dict[str, Any]]:
    """Send some of the entries; return them as SQS confirms them."""
    done = call.some(call.asked["Entries"])
    if done:
        call.perform_part(call.asked | {"Entries": done})
    return [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for entry in done]


Fault = Callable[[Exchange], AWSResponse]

_ANY: list[Fault] = [
    throttled,
    internal_error,
    unavailable,
    unreachable,
    answer_lost,
    timed_out,
    garbled,
    cut_off,
]
_PARTIAL: dict[str, list[Fault]] = {
    "BatchWriteItem": [unprocessed_items_unclear, unprocessed_items],
    "SendMessageBatch": [successful_unclear, successful_in_part, failed_entries],
}


def faults_of(operation: str) -> list[Fault]:
    return _ANY + _PARTIAL.get(operation, [])
