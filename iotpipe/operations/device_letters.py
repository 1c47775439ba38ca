"""Dead letters of what devices published: refused by ingestion, failed in the device queue, or never queued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.handlers import device_message, refused_message
from iotpipe.handlers.device_message import DeviceMessage, NotFromRule
from iotpipe.handlers.web import Refused

_MAX_TOLD = 3


@dataclass(frozen=True)
class DeviceLetter:
    """A dead letter of the device queue's side.

    `resend` is the body that ingestion takes from the device queue; `message` is None if the topic rule did not write
    it. `refusal` is why ingestion refused readings, `failure` why AWS IoT could not queue the message; else empty.
    """

    resend: str
    message: DeviceMessage | None
    refusal: str = ""
    failure: str = ""

    @property
    def device_id(self) -> str | None:
        return self.message.thing.partition(":")[2] or None if self.message else None

    @property
    def identity(self) -> str:
        """The same for all dead letters of one message."""
        return identity(json.dumps(self.message.document()) if self.message else self.resend)

    @property
    def payload(self) -> str | None:
        """The published text; None if it is not text."""
        return None if self.message is None else _text(self.message)[0]

    def permanent_error(self) -> str | None:
        """Why ingestion would refuse it again; None if a retry may succeed."""
        return self.refusal or (_text(self.message)[1] if self.message else None)


def identity(text: str) -> str:
    """A hash in place of the text, which may be large."""
    return hashlib.sha256(text.encode()).hexdigest()


def device_letter(body: str, sent: int) -> DeviceLetter | None:
    """Parse a dead letter's body; None if it is not of a device. `sent` is when it was sent, in epoch milliseconds."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    try:
        if document.get("refused_by") == refused_message.REFUSED_BY:
            return _refused(document)
        if "base64OriginalPayload" in document:
            return _not_queued(document, sent)
        return DeviceLetter(body, device_message.read(body))
    except NotFromRule:
        return None


def _refused(document: Mapping[str, Any]) -> DeviceLetter:
    """Parse what ingestion wrote. The original message goes back: a raised limit may let it pass."""
    problems = document.get("problems")
    refusal = _told(problems if isinstance(problems, list) else [], document.get("omitted"))
    if isinstance(document.get("body"), str):
        return DeviceLetter(document["body"], None, refusal)
    message = device_message.read(json.dumps(document))
    return DeviceLetter(json.dumps(message.document()), message, refusal)


def _told(problems: list[Any], omitted: Any) -> str:
    texts = []
    for each in problems:
        if isinstance(each, dict):
            place = f"reading {each['index']}: " if "index" in each else ""
            texts.append(f"{place}{each.get('field')}: {each.get('message')}")
    more = len(texts) - _MAX_TOLD + (omitted if isinstance(omitted, int) else 0)
    return "; ".join(texts[:_MAX_TOLD] + ([f"and {more} more"] if more > 0 else [])) or "refused by ingestion"


def _not_queued(document: Mapping[str, Any], sent: int) -> DeviceLetter:
    """Convert AWS IoT's record of a failed rule action into the rule's message.

    It does not say when the message was received. SQS's time is the same each time that the record is converted.
    https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html
    """
    *_, thing, last = [None, *str(document.get("topic")).split("/")]
    if thing is None or last != "readings":
        raise NotFromRule("not a topic of readings")
    known = {
        "payload": document["base64OriginalPayload"],
        "thing": thing,
        "received": sent,
        "trace": document.get("cloudwatchTraceId"),
        "client": document.get("clientId"),
    }
    message = device_message.read(json.dumps(known))
    failures = document.get("failures")
    texts = [_failure(each) for each in failures if isinstance(each, dict)] if isinstance(failures, list) else []
    return DeviceLetter(json.dumps(message.document()), message, failure="; ".join(texts) or "AWS IoT gives no reason")


def _failure(failure: Mapping[str, Any]) -> str:
    place = " ".join(str(failure[name]) for name in ("failedAction", "failedResource") if failure.get(name))
    return f"{place}: {failure.get('errorMessage')}" if place else str(failure.get("errorMessage"))


def _text(message: DeviceMessage) -> tuple[str | None, str | None]:
    """The published text, or why it is not text."""
    try:
        return device_message.text(message), None
    except Refused as refused:
        return None, "; ".join(f"{each['field']}: {each['message']}" for each in refused.details)
