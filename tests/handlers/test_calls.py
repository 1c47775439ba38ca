"""Which AWS operations each handler performs, on which resources: what its role has to allow, and no more.

In IAM's words: SendMessageBatch is sqs:SendMessage, the others are called there what they are called here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import iotpipe.handlers
from iotpipe.handlers import ingestion
from tests.support.device_messages import batch, published
from tests.support.handlers_world import ENVIRONMENT, Calls, World, failure, reading

RAW, PROCESSED = ENVIRONMENT["RAW_TABLE_NAME"], ENVIRONMENT["PROCESSED_TABLE_NAME"]
CONFIG, KEY = ENVIRONMENT["CONFIG_PARAM"], ENVIRONMENT["API_KEY_PARAM"]

DECLARED = {
    "ingestion": {
        ("ssm", "GetParameter", CONFIG),
        ("ssm", "GetParameter", KEY),
        ("dynamodb", "BatchWriteItem", RAW),
        ("sqs", "SendMessageBatch", "queue"),
        ("sqs", "SendMessageBatch", "dead-letter queue"),
        ("iot-data", "Publish", "errors topic"),
    },
    "processor": {
        ("ssm", "GetParameter", CONFIG),
        ("dynamodb", "BatchWriteItem", PROCESSED),
        ("dynamodb", "PutItem", PROCESSED),
        ("sns", "Publish", "topic"),
    },
    "query": {
        ("ssm", "GetParameter", CONFIG),
        ("dynamodb", "Query", PROCESSED),
        ("dynamodb", "Query", RAW),
        ("dynamodb", "Scan", PROCESSED),
    },
}


def ingest_in_every_way(world: World, calls: Calls) -> None:
    world.ingest(reading())
    world.ingest([reading(index) for index in range(30)])
    world.ingest("not JSON")
    faults = [failure("ThrottlingException"), None]
    calls.answer("BatchWriteItem", lambda _: faults.pop(0))
    world.ingest(reading())
    calls.let_through("BatchWriteItem")
    world.configure(require_api_key=True)
    world.set_key("right")
    world.clock.pass_(400)
    world.ingest(reading(), headers={"X-Api-Key": "right"})
    world.ingest(reading(), headers={"X-Api-Key": "wrong"})
    world.enable_devices()
    ingestion.lambda_handler(batch(published(reading(device_id="roof")), published("not JSON")), world.context())


def process_in_every_way(world: World, calls: Calls) -> None:
    world.process([reading(index) for index in range(30)])
    world.process("not JSON")
    for _ in range(10):
        world.put_message("null")
    world.deliver()


def query_in_every_way(world: World, calls: Calls) -> None:
    for table in ("raw", "processed"):
        world.query(device_id="d", table=table, order="desc")
    world.query(device_id="d", from_="0", every="1h")
    world.query()
    world.get("/devices", {})


SCENARIOS: dict[str, Callable[[World, Calls], None]] = {
    "ingestion": ingest_in_every_way,
    "processor": process_in_every_way,
    "query": query_in_every_way,
}


def on_what(world: World, request: dict[str, Any]) -> str:
    """Return the resource that a request uses."""
    if "RequestItems" in request:
        (table,) = request["RequestItems"]
        return str(table)
    errors = "iotpipe/test/test:roof/errors"
    named = {world.queue: "queue", world.dead: "dead-letter queue", world.topic: "topic", errors: "errors topic"}
    (value,) = (request[field] for field in ("TableName", "Name", "QueueUrl", "TopicArn", "topic") if field in request)
    return named.get(value, value)


@pytest.mark.parametrize("handler", DECLARED)
def test_a_handler_does_what_is_declared_and_nothing_else(world: World, calls: Calls, handler: str) -> None:
    SCENARIOS[handler](world, calls)
    made = zip(calls.made, calls.requests, strict=True)
    assert {(*operation, on_what(world, request)) for operation, request in made} == DECLARED[handler]


@pytest.mark.parametrize("handler", DECLARED)
def test_no_call_is_written_that_the_scenarios_do_not_make(handler: str) -> None:
    declared = {(service, operation) for service, operation, _ in DECLARED[handler]}
    assert set().union(*(written_calls(module) for module in modules_of(handler))) == declared


def modules_of(handler: str) -> set[str]:
    """Return the modules of a handler's zip: the handler and its imports, recursively."""
    found: set[str] = set()
    waiting = {handler}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= neighbours(module) - found
    return found


def tree_of(module: str) -> ast.Module:
    return ast.parse((Path(iotpipe.handlers.__path__[0]) / f"{module}.py").read_text())


def neighbours(module: str) -> set[str]:
    package = "iotpipe.handlers"
    imports = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom)]
    siblings = {name.name for node in imports if node.module == package for name in node.names}
    inner = {node.module.rpartition(".")[2] for node in imports if (node.module or "").startswith(package + ".")}
    return siblings | inner


def written_calls(module: str) -> set[tuple[str, str]]:
    """Every `aws.client("service").operation(…)` in a module. A client is never kept under another name."""
    tree = tree_of(module)
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "aws.client"]
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in made]
    assert len(used) == len(made)
    found = {(ast.literal_eval(node.value.args[0]), node.attr) for node in used if isinstance(node.value, ast.Call)}
    return {(service, operation_of(service, method)) for service, method in found}


def operation_of(service: str, method: str) -> str:
    names = botocore.session.get_session().get_service_model(service).operation_names
    return next(name for name in names if xform_name(name) == method)


@pytest.mark.parametrize(("count", "most"), [(1, 2), (25, 4)])
def test_a_post_makes_no_more_calls_than_its_readings_need(world: World, calls: Calls, count: int, most: int) -> None:
    world.ingest(reading(1000))
    before = len(calls.made)
    world.ingest([reading(index) for index in range(count)])
    assert len(calls.made) - before == most


def test_a_batch_of_ten_messages_is_one_call(world: World, calls: Calls) -> None:
    world.ingest([reading(index) for index in range(10)])
    before = len(calls.made)
    assert len(world.deliver()) == 1
    assert len(calls.made) - before == 1
