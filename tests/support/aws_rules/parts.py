"""Small pieces of a pipeline, just large enough to meet one rule of AWS each."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

from iotpipe.packaging import handler_zip
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.iot_policy import IotPolicy, Permit
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.resources.topic_rule import TopicRule

CODE = handler_zip("query").content
OTHER_CODE = handler_zip("ingestion").content

DEAD_LETTERS = Queue("dead-letters", retention=60)
QUEUE = Queue("readings", retention=60, visibility_timeout=60, dead_letter=DEAD_LETTERS, max_receives=3)
TOPIC = Topic("alerts", display_name="Alerts")
PARAMETER = Parameter("/config", {"a": 1})
GROUP = LogGroup("/aws/lambda/worker", retention=30)
LAYER = Layer("shared", "0123456789abcdef", lambda: CODE, "python3.13", "arm64")
SEND = Allow("DeadLetter", ["sqs:SendMessage"], on=[DEAD_LETTERS])
CONSUME = Allow("Consume", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], on=[QUEUE])
ROLE = Role("worker-role", service="lambda.amazonaws.com", may=[SEND, CONSUME])


def _hash(code: bytes) -> str:
    return base64.b64encode(hashlib.sha256(code).digest()).decode()


FUNCTION = Function(
    "worker",
    handler="iotpipe.handlers.query.lambda_handler",
    code=CODE,
    code_sha256=_hash(CODE),
    runtime="python3.13",
    architecture="arm64",
    memory=256,
    timeout=30,
    reserved_concurrency=5,
    role=ROLE,
    layer=LAYER,
    dead_letter=DEAD_LETTERS,
    log_group=GROUP,
    environment={"STAGE": "dev"},
)


def function(**changes: Any) -> Function:
    """The function, with some of its settings changed."""
    if "code" in changes:
        changes["code_sha256"] = _hash(changes["code"])
    return replace(FUNCTION, **changes)


def mapping(function: Function = FUNCTION, queue: Queue = QUEUE, **changes: Any) -> EventSourceMapping:
    settings = {"batch_size": 10, "batching_window": 0, "maximum_concurrency": 2, **changes}
    return EventSourceMapping("readings-to-worker", queue=queue, function=function, **settings)


RULE_ROLE = Role(
    "rule-role", "iot.amazonaws.com", [Allow("Queue", ["sqs:SendMessage"], on=[QUEUE, DEAD_LETTERS])], only_for="iot"
)
RULE = TopicRule("readings", "SELECT * FROM 'readings/+'", "Readings", QUEUE, DEAD_LETTERS, RULE_ROLE)
POLICY = IotPolicy("devices", [Permit("iot:Publish", ["topic/readings/*"])], [RULE])
API = RestApi("api", description="An API")
ACCOUNT = ApiGatewayAccount("us-east-1")


def table(name: str = "rows") -> Table:
    return Table(name, ("device_id", "S"), ("timestamp", "N"), True, False)


def route(path: str, api: RestApi = API) -> Route:
    return Route(f"GET {path}", api=api, method="GET", path=path, function=FUNCTION)


def permission(path: str) -> Permission:
    return Permission(f"may-{path[1:]}", function=FUNCTION, api=API, method="GET", path=path)


def stage(*routes: Route, account: ApiGatewayAccount | None = None) -> Stage:
    return Stage(
        "dev",
        api=API,
        routes=routes or [route("/query")],
        account=account,
        rate=100,
        burst=100,
        metrics=True,
        tracing=True,
        logging="INFO" if account else "OFF",
        log_retention=30,
    )
