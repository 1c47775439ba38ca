"""The three functions with their execution roles, log groups and layer, and the mapping that feeds the processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpipe.names import Names
from iotpipe.pipeline.artifacts import Artifacts
from iotpipe.pipeline.storage import Storage
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import ArnOf, NameOf, Reference, UrlOf
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.run import Run

if TYPE_CHECKING:
    from iotpipe.configuration import Environment

READ_SETTINGS = ("ssm:GetParameter",)
CONSUME = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
TRACE = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
USES_KEY = "Encrypt"
"""The statement of the roles' policies that names the KMS keys with which everything is or was encrypted."""

Variables = Mapping[str, str | Reference]


def layer(env: Environment, built: Artifacts) -> Layer:
    """The layer with the handlers' dependencies."""
    return Layer(
        Names(env.suffix).layer,
        digest=built.layer.identity,
        content=built.layer.content,
        runtime=env.functions.runtime,
        architecture=env.functions.architecture,
    )


def feed(env: Environment, readings: Queue, processor: Function) -> EventSourceMapping:
    """Delivers the queue's messages to the processor in batches."""
    queue = env.queue
    return _mapping(readings, processor, queue.batch_size, queue.batching_window, queue.maximum_concurrency)


def feed_of_devices(env: Environment, published: Queue, ingestion: Function) -> EventSourceMapping:
    """Delivers what devices publish to ingestion in batches."""
    return _mapping(published, ingestion, env.devices.batch_size, 0, env.devices.maximum_concurrency)


def _mapping(queue: Queue, function: Function, batch_size: int, window: int, concurrency: int) -> EventSourceMapping:
    return EventSourceMapping(
        f"{queue.name}-to-{function.name}",
        queue=queue,
        function=function,
        batch_size=batch_size,
        batching_window=window,
        maximum_concurrency=concurrency,
        # A stopped function must not be fed: Lambda would throttle each delivery, and each counts as a receive.
        enabled=function.reserved_concurrency != 0,
    )


@dataclass(frozen=True)
class Functions:
    """Declares each function with exactly the permissions and variables that its handler needs."""

    env: Environment
    built: Artifacts
    layer: Layer
    storage: Storage

    def ingestion(self) -> Function:
        storage = self.storage
        return self._function(
            "ingestion",
            may=[
                Allow("StoreRaw", ["dynamodb:BatchWriteItem"], on=[storage.raw]),
                Allow("Queue", ["sqs:SendMessage"], on=[storage.readings]),
                Allow("ReadSettings", READ_SETTINGS, on=[storage.settings, storage.api_key]),
                *self._may_with_devices(),
            ],
            sees={
                "RAW_TABLE_NAME": NameOf(storage.raw),
                "QUEUE_URL": UrlOf(storage.readings),
                "API_KEY_PARAM": NameOf(storage.api_key),
                "CONFIG_PARAM": NameOf(storage.settings),
                **({"REQUIRE_API_KEY": "true"} if self.env.api.require_api_key else {}),
                **self._seen_with_devices(),
            },
        )

    def _may_with_devices(self) -> list[Allow]:
        if self.storage.devices is None:
            return []
        return [
            Allow("ConsumeDevices", CONSUME, on=[self.storage.devices]),
            # What it refuses, it tells the device. No device can read another's topic.
            Allow("NotifyDevices", ["iot:Publish"], on=[_MqttTopic(Names(self.env.suffix).errors_topic("*"))]),
        ]

    def _seen_with_devices(self) -> Variables:
        if self.storage.devices is None:
            return {}
        names = Names(self.env.suffix)
        return {
            "THING_PREFIX": names.thing(""),
            "DEVICE_ERRORS_TOPIC": names.errors_topic("{thing}"),
            "DEAD_LETTER_QUEUE_URL": UrlOf(self.storage.dead_letters),
        }

    def processor(self) -> Function:
        storage = self.storage
        return self._function(
            "processor",
            may=[
                Allow("Consume", CONSUME, on=[storage.readings]),
                Allow("StoreProcessed", ["dynamodb:BatchWriteItem"], on=[storage.processed]),
                Allow("Alert", ["sns:Publish"], on=[storage.alerts]),
                # A row there holds the time of the last alert. A condition on it lets one worker send the next.
                Allow("ClaimAlert", ["dynamodb:PutItem"], on=[storage.processed]),
                Allow("ReadSettings", READ_SETTINGS, on=[storage.settings]),
            ],
            sees={
                "PROCESSED_TABLE_NAME": NameOf(storage.processed),
                "ALERT_TOPIC_ARN": ArnOf(storage.alerts),
                "CONFIG_PARAM": NameOf(storage.settings),
            },
        )

    def query(self) -> Function:
        storage = self.storage
        return self._function(
            "query",
            may=[
                Allow("Query", ["dynamodb:Query"], on=[storage.processed, storage.raw]),
                Allow("ListDevices", ["dynamodb:Scan"], on=[storage.processed]),
                Allow("ReadSettings", READ_SETTINGS, on=[storage.settings]),
            ],
            sees={
                "PROCESSED_TABLE_NAME": NameOf(storage.processed),
                "RAW_TABLE_NAME": NameOf(storage.raw),
                "CONFIG_PARAM": NameOf(storage.settings),
            },
        )

    def _function(self, handler: str, may: Sequence[Allow], sees: Variables) -> Function:
        """A function with its log group and its role, which may do just what the handler does."""
        common, own, names = self.env.functions, getattr(self.env.functions, handler), Names(self.env.suffix)
        key, keys = self.env.kms_key, self.env.usable_kms_keys
        log_group = LogGroup(names.log_group(handler), retention=common.log_retention, kms_key=key)
        role = Role(
            names.role(handler),
            service="lambda.amazonaws.com",
            may=[
                *may,
                # Lambda refuses a function whose role may not send to its dead-letter queue.
                Allow("DeadLetter", ["sqs:SendMessage"], on=[self.storage.dead_letters]),
                # No CreateLogGroup: a group that was deleted stays deleted.
                Allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], on=[_streams_of(log_group)]),
                Allow("Trace", TRACE),
                # Each decrypts its environment and sends to its dead-letter queue.
                *([Allow(USES_KEY, USE_KEY, on=keys)] if keys else []),
            ],
            boundary=common.permissions_boundary,
        )
        archive = self.built.handlers[handler]
        return Function(
            names.function(handler),
            handler=f"iotpipe.handlers.{handler}.lambda_handler",
            code=archive.content,
            code_sha256=archive.sha256,
            runtime=common.runtime,
            architecture=common.architecture,
            memory=own.memory,
            timeout=own.timeout,
            reserved_concurrency=own.reserved_concurrency,
            role=role,
            layer=self.layer,
            dead_letter=self.storage.dead_letters,
            log_group=log_group,
            environment=sees,
            kms_key=key,
        )


@dataclass(frozen=True)
class _Streams:
    """The log streams of one group, as a policy names them."""

    group: LogGroup

    def arn(self, run: Run) -> str:
        return f"{self.group.arn(run)}:*"


@dataclass(frozen=True)
class _MqttTopic:
    """An MQTT topic, as an IAM policy names it."""

    topic: str

    def arn(self, run: Run) -> str:
        return run.aws.arn("iot", f"topic/{self.topic}")


def _streams_of(group: LogGroup) -> _Streams:
    return _Streams(group)
