"""The data flow of the pipeline: what goes from where to where, derived from the declared resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from iotpipe.pipeline.places import DEVICES, PLACES, Boxes, place_of
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import ArnOf, NameOf, UrlOf
from iotpipe.provision.resources.role import Allow
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.subscription import Subscription
from iotpipe.provision.resources.topic_rule import TopicRule

MOVES, READS, FAILS = "moves", "reads", "fails"
"""What an arrow is: data that goes on, data that is looked up, or messages that could not be processed."""

ALERTS = "alerts"
"""The label of what a function publishes."""

ACTIONS = {
    "dynamodb:BatchWriteItem": (MOVES, "stores"),
    "dynamodb:PutItem": (MOVES, "stores"),
    "sqs:SendMessage": (MOVES, "queues"),
    "sns:Publish": (MOVES, ALERTS),
    "dynamodb:Query": (READS, "reads"),
    "dynamodb:Scan": (READS, "reads"),
}
"""What an action that a function is allowed does with data, and its label."""

_CALLERS = "devices"
_ENTRANCES = {"rest-api": "requests", "topic-rule": "messages"}
"""What comes from outside, by the kind of resource that takes it."""


@dataclass(frozen=True)
class Node:
    """A box: one resource, several resources of one kind, or whoever calls the API."""

    id: str
    name: str
    note: str
    column: int
    row: int
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class Edge:
    """An arrow between two boxes, by their ids; `kind` is MOVES, READS or FAILS."""

    start: str
    end: str
    label: str
    kind: str = MOVES


@dataclass(frozen=True)
class Flow:
    """The boxes in the order of their rows and columns, and the arrows in the order of the boxes they join."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def flow(resources: Sequence[Resource]) -> Flow:
    """The data flow of declared resources. Raises LookupError if one has no place in the table of places."""
    nodes = _without_gaps(sorted(_nodes(resources), key=lambda node: (node.row, node.column)))
    box = {resource: node.id for node in nodes for resource in node.resources}
    edges = (Edge(box[start], box[end], label, kind) for start, end, label, kind in _arrows(resources))
    entrances = (Edge(_CALLERS, box[each], _ENTRANCES[each.kind]) for each in resources if each.kind in _ENTRANCES)
    order = {node.id: number for number, node in enumerate(nodes)}
    known = dict.fromkeys((*entrances, *edges))
    return Flow(tuple(nodes), tuple(sorted(known, key=lambda edge: (order[edge.start], order[edge.end]))))


def _without_gaps(nodes: Sequence[Node]) -> list[Node]:
    """The boxes with their rows numbered anew: a row of the places may have no box."""
    rows = {row: number for number, row in enumerate(sorted({node.row for node in nodes}))}
    return [replace(node, row=rows[node.row]) for node in nodes]


def _nodes(resources: Sequence[Resource]) -> Iterator[Node]:
    yield _devices(resources)
    together: dict[str, list[Resource]] = {}
    for each in resources:
        place, kind = place_of(each), PLACES[each.kind]
        if place is None or not isinstance(kind, Boxes):
            continue
        if kind.together:
            together.setdefault(each.kind, []).append(each)
        else:
            yield Node(each.address, each.name, kind.note(each) + _guard(each, resources), *place, (each,))
    for members in together.values():
        yield _group(members)


def _devices(resources: Sequence[Resource]) -> Node:
    """Whoever calls the API or publishes over MQTT. The ingestion function alone knows whether it asks for the key."""
    asked = any(each.environment.get("REQUIRE_API_KEY") == "true" for each in resources if isinstance(each, Function))
    note = "signed requests, API key" if asked else "signed requests"
    if any(isinstance(each, TopicRule) for each in resources):
        note = "API key or certificate" if asked else "signature or certificate"
    return Node(_CALLERS, "Devices and clients", note, *DEVICES)


def _guard(resource: Resource, resources: Iterable[Resource]) -> str:
    stages = (each for each in resources if isinstance(each, Stage) and each.api is resource)
    return ", web ACL" if any(each.web_acl for each in stages) else ""


def _group(members: Sequence[Resource]) -> Node:
    """One box for all resources of a kind. A single one has its own name."""
    kind = PLACES[members[0].kind]
    place = place_of(members[0])
    assert isinstance(kind, Boxes) and place is not None
    only = members[0].endpoint if isinstance(members[0], Subscription) else members[0].name
    name = only if len(members) == 1 else f"{len(members)} {kind.together}"
    return Node(kind.together, name, kind.note(members[0]), *place, tuple(members))


_Arrow = tuple[Resource, Resource, str, str]


def _arrows(resources: Sequence[Resource]) -> Iterator[_Arrow]:
    yield from _requests(resources)
    for each in resources:
        if isinstance(each, EventSourceMapping):
            yield each.queue, each.function, f"batches of {each.batch_size}" if each.enabled else "stopped", MOVES
        elif isinstance(each, Queue) and each.dead_letter:
            times = "1 receive" if each.max_receives == 1 else f"{each.max_receives} receives"
            yield each, each.dead_letter, f"after {times}", FAILS
        elif isinstance(each, Function):
            yield from _of_function(each)
        elif isinstance(each, TopicRule):
            yield each, each.queue, "queues", MOVES
            yield each, each.failures, "not queued", FAILS
        elif isinstance(each, Alarm):
            yield each, each.topic, "alarms", MOVES
        elif isinstance(each, Subscription):
            yield each.topic, each, "mails", MOVES


def _requests(resources: Sequence[Resource]) -> Iterator[_Arrow]:
    """One arrow for all routes from an API to a function."""
    labels: dict[tuple[Resource, Resource], list[str]] = {}
    for each in resources:
        if isinstance(each, Route):
            labels.setdefault((each.api, each.function), []).append(f"{each.method} {each.path}")
    for (api, function), routes in labels.items():
        yield api, function, ", ".join(routes), MOVES


def _of_function(function: Function) -> Iterator[_Arrow]:
    """What a function does with the resources that its environment names, as far as its role allows it.

    A permission alone makes no arrow: Lambda itself uses some of them, as that for the function's dead-letter queue,
    to which it sends failed asynchronous calls.
    """
    for value in function.environment.values():
        if not isinstance(value, NameOf | ArnOf | UrlOf) or not isinstance(value.resource, Resource):
            continue
        named = value.resource
        if named is function.dead_letter:
            yield function, named, "refuses", FAILS
            continue
        for kind, label in (ACTIONS[each] for each in _allowed(function.role.may, named) if each in ACTIONS):
            yield (named, function, label, kind) if kind == READS else (function, named, label, kind)


def _allowed(may: Iterable[Allow], on: Resource) -> Iterator[str]:
    for statement in may:
        if any(each is on for each in statement.on):
            yield from statement.actions
