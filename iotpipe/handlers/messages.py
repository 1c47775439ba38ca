"""Messages into the queue: SendMessageBatch in chunks SQS accepts, failed entries sent again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from iotpipe.handlers import aws, clock
from iotpipe.handlers.tables import chunks

# Ten entries per call. A queue takes 1 MiB per call today, but one made with the older default only 256 KiB.
_MOST_ENTRIES, _MOST_BYTES = 10, 262_144
_ENVELOPE = 256


def send(
    queue_url: str, bodies: Sequence[str], correlation_id: str, budget: clock.Budget
) -> list[str | None]:
    """Send one message per body (ASCII only). None per message taken by the queue, else the reason."""
    reasons: list[str | None] = []
    for chunk in chunks(bodies, _MOST_ENTRIES, _MOST_BYTES, lambda body: len(body) + _ENVELOPE):
        undone = aws.settle(len(chunk), partial(_send, queue_url, correlation_id, chunk), budget)
        reasons += [undone.get(index) for index in range(len(chunk))]
    return reasons


def _send(queue_url: str, correlation_id: str, bodies: Sequence[str], indexes: list[int]) -> aws.Outcome:
    attributes = {"correlation_id": {"DataType": "String", "StringValue": correlation_id}}
    entries = [
        {"Id": str(index), "MessageBody": bodies[index], "MessageAttributes": attributes} for index in indexes
    ]
    answer = aws.client("sqs").send_message_batch(QueueUrl=queue_url, Entries=entries)
    outcome = aws.Outcome()
    for failure in answer.get("Failed", []):
        which = outcome.refused if failure.get("SenderFault") else outcome.again
        which[int(failure["Id"])] = failure.get("Code", "Failed")
    return outcome
