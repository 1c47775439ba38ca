"""An event that a handler does not understand raises an error, and its kind is in the log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotpipe.handlers import ingestion, processor, query
from tests.support.handlers_world import Calls, World, reading, sqs_record

BODY = json.dumps(reading(device_id="s3cr3t"))
HANDLERS = {"ingestion": ingestion, "processor": processor, "query": query}
SQS = {
    "Records": [
        sqs_record({"MessageId": "1", "ReceiptHandle": "r", "Body": BODY, "MD5OfBody": ""}),
    ]
}
SNS = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"MessageId": "1", "Message": BODY}}]}
KINESIS = {
    "Records": [{"eventSource": "aws:kinesis", "eventID": "1", "kinesis": {"data": "e30=", "partitionKey": "k"}}]
}
EVENTBRIDGE = {"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
HTTP_API = {"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/ingest"}}, "body": BODY}
LOAD_BALANCER = {"requestContext": {"elb": {"targetGroupArn": "arn"}}, "body": BODY}

NEVER_UNDERSTOOD: list[tuple[Any, str]] = [
    (SNS, "a batch from SNS"),
    (KINESIS, "a batch from Kinesis"),
    (EVENTBRIDGE, "an EventBridge event"),
    (HTTP_API, "a request of an HTTP API or a function URL"),
    (LOAD_BALANCER, "a request of a load balancer"),
    (None, "a direct invocation with NoneType"),
    ([], "a direct invocation with list"),
    ("s3cr3t", "a direct invocation with str"),
    ({}, "a direct invocation"),
    (reading(device_id="s3cr3t"), "a direct invocation"),
    ({"httpMethod": None, "body": BODY}, "a proxy event"),
    ({"Records": []}, "a batch from an unknown source"),
    ({"Records": [], "httpMethod": "POST", "body": BODY}, "a batch from an unknown source"),
    ({"Records": None}, "a batch from an unknown source"),
    ({"Records": ["s3cr3t"]}, "a batch from an unknown source"),
    ({"Records": [{"eventSource": "s3cr3t"}]}, "a batch from an unknown source"),
    ({"Records": [{"eventSource": ["s3cr3t"]}]}, "a batch from an unknown source"),
    ({"Records": [{"messageId": "", "body": BODY, "eventSource": "aws:sqs"}]}, "a batch from SQS"),
    ({"Records": [*SQS["Records"], *KINESIS["Records"]]}, "a batch from SQS"),
    (SQS | {"httpMethod": 5, "Records": {}}, "a batch from an unknown source"),
]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(("event", "kind"), NEVER_UNDERSTOOD, ids=lambda value: str(value)[:30])
def test_an_event_of_unknown_shape_is_never_acknowledged_and_named_in_the_log(
    world: World, calls: Calls, capsys: pytest.CaptureFixture[str], handler: str, event: Any, kind: str
) -> None:
    with pytest.raises(ValueError, match=f": {kind}$"):
        HANDLERS[handler].lambda_handler(event, world.context())
    written = capsys.readouterr().out
    (line,) = map(json.loads, written.splitlines())
    assert (line["event"], line["function"], line["not_understood"]) == (kind, handler, 1)
    assert line["lambda_request_id"] == world.context().aws_request_id
    assert "s3cr3t" not in written
    assert calls.made == []


@pytest.mark.parametrize("handler", ["ingestion", "query"])
def test_a_queue_s_messages_are_not_for_a_function_without_a_queue(world: World, handler: str) -> None:
    with pytest.raises(ValueError, match="a batch from SQS"):
        HANDLERS[handler].lambda_handler(SQS, world.context())
