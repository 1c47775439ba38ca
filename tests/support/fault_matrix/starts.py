"""Where the commands of the fault matrix start: nothing, a pipeline of which much changes, and one that goes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from iotpipe.packaging.archive import archive
from iotpipe.provision.resource import Resource
from tests.support.account_inventory import client, inventory
from tests.support.account_snapshot import Photograph, photograph
from tests.support.fault_matrix.commands import Command, Subject
from tests.support.pipeline_world import Declared, declare, with_a_changed_route

BEFORE = {
    "tags": {"team": "sensors", "cost": "12"},
    "tables": {"deletion_protection": True},
    "devices": {"enabled": True},
    "alerts": {"emails": ["ops@example.com", "old@example.com"]},
}
AFTER = {
    "tags": {"team": "readings", "site": "north"},
    "tables": {"point_in_time_recovery": False},
    "queue": {"visibility_timeout": 400, "dead_letter_retention": 1_000_000, "batch_size": 5, "max_receives": 4},
    "devices": {"enabled": True, "batch_size": 5},
    "functions": {
        "runtime": "python3.14",
        "log_retention": 60,
        "ingestion": {"memory": 512},
        "processor": {"memory": 1024},
        "query": {"memory": 384, "reserved_concurrency": None},
    },
    "api": {"throttle": {"rate": 500}, "tracing": False},
    "alerts": {"emails": ["ops@example.com", "new@example.com"], "errors": 20, "table_throttles": 20},
    "processing": {"batch_size": 50},
}
PLAIN = {"tags": {"team": "sensors"}, "devices": {"enabled": True}, "alerts": {"emails": ["ops@example.com"]}}
GIVEN_UP = "alarm/iot-queue-age-dev"


@cache
def commands(directory: Path) -> dict[str, Command]:
    """The three, each from where it starts; made once per process."""
    plain, before = declare(directory, PLAIN), declare(directory, BEFORE)
    code = archive({"iotpipe/handlers/query.py": b"def lambda_handler(event, context): ..."})
    after = with_a_changed_route(declare(directory, AFTER, query=code)).without(GIVEN_UP)
    subject = Subject(directory, parallel=1)
    empty = replace(subject.stand(), account=_empty())
    subject.bring_up(plain)
    there = subject.stand()
    up = Command("up", empty, plain, _by_address(plain), directory)
    down = Command("down", there, plain, up.resources, directory)
    up.subject().bring_up(before)
    _tamper(subject)
    both = _by_address(before) | _by_address(after)
    change = Command("change", subject.stand(), after, both, directory)
    for each in (up, change, down):
        each.get_to_know()
    return {each.name: each for each in (up, change, down)}


def _empty() -> Photograph:
    inventory()  # asks every service, so that each is there to be photographed
    return photograph()


def _by_address(declared: Declared) -> dict[str, Resource]:
    return {each.address: each for each in declared.resources}


def _tamper(subject: Subject) -> None:
    """Somebody changes what no setting changes, so that the next `up` has to repair it."""
    topic, role = "arn:aws:sns:us-east-1:123456789012:iot-alerts-dev", "iot-query-lambda-role-dev"
    rows = subject.rows()
    api = {"restApiId": rows["rest-api/iot-api-dev"].properties["RestApiId"]}
    ingest = api | {"resourceId": rows["route/POST /ingest"].properties["ResourceId"], "httpMethod": "POST"}
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="mine")
    client("apigateway").update_rest_api(
        **api, patchOperations=[{"op": "replace", "path": "/description", "value": "mine"}]
    )
    client("apigateway").delete_method(**ingest)
    client("apigateway").put_method(**ingest, authorizationType="NONE")
    everyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    anything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=_policy(everyone))
    client("iam").put_role_policy(RoleName=role, PolicyName="mine", PolicyDocument=_policy(anything))


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
