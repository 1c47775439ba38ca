"""A worker in a process of its own, which sends a reading through the three handlers.

AWS is played by the first hook of each call, so that the process starts fast and X-Ray still sees every call.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from iotpipe.handlers import aws, clock, ingestion, processor, query
from tests.support.handlers_world import ENVIRONMENT, NOON, failure, proxy_event, reading, sqs_record, success

sent: list[dict[str, Any]] = []


def play_aws(model: Any, params: dict[str, Any], **_: Any) -> Any:
    if model.name == "SendMessageBatch":
        sent.extend(json.loads(params["body"])["Entries"])
    if model.name == "Query" and "lost" in params["body"].decode():
        return failure("AccessDeniedException")
    answers = {"SendMessageBatch": {"Successful": [{"Id": entry["Id"]} for entry in sent]}}
    answers |= {"BatchWriteItem": {"UnprocessedItems": {}}, "GetParameter": {"Parameter": {"Value": "{}"}}}
    return success(**answers.get(model.name, {"Items": []}))


def main() -> None:
    os.environ.update(ENVIRONMENT)
    clock.now = lambda: NOON
    for service in ("dynamodb", "sqs", "ssm"):
        aws.client(service).meta.events.register_first("before-call", play_aws)
    body = json.dumps([reading(), reading(1)])
    answers = [ingestion.lambda_handler(proxy_event("POST", "/ingest", body=body), None)]
    records = [
        sqs_record({"MessageId": entry["Id"], "ReceiptHandle": "r", "Body": entry["MessageBody"], "MD5OfBody": ""})
        for entry in sent
    ]
    answers.append(processor.lambda_handler({"Records": records}, None))
    for parameters in ({"device_id": "sensor-001"}, None, {"device_id": "lost"}):
        answers.append(query.lambda_handler(proxy_event("GET", "/query", queryStringParameters=parameters), None))
    Path(sys.argv[1]).write_text(
        repr([answer.get("statusCode", answer.get("batchItemFailures")) for answer in answers])
    )


main()
