"""The data flow of `iotpipe graph`: every arrow follows from the declaration, and every kind has its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from iotpipe.pipeline.flow import ACTIONS, FAILS, READS, Edge, Flow, flow
from iotpipe.pipeline.functions import CONSUME
from iotpipe.pipeline.places import DEVICES, PLACES, Boxes, NoBox, place_of
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.topic_rule import TopicRule
from tests.support.account_inventory import client, pages
from tests.support.pipeline_world import Declared, Settings, World
from tests.support.web_acls import WEB_ACL

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
VARIANTS: dict[str, Settings] = {
    "default": {},
    "every option": {
        "kms_key": KEY,
        "devices": {"enabled": True},
        "api": {"require_api_key": True, "web_acl": WEB_ACL, "access_logs": 30},
        "alerts": {"emails": ["ops@example.com", "oncall@example.com"]},
    },
    "no logs": {"api": {"logging": "OFF"}, "alerts": {"emails": ["ops@example.com"]}},
    "stopped": {"functions": {"processor": {"reserved_concurrency": 0}}},
}

Declare = Callable[..., Declared]


@pytest.fixture(params=VARIANTS)
def resources(request: pytest.FixtureRequest, declared: Declare) -> list[Resource]:
    return declared(VARIANTS[request.param]).resources


def ends(drawn: Flow, edge: Edge) -> tuple[set[str], set[str]]:
    """The addresses of the resources at both ends."""
    boxes = {node.id: {each.address for each in node.resources} for node in drawn.nodes}
    return boxes[edge.start], boxes[edge.end]


def declared_arrows(resources: list[Resource]) -> Iterator[tuple[Resource, Resource]]:
    """What the declaration connects, without the functions' permissions."""
    for each in resources:
        if isinstance(each, Route):
            yield each.api, each.function
        elif isinstance(each, EventSourceMapping):
            yield each.queue, each.function
        elif isinstance(each, Queue) and each.dead_letter:
            yield each, each.dead_letter
        elif isinstance(each, TopicRule):
            yield each, each.queue
            yield each, each.failures
        elif isinstance(each, Alarm):
            yield each, each.topic
        elif isinstance(each, Subscription):
            yield each.topic, each


ENTRANCES = ("topic-rule", "rest-api")
READING = {"dynamodb:Query", "dynamodb:Scan"}


def used(function: Function) -> dict[Resource, set[str]]:
    """The resources with boxes that a function names in its environment, with what it may do there."""
    named = [value.resource for value in function.environment.values() if not isinstance(value, str)]
    found = [each for each in named if isinstance(each, Resource) and place_of(each)]
    return {each: {one for may in function.role.may if each in may.on for one in may.actions} for each in found}


def test_every_arrow_follows_from_the_declaration_and_nothing_declared_is_missing(resources: list[Resource]) -> None:
    drawn = flow(resources)
    expected = {(start.address, end.address) for start, end in declared_arrows(resources)}
    for function in (each for each in resources if isinstance(each, Function)):
        for other, actions in used(function).items():
            assert actions, f"{function.address} names {other.address} and may do nothing with it"
            reads = {each for each in actions if each in READING}
            if reads:
                expected.add((other.address, function.address))
            if actions - reads:
                expected.add((function.address, other.address))
    inner = [edge for edge in drawn.edges if edge.start != "devices"]
    shown = {(start, end) for edge in inner for start in ends(drawn, edge)[0] for end in ends(drawn, edge)[1]}
    assert shown == expected
    entered = [ends(drawn, edge)[1] for edge in drawn.edges if edge.start == "devices"]
    assert entered == [{each.address} for kind in ENTRANCES for each in resources if each.kind == kind]


def in_the_account() -> set[tuple[str, str]]:
    """Which resource leads to which, by their names, as AWS shows it."""
    gateway, functions, sqs = client("apigateway"), client("lambda"), client("sqs")
    found = set[tuple[str, str]]()
    for api in pages("apigateway", "get_rest_apis", "items"):
        for resource in pages("apigateway", "get_resources", "items", restApiId=api["id"], embed=["methods"]):
            for method in resource.get("resourceMethods", {}):
                called = gateway.get_integration(restApiId=api["id"], resourceId=resource["id"], httpMethod=method)
                found.add((api["name"], re.findall(r"function:([\w-]+)", called["uri"])[0]))
    for each in pages("lambda", "list_event_source_mappings", "EventSourceMappings"):
        found.add((last_part(each["EventSourceArn"]), last_part(each["FunctionArn"])))
    for url in sqs.list_queues()["QueueUrls"]:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        if policy := attributes.get("RedrivePolicy"):
            found.add((last_part(url), last_part(json.loads(policy)["deadLetterTargetArn"])))
    for each in pages("lambda", "list_functions", "Functions"):
        named = functions.get_function(FunctionName=each["FunctionName"])["Configuration"]["Environment"]["Variables"]
        found |= used_by(each["FunctionName"], last_part(each["Role"]), {last_part(value) for value in named.values()})
    for alarm in client("cloudwatch").describe_alarms()["MetricAlarms"]:
        found |= {(alarm["AlarmName"], last_part(topic)) for topic in alarm["AlarmActions"]}
    for each in client("sns").list_subscriptions()["Subscriptions"]:
        found.add((last_part(each["TopicArn"]), each["Endpoint"]))
    return found


def used_by(function: str, role: str, named: set[str]) -> set[tuple[str, str]]:
    found = set[tuple[str, str]]()
    document = client("iam").get_role_policy(RoleName=role, PolicyName="iotpipe")["PolicyDocument"]
    for statement in document["Statement"]:
        actions, on = (
            each if isinstance(each, list) else [each] for each in (statement["Action"], statement["Resource"])
        )
        stores = [each for each in on if ":ssm:" not in each and last_part(each) in named]
        for other in map(last_part, stores):
            found.add((other, function) if READING.issuperset(actions) else (function, other))
    return found


def last_part(address: str) -> str:
    """The name at the end of an ARN or a URL."""
    return re.split("[:/]", address)[-1]


@pytest.mark.parametrize("variant", ["default", "no logs"])
def test_what_is_drawn_is_what_the_account_has(world: World, declared: Declare, variant: str) -> None:
    wanted = declared(VARIANTS[variant])
    world.bring_up(wanted)
    names = {each.address: getattr(each, "endpoint", each.name) for each in wanted.resources}
    drawn = flow(wanted.resources)
    shown = set[tuple[str, str]]()
    for starts, targets in (ends(drawn, edge) for edge in drawn.edges):
        shown |= {(names[start], names[end]) for start in starts for end in targets}
    assert shown == in_the_account()


def test_every_permission_on_what_is_drawn_is_an_arrow_or_explained(resources: list[Resource]) -> None:
    drawn = flow(resources)
    shown = [(start | end) for start, end in (ends(drawn, edge) for edge in drawn.edges)]
    feeds = [each for each in resources if isinstance(each, EventSourceMapping)]
    for function in (each for each in resources if isinstance(each, Function)):
        for may in function.role.may:
            for other in (each for each in may.on if isinstance(each, Resource) and place_of(each)):
                unknown = set(may.actions) - ACTIONS.keys() - set(CONSUME)
                assert not unknown, f"iotpipe/pipeline/flow.py does not know what {unknown} do with {other.address}"
                fed = any(each.queue is other and each.function is function for each in feeds)
                explained = fed or other is function.dead_letter
                assert explained or {function.address, other.address} in shown, may.sid


def test_the_table_of_places_knows_exactly_the_kinds_of_the_pipeline() -> None:
    kinds = {kind for kind, made in Resource.kinds.items() if made.__module__.startswith("iotpipe.")}
    assert PLACES.keys() == kinds
    assert all(each.reason for each in PLACES.values() if isinstance(each, NoBox))


def test_every_declared_resource_is_drawn_or_left_out_for_a_reason(resources: list[Resource]) -> None:
    drawn = flow(resources)
    shown = [each for node in drawn.nodes for each in node.resources]
    left_out = [each for each in resources if isinstance(PLACES[each.kind], NoBox)]
    assert sorted(each.address for each in (*shown, *left_out)) == sorted(each.address for each in resources)


def test_no_two_boxes_have_one_place_and_no_place_stays_empty(declared: Declare) -> None:
    places = [place for kind in PLACES.values() if isinstance(kind, Boxes) for place in kind.places.values()]
    assert len({DEVICES, *places}) == 1 + len(places)
    assert [row for _, row in places].count(DEVICES[1]) == 0, "the heading stands there"
    drawn = flow(declared(VARIANTS["every option"]).resources)
    assert {(node.column, node.row) for node in drawn.nodes} == {DEVICES, *places}


def test_a_row_of_the_places_without_a_box_is_left_out(declared: Declare) -> None:
    drawn = flow(declared(VARIANTS["default"]).resources)
    assert {node.row for node in drawn.nodes} == set(range(5))
    assert next(node.name for node in drawn.nodes if node.row == 1) == "iot-api-dev"


def test_a_resource_that_the_table_does_not_know_is_an_error(declared: Declare) -> None:
    queue = next(each for each in declared().resources if isinstance(each, Queue))
    with pytest.raises(LookupError, match="queue/other has no place"):
        flow([replace(queue, name="other")])


def test_labels_and_notes_say_what_the_settings_say(declared: Declare) -> None:
    settings = VARIANTS["every option"] | {"queue": {"max_receives": 1, "batch_size": 7, "retention": 5400}}
    drawn = flow(declared(settings).resources)
    notes = {node.name: node.note for node in drawn.nodes}
    assert notes["Devices and clients"] == "API key or certificate"
    assert notes["iot-api-dev"] == "API Gateway, web ACL"
    assert notes["iot-ingestion-queue-dev"] == "SQS, keeps 90 minutes"
    assert notes["data-query-dev"] == "Lambda, 256 MB, 30 s"
    assert "2 addresses" in notes
    labels = {(edge.start, edge.end): (edge.label, edge.kind) for edge in drawn.edges}
    assert labels["queue/iot-ingestion-queue-dev", "queue/iot-dlq-dev"] == ("after 1 receive", FAILS)
    assert labels["queue/iot-ingestion-queue-dev", "function/data-processor-dev"][0] == "batches of 7"
    assert labels["table/processed-data-dev", "function/data-query-dev"] == ("reads", READS)


def test_what_is_off_is_not_told(declared: Declare) -> None:
    names = {node.name: node.note for node in flow(declared(VARIANTS["default"]).resources).nodes}
    assert (names["Devices and clients"], names["iot-api-dev"]) == ("signed requests", "API Gateway")
    assert not any("address" in name for name in names)
    stopped = flow(declared(VARIANTS["stopped"]).resources)
    assert [edge.end for edge in stopped.edges if edge.label == "stopped"] == ["function/data-processor-dev"]
    alone = flow(declared(VARIANTS["no logs"]).resources)
    assert "ops@example.com" in {node.name for node in alone.nodes}
