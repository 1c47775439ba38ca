"""Poison into the queue, and a look at the dead-letter queue that takes nothing out of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from iotpipe.readings.bad_readings import Poison

# Seconds for which a message that is looked at is hidden, should nobody be left to show it again.
_HIDDEN = 60


def poison(sqs: Any, queue_url: str, messages: Sequence[Poison]) -> list[str]:
    """Send the messages straight into the queue; answers why some did not get in."""
    failures = []
    for start in range(0, len(messages), 10):
        entries = [
            {"Id": str(index), "MessageBody": message.body}
            for index, message in enumerate(messages[start : start + 10])
        ]
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        failures += [f"{one['Code']}: {one.get('Message', '')}" for one in answer.get("Failed", [])]
    return failures


def time_to_the_dlq(sqs: Any, queue_url: str) -> int:
    """Seconds that a message takes at most from its first delivery into the DLQ: each failure hides it for a while."""
    names = ["VisibilityTimeout", "RedrivePolicy"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    return int(attributes["VisibilityTimeout"]) * int(policy.get("maxReceiveCount", 1))


def look(sqs: Any, queue_url: str, wait: int) -> dict[str, str]:
    """The bodies of all messages in a queue by message id; they stay in it, and are visible again afterwards.

    `wait` is the seconds that SQS may look for messages; with 0 it asks only some of its servers.
    """
    bodies: dict[str, str] = {}
    receipts: list[str] = []
    try:
        while True:
            answer = sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=_HIDDEN, WaitTimeSeconds=wait
            )
            messages = answer.get("Messages", [])
            receipts += [message["ReceiptHandle"] for message in messages]
            fresh = {
                message["MessageId"]: message["Body"] for message in messages if message["MessageId"] not in bodies
            }
            bodies |= fresh
            # What was seen before has become visible again: this look has gone all the way round.
            if len(fresh) < len(messages) or not messages:
                return bodies
    finally:
        for start in range(0, len(receipts), 10):
            entries = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for index, receipt in enumerate(receipts[start : start + 10])
            ]
            sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
