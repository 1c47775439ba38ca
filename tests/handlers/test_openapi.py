"""docs/openapi.yaml describes what the code does."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
import yaml

from iotpipe.handlers import buckets, devices, identifiers, parsing, query_parameters, readings, times, web
from iotpipe.handlers.settings import Settings
from iotpipe.names import HANDLERS
from iotpipe.operations import outputs
from tests.support.handlers_world import Calls, World, failure, reading

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Resolve a reference."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    whole = schema | {"components": DOCUMENT["components"]}
    return [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(value)]


def test_the_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_its_routes_are_those_that_the_handlers_serve() -> None:
    described = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {route for handler in HANDLERS for route in import_module(f"iotpipe.handlers.{handler}").ROUTES}


def test_the_query_s_parameters_are_those_it_knows() -> None:
    described = {
        one["name"]: resolved(one["schema"])
        for one in map(resolved, DOCUMENT["paths"]["/query"]["get"]["parameters"])
        if one["in"] == "query"
    }
    assert tuple(described) == query_parameters.PARAMETERS
    for name, words in query_parameters.CHOICES.items():
        assert tuple(described[name]["enum"]) == words
        assert described[name]["default"] == words[0]
    for name, most in query_parameters.REPEATABLE.items():
        assert described[name]["maxItems"] == most
    assert described["metric"]["items"]["maxLength"] == readings.MAX_NAME_LENGTH
    assert described["every"]["pattern"] == f"^{query_parameters.EVERY}$"
    assert described["offset"]["pattern"] == f"^{query_parameters.OFFSET}$"
    limit = described["limit"]
    assert (limit["minimum"], limit["maximum"]) == (1, query_parameters.MAX_BUCKETS)
    operation = DOCUMENT["paths"]["/query"]["get"]
    (words,) = (one["description"] for one in operation["parameters"] if one.get("name") == "limit")
    assert words == (
        f"Of rows at most {query_parameters.MAX_LIMIT:,}, usually {query_parameters.DEFAULT_LIMIT}. With `every`, "
        f"of buckets at most {query_parameters.MAX_BUCKETS:,}, usually {query_parameters.DEFAULT_BUCKETS:,}."
    )
    assert f"after {buckets.MAX_ROWS:,} rows" in operation["description"]


def test_the_list_of_devices_has_the_parameters_it_knows() -> None:
    described = {
        one["name"]: one["schema"] for one in DOCUMENT["paths"]["/devices"]["get"]["parameters"] if "in" in one
    }
    assert tuple(described) == devices.PARAMETERS
    limit = described["limit"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, devices.MAX_LIMIT, devices.DEFAULT_LIMIT)


def test_its_limits_are_those_of_the_code() -> None:
    assert SCHEMAS["Identifier"]["pattern"] == f"^{identifiers.PATTERN}$"
    assert SCHEMAS["Readings"]["maxItems"] == Settings().max_readings
    metrics = SCHEMAS["Metrics"]
    assert metrics["maxProperties"] == readings.MAX_METRICS
    assert metrics["propertyNames"]["maxLength"] == readings.MAX_NAME_LENGTH
    assert tuple(metrics["properties"]) == readings.MAIN_METRICS
    assert f"{readings.MAX_BYTES:,} bytes" in metrics["description"]
    assert SCHEMAS["Refusal"]["properties"]["error"]["properties"]["details"]["maxItems"] == web.MAX_DETAILS
    body = DOCUMENT["components"]["requestBodies"]["readings"]["description"]
    assert f"{parsing.MAX_CHARACTERS:,}\ncharacters and {parsing.MAX_VALUES:,} values" in body
    encoding = DOCUMENT["components"]["parameters"]["encoding"]
    assert f"{web.MAX_BODY_BYTES:,} bytes" in encoding["description"]
    time = SCHEMAS["Reading"]["properties"]["timestamp"]
    assert times.not_milliseconds(Decimal(time["minimum"])) is times.not_milliseconds(Decimal(time["maximum"])) is None
    assert times.not_milliseconds(Decimal(time["minimum"] - 1)) and times.not_milliseconds(Decimal(time["maximum"] + 1))
    assert f"of {parsing.MAX_DEPTH} levels" in " ".join(metrics["description"].split())
    window = SCHEMAS["Reading"]["properties"]["timestamp"]["description"]
    assert f"{Settings().past_days} days ago to {Settings().future_minutes} minutes ahead" in window


OF_THE_GATEWAY = {"403", "429", "500", "502", "504"}


@pytest.mark.parametrize(
    ("route", "own"),
    [
        ("/ingest", {"200", "207", "400", "401", "413", "415", "503"}),
        ("/process", {"200", "400", "413", "415", "503"}),
        ("/query", {"200", "400", "503"}),
        ("/devices", {"200", "400", "503"}),
    ],
)
def test_every_status_that_a_caller_may_meet_is_described(route: str, own: set[str]) -> None:
    (operation,) = DOCUMENT["paths"][route].values()
    assert set(operation["responses"]) == own | OF_THE_GATEWAY
    for status in OF_THE_GATEWAY | (own & {"413", "415"}):
        schema = resolved(operation["responses"][status])["content"]["application/json"]["schema"]
        for said in ({"message": "Too Many Requests"}, {"Message": "User is not authorized"}, {"message": None}):
            assert problems(schema, said) == []


def test_its_servers_are_where_the_api_answers_on_aws_and_on_this_machine() -> None:
    described = []
    for server in DOCUMENT["servers"]:
        values = {name: variable["default"] for name, variable in server["variables"].items()}
        described.append(server["url"].format(**values))
    assert described == [
        outputs._api("abcdefghij", "prod", "eu-central-1", ""),
        outputs._api("abcdefghij", "local", "us-east-1", "http://127.0.0.1:4566"),
    ]


def refuse(operation: str) -> Callable[[World, Calls], None]:
    return lambda _, calls: calls.answer(operation, lambda _: failure("AccessDeniedException"))


def lock(world: World, _: Calls) -> None:
    world.configure(require_api_key=True)
    world.set_key("right")


def lock_and_lose_the_key(world: World, _: Calls) -> None:
    world.configure(require_api_key=True)


def nothing(_: World, __: Calls) -> None:
    pass


def in_part(world: World, body: Any) -> dict[str, Any]:
    return world.ingest(body, queryStringParameters={"partial": "true"})


READING = reading(reading_id="r", sensor_data={"temperature": 1.5, "humidity": 2, "pressure": 3, "list": [None]})


def store(world: World, _: Calls) -> None:
    world.ingest([READING, reading(1, sensor_data={})])
    world.deliver()


@pytest.mark.parametrize(
    ("prepare", "send", "route", "status"),
    [
        (nothing, lambda world: world.ingest(READING), "/ingest", 200),
        (nothing, lambda world: world.ingest([READING, READING]), "/ingest", 200),
        (nothing, lambda world: world.ingest([READING, 5, {}]), "/ingest", 400),
        (nothing, lambda world: world.ingest(READING | {f"f{n}": 1 for n in range(2000)}), "/ingest", 400),
        (lock, lambda world: world.ingest(READING), "/ingest", 401),
        (lock_and_lose_the_key, lambda world: world.ingest(READING), "/ingest", 503),
        (refuse("BatchWriteItem"), lambda world: world.ingest(READING), "/ingest", 503),
        (refuse("SendMessageBatch"), lambda world: world.ingest([READING, READING]), "/ingest", 503),
        (nothing, lambda world: in_part(world, [READING, READING, 5]), "/ingest", 207),
        (nothing, lambda world: in_part(world, [5]), "/ingest", 207),
        (refuse("SendMessageBatch"), lambda world: in_part(world, [READING, 5]), "/ingest", 503),
        (nothing, lambda world: in_part(world, "["), "/ingest", 400),
        (nothing, lambda world: world.ingest(f'[{{"a": NaN}}, {"[" * 20 + "]" * 20}]'), "/ingest", 400),
        (nothing, lambda world: world.process(READING), "/process", 200),
        (nothing, lambda world: world.process([READING, READING]), "/process", 200),
        (nothing, lambda world: world.process(None), "/process", 400),
        (refuse("BatchWriteItem"), lambda world: world.process(READING), "/process", 503),
        (nothing, lambda world: world.query(device_id="d"), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001"), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001", limit=1), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001", table="raw"), "/query", 200),
        (store, lambda world: world.query(device_id=["sensor-001", "b"], metric=["list", "n"]), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001", table="raw", metric="list"), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001", from_="0", every="1d"), "/query", 200),
        (store, lambda world: world.query(device_id="sensor-001", from_="0", every="1d", limit=1), "/query", 200),
        (nothing, lambda world: world.query(device_id="sensor-001", from_="0", every="1d"), "/query", 200),
        (nothing, lambda world: world.query(device_id="sensor-001", every="1d"), "/query", 400),
        (nothing, lambda world: world.query(), "/query", 400),
        (refuse("Query"), lambda world: world.query(device_id="d"), "/query", 503),
        (nothing, lambda world: world.get("/devices", {}), "/devices", 200),
        (store, lambda world: world.get("/devices", {}), "/devices", 200),
        (nothing, lambda world: world.get("/devices", {"limit": 0}), "/devices", 400),
        (refuse("Scan"), lambda world: world.get("/devices", {}), "/devices", 503),
    ],
)
def test_every_answer_is_one_that_is_described(
    world: World, calls: Calls, prepare: Any, send: Any, route: str, status: int
) -> None:
    prepare(world, calls)
    answer = send(world)
    assert answer["statusCode"] == status
    (operation,) = DOCUMENT["paths"][route].values()
    described = resolved(operation["responses"][str(status)])
    body = json.loads(answer["body"])
    assert problems(described["content"]["application/json"]["schema"], body) == []
    for name, header in described["headers"].items():
        assert problems(resolved(header)["schema"], answer["headers"][name]) == []


BODIES = [
    READING,
    [READING],
    {"readings": [READING]},
    {"device_id": "d", "sensor_data": {}},
    {"device_id": "d", "sensor_data": {"n" * 255: {"deep": [1]}}},
    {},
    [],
    None,
    "text",
    {"readings": []},
    {"readings": [READING], "more": 1},
    [reading(index) for index in range(501)],
    READING | {"colour": "red"},
    READING | {"device_id": "a b"},
    READING | {"device_id": 5},
    READING | {"timestamp": None},
    READING | {"timestamp": 1_795_348_800},
    READING | {"timestamp": 0},
    READING | {"timestamp": 1_795_348_800_000_000},
    {"device_id": "d", "sensor_data": {}, "reading_id": "r"},
    READING | {"reading_id": ""},
    READING | {"sensor_data": []},
    READING | {"sensor_data": {"temperature": "25.5"}},
    READING | {"sensor_data": {"humidity": True}},
    READING | {"sensor_data": {"pressure": None}},
    READING | {"sensor_data": {"": 1}},
    READING | {"sensor_data": {"n" * 256: 1}},
    READING | {"sensor_data": {f"m{index}": 1 for index in range(101)}},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
def test_a_body_is_accepted_if_and_only_if_the_description_allows_it(world: World, body: Any) -> None:
    schema = DOCUMENT["components"]["requestBodies"]["readings"]["content"]["application/json"]["schema"]
    assert (world.ingest(json.dumps(body))["statusCode"] == 200) == (problems(schema, body) == [])


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
def test_a_body_for_process_too(world: World, body: Any) -> None:
    schema = DOCUMENT["components"]["requestBodies"]["timedReadings"]["content"]["application/json"]["schema"]
    assert (world.process(json.dumps(body))["statusCode"] == 200) == (problems(schema, body) == [])


@pytest.mark.parametrize(
    "text",
    ["0", "1", "1795348800", "1795348800000", "99999999999", "100000000000", "2026-11-22", "2026-11-22T12:00:00Z"],
)
def test_a_time_in_a_query_is_taken_if_and_only_if_the_description_allows_it(world: World, text: str) -> None:
    """Only patterns are compared: JSON Schema leaves it open whether formats are checked."""
    number, *_ = SCHEMAS["Moment"]["anyOf"]
    described = not text.isdigit() or problems(number, text) == []
    assert (world.query(device_id="d", to=text)["statusCode"] == 200) == described


@pytest.mark.parametrize("name", ["readings", "timedReadings"])
def test_its_examples_are_accepted(world: World, name: str) -> None:
    body = DOCUMENT["components"]["requestBodies"][name]["content"]["application/json"]
    for send in (world.ingest, world.process):
        assert send(body["examples"]["reading"]["value"])["statusCode"] == 200


def test_the_ways_to_ask_for_a_part_are_those_that_are_known(world: World) -> None:
    (partial,) = (one for one in DOCUMENT["paths"]["/ingest"]["post"]["parameters"] if one.get("name") == "partial")
    for value in partial["schema"]["enum"]:
        assert world.ingest(READING, queryStringParameters={"partial": value})["statusCode"] in (200, 207)
    assert partial["schema"]["default"] == "false"
