"""What the topic rule writes into the device queue, and the batches of it that ingestion gets."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.support.handlers_world import NAME, NOON, sqs_record

TRACE = "b98a3f1c-0000-4000-8000-0000000000{:02}"
CERTIFICATE = "3f2a9c0d41be" + "7" * 52


def published(payload: Any, device: str = "roof", /, **changes: Any) -> str:
    """Return the rule's message about a payload: bytes, text, or a value that is sent as JSON."""
    if not isinstance(payload, bytes):
        payload = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
    document = {
        "payload": base64.b64encode(payload).decode(),
        "thing": f"{NAME}:{device}",
        "received": NOON,
        "trace": TRACE.format(0),
        "client": f"{NAME}:{device}",
        "certificate": CERTIFICATE,
    } | changes
    return json.dumps({name: value for name, value in document.items() if value != "absent"})


def batch(*bodies: Any) -> dict[str, Any]:
    """Return the event of messages with these bodies, which are called m0, m1 and so on."""
    message = {"ReceiptHandle": "r", "MD5OfBody": ""}
    return {
        "Records": [sqs_record(message | {"MessageId": f"m{index}", "Body": body}) for index, body in enumerate(bodies)]
    }


def handed_back(answer: dict[str, Any]) -> list[str]:
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]
