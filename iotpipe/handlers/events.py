"""Events that a handler does not understand: named in the log, and raised, so that nobody takes them for done."""

from __future__ import annotations

from typing import Any, NoReturn

from iotpipe.handlers import telemetry

# By the `eventSource` of the first record. SNS writes the name of the member with a capital.
_SOURCES = {
    "aws:sqs": "SQS",
    "aws:sns": "SNS",
    "aws:kinesis": "Kinesis",
    "aws:dynamodb": "DynamoDB stream",
    "aws:s3": "S3",
}


class NotUnderstood(ValueError):
    """An event that is none of those that the handler takes. The text names its kind and quotes nothing of it."""


def refuse(function: str, event: Any, context: Any, reason: str) -> NoReturn:
    """Write the invocation's log line with the event's kind, and raise NotUnderstood.

    To return would acknowledge the event: Lambda deletes what an event source mapping has delivered, and counts an
    asynchronous invocation as done. What is raised comes again, and then goes to the dead-letter queue.
    """
    line = telemetry.Line(function, context)
    line.fields.update(event=kind(event), reasons=[reason])
    line.counts["not_understood"] = 1
    line.write()
    raise NotUnderstood(f"{reason}: {kind(event)}")


def is_proxy_event(event: Any) -> bool:
    """Whether API Gateway sent it, as a REST API does."""
    return isinstance(event, dict) and isinstance(event.get("httpMethod"), str) and "Records" not in event


def kind(event: Any) -> str:
    """What sent an event, as far as its shape tells."""
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
        return "nowhere"
    source = first.get("eventSource", first.get("EventSource"))
    return _SOURCES.get(source, "an unknown source") if isinstance(source, str) else "an unknown source"
