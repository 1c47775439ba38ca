"""One measurement of benchmarks/handlers.py, in the process that it starts: directory, what, and whose handlers."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

ANSWERS = {"GetParameter": {"Parameter": {"Value": "{}"}}, "BatchWriteItem": {"UnprocessedItems": {}}}
ROUNDS = 200
calls: list[str] = []


class Reply(io.BytesIO):
    """What urllib3's response would be, as far as botocore uses it."""

    def stream(self) -> Any:
        yield self.getvalue()


def play_aws(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    target = request.headers["X-Amz-Target"]
    operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
    calls.append(operation)
    answer = queued(request.body) if operation == "SendMessageBatch" else ANSWERS.get(operation, {})
    return AWSResponse(request.url, 200, {}, Reply(json.dumps(answer).encode()))


def queued(body: bytes) -> dict[str, Any]:
    """SQS confirms each message by the id that it was sent with."""
    return {"Successful": [{"Id": entry["Id"]} for entry in json.loads(body)["Entries"]], "Failed": []}


def readings(count: int) -> list[dict[str, Any]]:
    now = int(time.time() * 1000)
    return [
        {
            "device_id": f"sensor-{index:03}",
            "timestamp": now - index,
            "sensor_data": {"temperature": 20.5 + index, "humidity": 60.25, "pressure": 1013.25, "battery": 3.71},
        }
        for index in range(count)
    ]


def post(count: int) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "headers": {},
        "requestContext": {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"},
        "body": json.dumps({"readings": readings(count)}),
    }


def batch(count: int) -> dict[str, Any]:
    """Messages as both sides read them: the plain one takes what it knows and ignores the rest."""
    records = []
    for index, reading in enumerate(readings(count)):
        envelope = {
            "version": 1,
            "event_date": f"{iso(reading['timestamp'])}#{index:018}",
            "received_at": "2026-11-22T12:00:00.000Z",
        }
        records.append({"messageId": str(index), "eventSource": "aws:sqs", "body": json.dumps(reading | envelope)})
    return {"Records": records}


def iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def start(ingestion: str, function: str, *_: str) -> dict[str, float]:
    begun = time.process_time()
    handler = getattr(importlib.import_module(ingestion), function)
    imported = time.process_time()
    with_aws()
    played = time.process_time()
    handler(post(1), None)
    assert "GetParameter" in calls or "PutItem" in calls
    return {"import": (imported - begun) * 1000, "first": (time.process_time() - played + imported - begun) * 1000}


def with_aws() -> None:
    """Answer all calls from here on: of clients that are there already, and of those to come."""
    from botocore import handlers

    handlers.BUILTIN_HANDLERS.append(("before-send", play_aws))
    plain = sys.modules.get("plain_handlers")
    if plain is not None:
        for client in (plain.dynamodb.meta.client, plain.sqs, plain.sns, plain.ssm):
            client.meta.events.register("before-send", play_aws)


def work(ingestion: str, ingest_name: str, processor: str, process_name: str) -> dict[str, float]:
    ingest = getattr(importlib.import_module(ingestion), ingest_name)
    process = getattr(importlib.import_module(processor), process_name)
    with_aws()
    figures = {}
    for name, handler, event, count in (
        ("1", ingest, post(1), 1),
        ("25", ingest, post(25), 25),
        ("batch", process, batch(10), 10),
    ):
        for _ in range(5):
            handler(event, None)
        calls.clear()
        begun = time.process_time()
        for _ in range(ROUNDS):
            handler(event, None)
        figures[f"cpu_{name}"] = (time.process_time() - begun) * 1000 / ROUNDS / count
        figures[f"calls_{name}"] = len(calls) / ROUNDS / count
    return figures


def main() -> None:
    root, what, *names = sys.argv[1:]
    sys.path.insert(0, root)
    with contextlib.redirect_stdout(io.StringIO()):
        figures = {"start": start, "work": work}[what](*names)
    print(json.dumps(figures))


main()
