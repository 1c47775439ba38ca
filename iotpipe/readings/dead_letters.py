"""Send poison messages to the queue, and read the dead-letter queue without removing messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from iotpipe.readings.bad_readings import Poison

# Seconds until a received message is visible again if the command dies.
_VISIBILITY_TIMEOUT = 60


def send_poison(sqs: Any, queue_url: str, messages: Sequence[Poison]) -> list[str]:
    """Send the messages directly to the queue. Return the reasons of those that SQS did not accept."""
    failures = []
    for start in range(0, len(messages), 10):
        entries = [
            {"Id": str(index), "MessageBody": message.body}
            for index, message in enumerate(messages[start : start + 10])
        ]
        response = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        failures += [f"{failure['Code']}: {failure.get('Message', '')}" for failure in response.get("Failed", [])]
    return failures


def seconds_to_dlq(sqs: Any, queue_url: str) -> int:
    """The longest time from a message's first receive to the DLQ: maxReceiveCount visibility timeouts."""
    names = ["VisibilityTimeout", "RedrivePolicy"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    return int(attributes["VisibilityTimeout"]) * int(policy.get("maxReceiveCount", 1))


def peek(sqs: Any, queue_url: str, wait: int) -> dict[str, str]:
    """The bodies of all messages in a queue by message id. Makes the messages visible again afterwards.

    `wait` is WaitTimeSeconds; with 0 (short polling) SQS queries only some of its servers.
    """
    bodies: dict[str, str] = {}
    receipts: list[str] = []
    try:
        while True:
            response = sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=_VISIBILITY_TIMEOUT, WaitTimeSeconds=wait
            )
            messages = response.get("Messages", [])
            receipts += [message["ReceiptHandle"] for message in messages]
            new = {message["MessageId"]: message["Body"] for message in messages if message["MessageId"] not in bodies}
            bodies |= new
            # A repeated message has become visible again, so that every message has been received by now.
            if len(new) < len(messages) or not messages:
                return bodies
    finally:
        for start in range(0, len(receipts), 10):
            entries = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for index, receipt in enumerate(receipts[start : start + 10])
            ]
            sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
