"""Rejects events that a handler does not understand: logs their kind and raises, so that they do not count as done."""

from __future__ import annotations

from typing import Any, NoReturn

from iotpipe.handlers import telemetry

# By the `eventSource` of the first record; SNS calls the member `EventSource`.
_SOURCES = {
    "aws:sqs": "SQS",
    "aws:sns": "SNS",
    "aws:kinesis": "Kinesis",
    "aws:dynamodb": "DynamoDB stream",
    "aws:s3": "S3",
}


class NotUnderstood(ValueError):
    """An event that the handler does not accept. The message names its kind and quotes none of its data."""


def refuse(function: str, event: Any, context: Any, reason: str) -> NoReturn:
    """Write the invocation's log line with the event's kind, and raise NotUnderstood.

    Returning would acknowledge the event: Lambda would delete a message that an event source mapping has delivered,
    and count an asynchronous invocation as successful. After an error Lambda retries, and finally uses the dead-letter
    queue.
    """
    line = telemetry.Line(function, context)
    line.fields.update(event=kind(event), reasons=[reason])
    line.counts["not_understood"] = 1
    line.write()
    raise NotUnderstood(f"{reason}: {kind(event)}")


def is_proxy_event(event: Any) -> bool:
    """Whether it is a proxy event of an API Gateway REST API."""
    return isinstance(event, dict) and isinstance(event.get("httpMethod"), str) and "Records" not in event


def batch_problem(records: Any) -> str | None:
    """Return why the records are not messages that can be returned to the queue one by one, or None."""
    if not isinstance(records, list) or not records:
        return "a batch without records"
    for record in records:
        if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
            return "a record that is not from a queue"
        if not isinstance(record.get("messageId"), str) or not record["messageId"]:
            return "a record without a message id"
    return None


def kind(event: Any) -> str:
    """Describe the event's source, as far as its structure shows it."""
    if not isinstance(event, dict):
        return f"a direct invocation with {type(event).__name__}"
    if "Records" in event:
        return f"a batch from {_source(event['Records'])}"
    if "detail-type" in event:
        return "an EventBridge event"
    about = event.get("requestContext")
    if isinstance(about, dict) and "http" in about:
        return "a request of an HTTP API or a function URL"
    if isinstance(about, dict) and "elb" in about:
        return "a request of a load balancer"
    return "a proxy event" if "httpMethod" in event else "a direct invocation"


def _source(records: Any) -> str:
    first = records[0] if isinstance(records, list) and records else None
    if not isinstance(first, dict):
        return "an unknown source"
    source = first.get("eventSource", first.get("EventSource"))
    return _SOURCES.get(source, "an unknown source") if isinstance(source, str) else "an unknown source"
