"""An environment that an observer looks at: its queues, logs, alarms and tables on moto, and time that stands still."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from iotpipe.errors import IotpipeError
from iotpipe.names import HANDLERS, Names
from iotpipe.observer.observer import Observer
from iotpipe.observer.snapshot import Snapshot, Source
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.run import Run
from iotpipe.times import iso
from tests.support.engine_world import World, declared, refusal

CONFIG = Path(__file__).parents[2] / "config"
NAMES = Names("dev")
TABLES = {NAMES.raw_table: ("timestamp", "N"), NAMES.processed_table: ("event_date", "S")}


@dataclass
class Observed:
    """The environment dev. `denied` are the operations that AWS refuses; `error` is why there is no connection."""

    world: World
    resources: Sequence[Resource] = field(default_factory=lambda: declared(CONFIG, "dev")[0])
    denied: set[str] = field(default_factory=set)
    error: IotpipeError | None = None
    connections: int = 0
    streams: int = 0

    def __post_init__(self) -> None:
        self.world.before = self._refuse
        sqs, logs, dynamodb = (boto3.client(each) for each in ("sqs", "logs", "dynamodb"))
        for queue in (each for each in self.resources if isinstance(each, Queue)):
            sqs.create_queue(QueueName=queue.name)
        for handler in HANDLERS:
            logs.create_log_group(logGroupName=NAMES.log_group(handler))
        for table, key in TABLES.items():
            keys = (("device_id", "S"), key)
            dynamodb.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for (name, _), kind in zip(keys, ("HASH", "RANGE"), strict=True)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        self.alarm("iot-dlq-depth-dev", "OK")

    @property
    def now(self) -> int:
        return int(self.world.clock.now() * 1000)

    def observer(self, local: bool = True, environment: str = "dev", patience: float | None = None) -> Observer:
        def connect() -> Run:
            self.connections += 1
            if self.error:
                raise self.error
            return Run(self.world.connect(), "dev", clock=self.world.clock, patient=False)

        return Observer(
            environment, connect, self.resources, "dev", local=local, patience=patience, clock=self.world.clock
        )

    def look(self, observer: Observer, range_seconds: int = 900) -> Snapshot:
        """A snapshot with the devices, which a first look does not wait for."""
        observer.snapshot(range_seconds)
        observer.devices()
        return observer.snapshot(range_seconds)

    def pass_(self, seconds: float) -> None:
        self.world.clock.time += seconds

    def log(self, handler: str, *lines: dict[str, Any] | str, ago: int = 5000) -> None:
        """Lines of one function instance, `ago` milliseconds old."""
        group, stream = NAMES.log_group(handler), f"stream-{self.streams}"
        self.streams += 1
        logs = boto3.client("logs")
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        texts = [line if isinstance(line, str) else json.dumps({"milliseconds": 1.5} | line) for line in lines]
        events = [{"timestamp": self.now - ago, "message": text} for text in texts]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def put(self, queue: str, *bodies: str) -> None:
        for body in bodies:
            boto3.client("sqs").send_message(QueueUrl=self.url(queue), MessageBody=body)

    def url(self, queue: str) -> str:
        return str(boto3.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])

    def alarm(self, name: str, state: str, reason: str = "") -> None:
        cloudwatch = boto3.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)

    def metric(self, namespace: str, name: str, dimensions: dict[str, str], value: float, ago: int) -> None:
        """A value of a metric, `ago` milliseconds old."""
        described = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        data = {"MetricName": name, "Dimensions": described, "Value": value, "Timestamp": (self.now - ago) / 1000}
        boto3.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[data])

    def store(self, device: str, *ages: int, received: int | None = None, **metrics: str) -> None:
        """Processed rows of a device, whose readings are that many milliseconds old and came `received` ago."""
        for age in ages:
            moment = self.now - age
            item = {
                "device_id": {"S": device},
                "event_date": {"S": f"{iso(moment)}#012345678901234567"},
                "timestamp": {"N": str(moment)},
                "received_at": {"S": iso(self.now - (age if received is None else received))},
                "processed_at": {"S": iso(self.now)},
                "status": {"S": "processed"},
                "sensor_data": {"M": {}},
                **{name: {"N": text} for name, text in metrics.items()},
            }
            boto3.client("dynamodb").put_item(TableName=NAMES.processed_table, Item=item)

    def _refuse(self, operation: str, parameters: dict[str, Any]) -> ClientError | None:
        if operation not in self.denied:
            return None
        return refusal(operation, "AccessDenied", f"not authorized to perform {operation}")


def source(snapshot: Snapshot, name: str) -> Source:
    return next(each for each in snapshot.sources if each.name == name)


def said(snapshot: Snapshot) -> str:
    """The sentence as a text."""
    return "".join(part.text for part in snapshot.sentence)
