"""The pipeline itself: everything one environment is made of, in the order in which a reading travels through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpipe.names import Names
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.dashboard import DASHBOARDS, Dashboard
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import ArnOf, NameOf, Reference, UrlOf
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.run import Run

if TYPE_CHECKING:
    from iotpipe.configuration import Environment
    from iotpipe.packaging import Archive
    from iotpipe.packaging import Layer as BuiltLayer

READ_SETTINGS = ("ssm:GetParameter",)
CONSUME = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
TRACE = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
USES_KEY = "Encrypt"
"""The statement of the roles' policies that names the KMS keys with which everything is or was encrypted."""

Variables = Mapping[str, str | Reference]


@dataclass(frozen=True)
class Artifacts:
    """What packaging has made for Lambda: a zip per handler, by its name, and the layer."""

    handlers: Mapping[str, Archive]
    layer: BuiltLayer


def pipeline(env: Environment, built: Artifacts, region: str) -> list[Resource]:
    """Everything that the environment is made of, each resource after those that it uses."""
    names = Names(env.suffix)

    raw = _table(env, names.raw_table, ("device_id", "S"), ("timestamp", "N"))
    processed = _table(env, names.processed_table, ("device_id", "S"), ("event_date", "S"))
    dead_letters = Queue(names.dead_letter_queue, retention=env.queue.dead_letter_retention, kms_key=env.kms_key)
    readings = Queue(
        names.reading_queue,
        retention=env.queue.retention,
        visibility_timeout=env.queue.visibility_timeout,
        dead_letter=dead_letters,
        max_receives=env.queue.max_receives,
        kms_key=env.kms_key,
    )
    alerts = Topic(names.topic, display_name="IoT Processing Alerts", kms_key=env.kms_key)
    subscriptions = [Subscription(email.lower(), topic=alerts, endpoint=email) for email in env.alerts.emails]
    api_key = Secret(names.api_key, kms_key=env.kms_key)
    settings = Parameter(
        names.settings,
        value=env.processing.model_dump() | {"require_api_key": env.api.require_api_key},
    )
    layer = Layer(
        names.layer,
        digest=built.layer.identity,
        content=built.layer.content,
        runtime=env.functions.runtime,
        architecture=env.functions.architecture,
    )
    parts = _Parts(env, built, layer, dead_letters)

    ingestion = parts.function(
        "ingestion",
        may=[
            Allow("StoreRaw", ["dynamodb:BatchWriteItem"], on=[raw]),
            Allow("Queue", ["sqs:SendMessage"], on=[readings]),
            Allow("ReadSettings", READ_SETTINGS, on=[settings, api_key]),
        ],
        sees={
            "RAW_TABLE_NAME": NameOf(raw),
            "QUEUE_URL": UrlOf(readings),
            "API_KEY_PARAM": NameOf(api_key),
            "CONFIG_PARAM": NameOf(settings),
            **({"REQUIRE_API_KEY": "true"} if env.api.require_api_key else {}),
        },
    )
    processor = parts.function(
        "processor",
        may=[
            Allow("Consume", CONSUME, on=[readings]),
            Allow("StoreProcessed", ["dynamodb:BatchWriteItem"], on=[processed]),
            Allow("Alert", ["sns:Publish"], on=[alerts]),
            # The time of the last alert is a row there, written under a condition: of all workers one sends the next.
            Allow("ClaimAlert", ["dynamodb:PutItem"], on=[processed]),
            Allow("ReadSettings", READ_SETTINGS, on=[settings]),
        ],
        sees={
            "PROCESSED_TABLE_NAME": NameOf(processed),
            "ALERT_TOPIC_ARN": ArnOf(alerts),
            "CONFIG_PARAM": NameOf(settings),
        },
    )
    query = parts.function(
        "query",
        may=[
            Allow("Query", ["dynamodb:Query"], on=[processed, raw]),
            Allow("ReadSettings", READ_SETTINGS, on=[settings]),
        ],
        sees={
            "PROCESSED_TABLE_NAME": NameOf(processed),
            "RAW_TABLE_NAME": NameOf(raw),
            "CONFIG_PARAM": NameOf(settings),
        },
    )
    feed = EventSourceMapping(
        f"{readings.name}-to-{processor.name}",
        queue=readings,
        function=processor,
        batch_size=env.queue.batch_size,
        batching_window=env.queue.batching_window,
        maximum_concurrency=env.queue.maximum_concurrency,
        # A stopped processor must not be fed: Lambda would throttle each delivery, and each counts as a receive.
        enabled=env.functions.processor.reserved_concurrency != 0,
    )

    api = RestApi(names.rest_api, description="IoT Data Processing API")
    routes = [
        Route(f"{method} {path}", api=api, method=method, path=path, function=function)
        for method, path, function in (
            ("POST", "/ingest", ingestion),
            ("POST", "/process", processor),
            ("GET", "/query", query),
        )
    ]
    permissions = [
        Permission(_statement_id(route), function=route.function, api=api, method=route.method, path=route.path)
        for route in routes
    ]
    kept = env.api.access_logs
    access_log = LogGroup(names.access_log, retention=kept, kms_key=env.kms_key) if kept else None
    logs_with = ApiGatewayAccount(region, env.functions.permissions_boundary)
    stage = Stage(
        env.api.stage,
        api=api,
        routes=routes,
        account=logs_with if env.api.logging != "OFF" or access_log else None,
        rate=env.api.throttle.rate,
        burst=env.api.throttle.burst,
        metrics=env.api.metrics,
        tracing=env.api.tracing,
        logging=env.api.logging,
        log_retention=env.functions.log_retention,
        access_log=access_log,
        kms_key=env.kms_key,
        web_acl=env.api.web_acl,
    )

    functions, tables = [ingestion, processor, query], [raw, processed]
    alarms = _alarms(env, alerts, api, stage, functions, readings, dead_letters, tables)
    dashboard = _dashboard(env.suffix, api, stage, functions, readings, dead_letters, tables)
    return everything(*permissions, stage, feed, *subscriptions, *alarms, dashboard)


def _statement_id(route: Route) -> str:
    """Of the statement that lets the route call its function: letters, digits, - and _, as Lambda demands."""
    return f"iotpipe-{route.path[1:].replace('/', '-')}"


def _table(env: Environment, name: str, hash_key: tuple[str, str], range_key: tuple[str, str]) -> Table:
    return Table(
        name,
        hash_key=hash_key,
        range_key=range_key,
        point_in_time_recovery=env.tables.point_in_time_recovery,
        deletion_protection=env.tables.deletion_protection,
        kms_key=env.kms_key,
    )


@dataclass(frozen=True)
class _Parts:
    """What the three functions have in common."""

    env: Environment
    built: Artifacts
    layer: Layer
    dead_letters: Queue

    def function(self, handler: str, may: Sequence[Allow], sees: Variables) -> Function:
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
                Allow("DeadLetter", ["sqs:SendMessage"], on=[self.dead_letters]),
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
            dead_letter=self.dead_letters,
            log_group=log_group,
            environment=sees,
            kms_key=key,
        )


def _alarms(
    env: Environment,
    alerts: Topic,
    api: RestApi,
    stage: Stage,
    functions: Sequence[Function],
    readings: Queue,
    dead_letters: Queue,
    tables: Sequence[Table],
) -> list[Alarm]:
    """Each alarm tells the topic when its metric, or the sum of several, is above the threshold in 5 minutes."""
    names, thresholds = Names(env.suffix), env.alerts

    def alarm(name: str, description: str, threshold: float, *metrics: Metric) -> Alarm:
        return Alarm(names.alarm(name), description, metrics, threshold, topic=alerts)

    def of_function(function: Function, metric: str, threshold: float) -> Alarm:
        short = function.name.removeprefix("data-").removesuffix(f"-{env.suffix}")
        description = f"{function.name}: {metric.lower()} in 5 minutes"
        return alarm(f"iot-{short}-{metric.lower()}", description, threshold, _of_function(function, metric))

    def of_table(table: Table) -> Alarm:
        short = "raw" if table.name.startswith("raw") else "processed"
        description = f"{table.name}: requests throttled in 5 minutes"
        return alarm(f"{short}-table-throttles", description, thresholds.table_throttles, *_throttles(table))

    return [
        *(
            of_function(function, metric, threshold)
            for function in functions
            for metric, threshold in (("Errors", thresholds.errors), ("Throttles", thresholds.throttles))
        ),
        *(of_table(table) for table in tables),
        alarm(
            "iot-dlq-depth",
            f"{dead_letters.name}: messages that could not be processed",
            thresholds.dead_letters,
            _of_queue(dead_letters, "ApproximateNumberOfMessagesVisible"),
        ),
        alarm(
            "iot-queue-age",
            f"{readings.name}: age of the oldest message in seconds",
            thresholds.queue_age,
            _of_queue(readings, "ApproximateAgeOfOldestMessage"),
        ),
        alarm(
            "iot-api-5xx",
            f"{api.name}: answers with 5XX in 5 minutes",
            thresholds.api_errors,
            _of_api(api, stage, "5XXError"),
        ),
    ]


def _dashboard(
    suffix: str,
    api: RestApi,
    stage: Stage,
    functions: Sequence[Function],
    readings: Queue,
    dead_letters: Queue,
    tables: Sequence[Table],
) -> Dashboard:
    """What a person on call looks at, from the way in to the way out."""
    return Dashboard(
        f"{DASHBOARDS}{suffix}",
        widgets=[
            ("Requests", [_of_api(api, stage, "Count")]),
            ("Answers with 4XX and 5XX", [_of_api(api, stage, "4XXError"), _of_api(api, stage, "5XXError")]),
            ("API latency (ms)", [_of_api(api, stage, "Latency", each) for each in ("p50", "p95", "p99")]),
            ("Function duration (ms)", [_of_function(each, "Duration", "p95") for each in functions]),
            ("Function errors", [_of_function(each, "Errors") for each in functions]),
            ("Function throttles", [_of_function(each, "Throttles") for each in functions]),
            ("Messages waiting", [_of_queue(readings, "ApproximateNumberOfMessagesVisible")]),
            ("Age of the oldest message (s)", [_of_queue(readings, "ApproximateAgeOfOldestMessage")]),
            ("Messages that failed", [_of_queue(dead_letters, "ApproximateNumberOfMessagesVisible")]),
            ("Table throttles", [metric for table in tables for metric in _throttles(table)]),
        ],
    )


def _of_function(function: Function, name: str, statistic: str = "Sum") -> Metric:
    return Metric("AWS/Lambda", name, {"FunctionName": function.name}, statistic)


def _of_queue(queue: Queue, name: str) -> Metric:
    return Metric("AWS/SQS", name, {"QueueName": queue.name}, "Maximum")


def _of_api(api: RestApi, stage: Stage, name: str, statistic: str = "Sum") -> Metric:
    return Metric("AWS/ApiGateway", name, {"ApiName": api.name, "Stage": stage.name}, statistic)


def _throttles(table: Table) -> list[Metric]:
    dimensions = {"TableName": table.name}
    return [Metric("AWS/DynamoDB", name, dimensions) for name in ("ReadThrottleEvents", "WriteThrottleEvents")]


@dataclass(frozen=True)
class _Streams:
    """The log streams of one group, as a policy names them."""

    group: LogGroup

    def arn(self, run: Run) -> str:
        return f"{self.group.arn(run)}:*"


def _streams_of(group: LogGroup) -> _Streams:
    return _Streams(group)
