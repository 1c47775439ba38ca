"""The handlers' environment on moto: tables, queues, topic, parameters; and the events that call the handlers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from iotpipe.handlers import alerts, aws, ingestion, processor, query

NAME = "test"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "RAW_TABLE_NAME": f"raw-sensor-data-{NAME}",
    "PROCESSED_TABLE_NAME": f"processed-data-{NAME}",
    "QUEUE_URL": "",
    "ALERT_TOPIC_ARN": "",
    "API_KEY_PARAM": f"/iot-pipeline/{NAME}/api-key",
    "CONFIG_PARAM": f"/iot-pipeline/{NAME}/config",
}
DEVICES = {"THING_PREFIX": f"{NAME}:", "DEVICE_ERRORS_TOPIC": f"iotpipe/{NAME}/{{thing}}/errors"}
NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
TODAY = "2026-11-22"


class Clock:
    """A simulated clock that `sleep` and `pass_` advance, with seeded jitter."""

    def __init__(self, now: int = NOON) -> None:
        self._now = float(now)
        self.slept: list[float] = []
        self.jitter = random.Random(1).random

    def now(self) -> int:
        return int(self._now)

    def elapsed(self) -> float:
        return self._now / 1000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self._now += seconds * 1000


class Context:
    """The parts of Lambda's context that the handlers use."""

    aws_request_id = "7e5c7a4e-0000-4000-8000-000000000001"

    def __init__(self, clock: Clock, seconds: float = 60) -> None:
        self._clock = clock
        self._end = clock.elapsed() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - self._clock.elapsed()) * 1000))


def proxy_event(method: str, path: str, **changes: Any) -> dict[str, Any]:
    """Return an event of API Gateway's REST proxy integration; absent members are null."""
    event = {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Accept": "*/*", "Content-Type": "application/json", "Host": "example.com"},
        "multiValueHeaders": {"Accept": ["*/*"], "Content-Type": ["application/json"], "Host": ["example.com"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": path,
            "httpMethod": method,
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "stage": "prod",
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": None,
        "isBase64Encoded": False,
    }
    return event | changes


def sqs_record(message: dict[str, Any]) -> dict[str, Any]:
    """Return a received message as a record of Lambda's poller."""
    attributes = {
        name: {
            "stringValue": value["StringValue"],
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value["DataType"],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:iot-ingestion-queue-{NAME}",
        "awsRegion": "eu-central-1",
    }


def reading(index: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "device_id": "sensor-001",
        "timestamp": NOON - 60_000 + index,
        "sensor_data": {"temperature": 25.5, "humidity": 60, "pressure": 1013.25},
    } | changes


def answered(answer: dict[str, Any]) -> Any:
    """Return an answer's parsed body, with exact numbers."""
    return json.loads(answer["body"], parse_float=Decimal)


class World:
    """One environment, with methods to call the handlers and read the results."""

    def __init__(self, client: Callable[[str], Any], clock: Clock, setenv: Callable[[str, str], None]) -> None:
        self.clock = clock
        self.dynamodb, self.sqs, self.sns, self.ssm = map(client, ("dynamodb", "sqs", "sns", "ssm"))
        self.raw = self._table(ENVIRONMENT["RAW_TABLE_NAME"], "timestamp", "N")
        self.processed = self._table(ENVIRONMENT["PROCESSED_TABLE_NAME"], "event_date", "S")
        self.dead, dead_arn = self._queue(f"iot-dlq-{NAME}", {})
        redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 3})
        self.queue, _ = self._queue(f"iot-ingestion-queue-{NAME}", {"RedrivePolicy": redrive})
        self.inbox, inbox_arn = self._queue("operator", {})
        self.topic = self.sns.create_topic(Name=f"iot-alerts-{NAME}")["TopicArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=inbox_arn)
        self.configure()
        self._setenv = setenv
        setenv("QUEUE_URL", self.queue)
        setenv("ALERT_TOPIC_ARN", self.topic)

    def enable_devices(self) -> None:
        """Let ingestion take what devices publish, as in an environment with `devices.enabled`."""
        for name, value in DEVICES.items():
            self._setenv(name, value)
        self._setenv("DEAD_LETTER_QUEUE_URL", self.dead)

    def _table(self, name: str, range_key: str, kind: str) -> str:
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "device_id", "KeyType": "HASH"},
                {"AttributeName": range_key, "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "device_id", "AttributeType": "S"},
                {"AttributeName": range_key, "AttributeType": kind},
            ],
        )
        return name

    def _queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        known = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, known["Attributes"]["QueueArn"]

    def configure(self, text: str | None = None, **values: Any) -> None:
        name = ENVIRONMENT["CONFIG_PARAM"]
        value = json.dumps(values) if text is None else text
        self.ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def set_key(self, value: str) -> None:
        name = ENVIRONMENT["API_KEY_PARAM"]
        self.ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def context(self, seconds: float = 60) -> Context:
        return Context(self.clock, seconds)

    def ingest(self, body: Any, **changes: Any) -> dict[str, Any]:
        event = proxy_event("POST", "/ingest", body=text_of(body), **changes)
        return ingestion.lambda_handler(event, self.context())

    def process(self, body: Any, **changes: Any) -> dict[str, Any]:
        event = proxy_event("POST", "/process", body=text_of(body), **changes)
        return processor.lambda_handler(event, self.context())

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Call GET /query; a list is a parameter that is given several times."""
        return self.get("/query", parameters)

    def get(self, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
        lists = {name: value if isinstance(value, list) else [value] for name, value in parameters.items()}
        many = {name.rstrip("_"): [str(value) for value in values] for name, values in lists.items()} or None
        given = many and {name: values[-1] for name, values in many.items()}
        event = proxy_event("GET", path, queryStringParameters=given, multiValueQueryStringParameters=many)
        return query.lambda_handler(event, self.context(30))

    def pages(self, **parameters: Any) -> list[list[dict[str, Any]]]:
        """Return all pages of a query, following the page tokens."""
        pages, token = [], {}
        while True:
            body = answered(self.query(**parameters, **token))
            assert body["count"] == len(body["items"])
            pages.append(body["items"])
            if "next_token" not in body:
                return pages
            token = {"next_token": body["next_token"]}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of all devices."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"] if item["device_id"] != alerts.ROW["device_id"]]

    def last_alert(self) -> dict[str, Any]:
        """Return the row with the time of the last alert."""
        found: dict[str, Any] = self.dynamodb.get_item(TableName=self.processed, Key=alerts.ROW)["Item"]
        return found

    def receive(self, queue_url: str, count: int = 10) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=count,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def put_message(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def bodies(self, queue_url: str) -> list[str]:
        """Receive and delete all messages of a queue; returns their bodies."""
        found = []
        while messages := self.receive(queue_url):
            found += [message["Body"] for message in messages]
            for message in messages:
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the topic's messages since the last call."""
        return [json.loads(json.loads(body)["Message"]) for body in self.bodies(self.inbox)]

    def deliver(self) -> list[dict[str, Any]]:
        """Call the processor with batches until the queue is empty, as Lambda's poller does."""
        answers = []
        while messages := self.receive(self.queue):
            records = [sqs_record(message) for message in messages]
            answer = processor.lambda_handler({"Records": records}, self.context())
            answers.append(answer)
            self.settle(messages, {failure["itemIdentifier"] for failure in answer["batchItemFailures"]})
        return answers

    def settle(self, messages: list[dict[str, Any]], failed: set[str]) -> None:
        """Delete the processed messages, and make the failed ones visible without the visibility timeout."""
        for message in messages:
            receipt = {"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self.sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
            else:
                self.sqs.delete_message(**receipt)


def text_of(body: Any) -> Any:
    return body if body is None or isinstance(body, str) else json.dumps(body)


class Calls:
    """Records every AWS call of the handlers in order, and replaces the responses that a test scripts."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self.requests: list[dict[str, Any]] = []
        self._answers: dict[str, Callable[[dict[str, Any]], Any]] = {}

    def __call__(self, model: Any, params: dict[str, Any], **_: Any) -> Any:
        self.made.append((model.service_model.service_name, model.name))
        body = params["body"]  # JSON, or a form's fields where the service speaks the query protocol
        request = dict(body) if isinstance(body, dict) else json.loads(body)
        if model.service_model.service_name == "iot-data":
            request = {"topic": unquote(params["url_path"].removeprefix("/topics/")), "payload": request}
        self.requests.append(request)
        answer = self._answers.get(model.name)
        return answer(request) if answer else None

    def names(self) -> list[str]:
        return [operation for _, operation in self.made]

    def of(self, operation: str) -> list[dict[str, Any]]:
        pairs = zip(self.made, self.requests, strict=True)
        return [request for (_, name), request in pairs if name == operation]

    def answer(self, operation: str, with_: Callable[[dict[str, Any]], Any]) -> None:
        """Answer the operation with `with_` instead of AWS; if it returns None, the call goes through."""
        self._answers[operation] = with_

    def let_through(self, operation: str) -> None:
        self._answers.pop(operation, None)


def success(**body: Any) -> tuple[Any, dict[str, Any]]:
    return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPStatusCode": 200}, **body}


def all_stored(_: dict[str, Any]) -> Any:
    """Return BatchWriteItem's response when all items are stored."""
    return success(UnprocessedItems={})


def all_queued(request: dict[str, Any]) -> Any:
    """Return SendMessageBatch's response when all messages are queued."""
    return success(Successful=[{"Id": entry["Id"], "MessageId": f"m-{entry['Id']}"} for entry in request["Entries"]])


def failure(code: str, status: int = 400, message: str = "scripted") -> tuple[Any, dict[str, Any]]:
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return SimpleNamespace(status_code=status), error


def refuse_repeated_keys(params: dict[str, Any], **_: Any) -> Any:
    """Refuse duplicate keys in a batch, as DynamoDB does and moto does not."""
    ((_, requests),) = json.loads(params["body"])["RequestItems"].items()
    items = [request["PutRequest"]["Item"] for request in requests]
    keys = [json.dumps([item["device_id"], item.get("event_date", item["timestamp"])]) for item in items]
    repeated = len(set(keys)) < len(keys)
    return (
        failure("ValidationException", message="Provided list of item keys contains duplicates") if repeated else None
    )


def watch(calls: Calls) -> Callable[[], None]:
    """Record the calls of the handlers' clients in `calls`; returns a function that ends it."""
    events = [aws.client(service).meta.events for service in ("dynamodb", "sqs", "sns", "ssm", "iot-data")]
    for one in events:
        one.register_first("before-call", calls)

    def end() -> None:
        for one in events:
            one.unregister("before-call", calls)

    return end
