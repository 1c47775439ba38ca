"""A dead-letter queue with messages in it, and an SQS that moves them as AWS's does."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3

from iotpipe.operations.queue_client import QueueClient
from tests.support.engine_world import World

GOOD = {
    "version": 1,
    "device_id": "sensor-1",
    "event_date": "2026-01-15T10:30:00.000Z#012345678901234567",
    "timestamp": 1768473000000,
    "received_at": "2026-01-15T10:30:01.000Z",
    "sensor_data": {"temperature": 25.5},
}


def body(**changes: Any) -> str:
    """What ingestion writes, but for the changes."""
    return json.dumps(GOOD | changes)


def _without_waiting(params: dict[str, Any], **call: Any) -> dict[str, Any]:
    """moto overlooks no message, also where it is not told to wait for it; SQS does, so it must have been told."""
    assert params["WaitTimeSeconds"] > 0
    return params | {"WaitTimeSeconds": 0}


@dataclass
class Queues:
    """The two queues, as one command sees them (`dead`, `target`) and as anybody else does (`sqs`)."""

    world: World
    sqs: Any = field(default_factory=lambda: boto3.client("sqs"))

    def __post_init__(self) -> None:
        self.run = self.world.run("dlq")
        self.urls = {
            name: self.sqs.create_queue(QueueName=name)["QueueUrl"]
            for name in ("iot-dlq-dev", "iot-ingestion-queue-dev")
        }
        self.dead, self.target = (QueueClient(self.run, name) for name in self.urls)
        self.run.client("sqs").meta.events.register("provide-client-params.sqs.ReceiveMessage", _without_waiting)

    def add(self, name: str) -> QueueClient:
        """Another queue."""
        self.urls[name] = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        return QueueClient(self.run, name)

    def comes_from(self, source: QueueClient) -> None:
        """From now on SQS says of each received message that it moved it here from this queue, which moto does not."""

        def moved(parsed: dict[str, Any], **call: Any) -> None:
            for message in parsed.get("Messages", []):
                message["Attributes"]["DeadLetterQueueSourceArn"] = source.arn

        self.run.client("sqs").meta.events.register("after-call.sqs.ReceiveMessage", moved)

    def taken(self, box: QueueClient) -> list[dict[str, Any]]:
        """Receive and delete all messages of a queue."""
        found = self.visible(box)
        self.sqs.purge_queue(QueueUrl=self.urls[box.name])
        return found

    def put(self, *bodies: str, **attributes: str) -> list[str]:
        """Dead letters with these bodies; answers with their ids."""
        own = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        return [
            self.sqs.send_message(QueueUrl=self.urls["iot-dlq-dev"], MessageBody=each, MessageAttributes=own)[
                "MessageId"
            ]
            for each in bodies
        ]

    def visible(self, box: QueueClient) -> list[dict[str, Any]]:
        """What anybody who receives now would get; it stays visible."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.urls[box.name],
                MaxNumberOfMessages=10,
                VisibilityTimeout=30,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages") or []
            if not messages:
                break
            found |= {each["MessageId"]: each for each in messages}
        for each in found.values():
            self.sqs.change_message_visibility(
                QueueUrl=self.urls[box.name], ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0
            )
        return list(found.values())

    def bodies(self, box: QueueClient) -> list[str]:
        return sorted(each["Body"] for each in self.visible(box))

    def hide_nothing(self) -> None:
        """From now on SQS answers with the same messages again, as a standard queue may."""
        self.run.client("sqs").meta.events.register(
            "before-parameter-build.sqs.ReceiveMessage", lambda params, **call: params.update(VisibilityTimeout=0)
        )

    def answers(self, operation: str, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Let the command's own SQS answer an operation so; the answer is in the service's own form."""

        def before_call(model: Any, params: dict[str, Any], **call: Any) -> Any:
            # This comes before what the world does ahead of each call, and ends it.
            if refused := self.world._observe(model, params):
                return refused
            status = type("Answer", (), {"status_code": 200, "headers": {}, "content": b""})()
            return status, answer(json.loads(params["body"])) | {"ResponseMetadata": {"HTTPStatusCode": 200}}

        self.run.client("sqs").meta.events.register(f"before-call.sqs.{operation}", before_call)


@dataclass
class MoveTasks:
    """StartMessageMoveTask and ListMessageMoveTasks: four messages are moved between two looks at the tasks.

    The first `late` looks after the start do not show the new task yet. One that is `cancelled` moves messages until
    the look after the next.
    """

    queues: Queues
    late: int = 0
    tasks: list[dict[str, Any]] = field(default_factory=list)
    fails: str = ""
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.queues.answers("StartMessageMoveTask", self.start)
        self.queues.answers("ListMessageMoveTasks", self.list)

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["SourceArn"].endswith(":iot-dlq-dev")
        assert request["DestinationArn"].endswith(":iot-ingestion-queue-dev")
        self.add("RUNNING", to_move=len(self.queues.visible(self.queues.dead)))
        return {"TaskHandle": "handle"}

    def add(self, status: str, to_move: int = 0, moved: int = 0) -> None:
        started = int(datetime.datetime(2026, 1, 15, tzinfo=datetime.UTC).timestamp() * 1000) + len(self.tasks)
        counts = {"ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": to_move}
        self.tasks.insert(0, {"Status": status, "StartedTimestamp": started} | counts)

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        assert 1 <= request["MaxResults"] <= 10, "SQS refuses it"
        running = bool(self.tasks) and self.tasks[0]["Status"] in ("RUNNING", "CANCELLING")
        if running and self.late:
            self.late -= 1
            return {"Results": self.tasks[1:]}
        answer = {"Results": [dict(each) for each in self.tasks]}
        if running:
            self._work_on(self.tasks[0])
        return answer

    def _work_on(self, task: dict[str, Any]) -> None:
        sqs, urls = self.queues.sqs, self.queues.urls
        messages = sqs.receive_message(QueueUrl=urls["iot-dlq-dev"], MaxNumberOfMessages=4).get("Messages") or []
        for each in messages:
            sqs.send_message(QueueUrl=urls["iot-ingestion-queue-dev"], MessageBody=each["Body"])
            sqs.delete_message(QueueUrl=urls["iot-dlq-dev"], ReceiptHandle=each["ReceiptHandle"])
        task["ApproximateNumberOfMessagesMoved"] += len(messages)
        if self.fails:
            task |= {"Status": "FAILED", "FailureReason": self.fails}
        elif not messages:
            task["Status"] = "COMPLETED"
        elif self.cancelled:
            task["Status"] = "CANCELLING" if task["Status"] == "RUNNING" else "CANCELLED"
