"""What the topic rule puts into the device queue: the bytes that a device published, and what AWS IoT knows of it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from iotpipe.handlers import times, web

# The names that AWS IoT allows for things. They cannot change the topic of a notice.
_THING = re.compile("[a-zA-Z0-9:_-]{1,128}")
_MARK = re.compile("[0-9a-f]{32}")
_CERTIFICATE = re.compile("[0-9a-f]{64}")


class NotFromRule(ValueError):
    """A message that the topic rule cannot have written. The text never quotes it."""


@dataclass(frozen=True, slots=True)
class DeviceMessage:
    """One publish of a device. The members have the names of the rule's message.

    `payload` is base64 of the published bytes, `received` is when AWS IoT received them, in epoch milliseconds, and
    `thing` is from the topic, which the device's policy binds to its certificate. The rest is null where AWS IoT does
    not know it.
    """

    payload: str
    thing: str
    received: int
    trace: str | None = None
    client: str | None = None
    certificate: str | None = None

    @property
    def certificate_id(self) -> str | None:
        """The id of the certificate that the device connected with; None if it used another kind of credentials."""
        return self.certificate if self.certificate and _CERTIFICATE.fullmatch(self.certificate) else None

    def document(self) -> dict[str, Any]:
        """Return the rule's message, without what AWS IoT did not know."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read(body: str) -> DeviceMessage:
    """Parse a message of the device queue. Raises NotFromRule for anything that the rule cannot have written."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise NotFromRule("not JSON") from None
    if not isinstance(document, dict):
        raise NotFromRule("no object")
    for name in ("payload", "thing"):
        if not isinstance(document.get(name), str):
            raise NotFromRule(f"{name} is no text")
    received = document.get("received")
    if not isinstance(received, int) or isinstance(received, bool) or times.not_milliseconds(Decimal(received)):
        raise NotFromRule("received is no epoch milliseconds")
    known = {name: document.get(name) for name in ("trace", "client", "certificate")}
    rest = {name: value for name, value in known.items() if isinstance(value, str)}
    return DeviceMessage(document["payload"], document["thing"], received, **rest)


def self_test(message: DeviceMessage, prefix: str) -> str | None:
    """Return the mark of a message with which `iotpipe up` tests the way from the topic rule; None for any other.

    It comes from the thing with an empty device id, which no device can have.
    """
    if message.thing != prefix:
        return None
    try:
        document = json.loads(text(message))
    except (ValueError, RecursionError, web.Refused):
        return None
    mark = document.get("self_test") if isinstance(document, dict) else None
    return mark if isinstance(mark, str) and _MARK.fullmatch(mark) else None


def device_id(message: DeviceMessage, prefix: str) -> str:
    """Return the device that published the message: its thing without the environment's prefix. Raises Refused."""
    thing = message.thing
    if not _THING.fullmatch(thing) or not thing.startswith(prefix) or thing == prefix:
        raise web.invalid([web.detail("thing", "identity", f"not {prefix}<device id>, a thing of this environment")])
    return thing.removeprefix(prefix)


def text(message: DeviceMessage) -> str:
    """Return the published JSON text. Raises Refused for bytes that are neither UTF-8 nor gzip of it.

    MQTT 3.1.1 has no header for the encoding, so gzip is recognized by its first bytes, which no JSON text has.
    """
    try:
        content = base64.b64decode(message.payload, validate=True)
    except ValueError:
        raise web.bad_body("base64", "the topic rule's base64 cannot be decoded") from None
    try:
        found = web.decompress(content).decode()
    except UnicodeDecodeError:
        raise web.bad_body("encoding", "UTF-8 text required, plain or compressed with gzip") from None
    if not found.strip():
        raise web.bad_body("required", "a JSON body is required")
    return found
