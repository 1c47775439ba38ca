"""The three commands of the fault matrix, each from its own start: what they call undisturbed, and what they leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import READS, FakeClock
from matrix_account import Photograph, photograph, put_back
from matrix_faults import Call, Wire, attributed
from pipeline_inventory import Things, client, inventory_and
from pipeline_world import Declared, World, declare, with_a_changed_route

from iotpipe.packaging.archive import archive
from iotpipe.provision import ledger, plan
from iotpipe.provision.resource import Properties, Resource

BEFORE = {
    "tags": {"team": "sensors", "cost": "12"},
    "tables": {"deletion_protection": True},
    "alerts": {"emails": ["ops@example.com", "old@example.com"]},
}
AFTER = {
    "tags": {"team": "readings", "site": "north"},
    "tables": {"point_in_time_recovery": False},
    "queue": {"visibility_timeout": 400, "dead_letter_retention": 1_000_000, "batch_size": 5, "max_receives": 4},
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
PLAIN = {"tags": {"team": "sensors"}, "alerts": {"emails": ["ops@example.com"]}}
GIVEN_UP = "alarm/iot-queue-age-dev"

Rows = dict[str, Any]
Outcome = tuple[Things, Rows]


@dataclass(frozen=True)
class Stand:
    """What there is at one moment: the account, the state file, and the time."""

    account: Photograph
    state: bytes | None
    time: float


@dataclass
class Subject(World):
    """An environment whose calls go over a wire that may fail."""

    wire: Wire = field(default_factory=Wire)

    def stand(self) -> Stand:
        state = self.path.read_bytes() if self.path.exists() else None
        return Stand(photograph(), state, self.clock.time)

    def _before(self, model: Any, params: dict[str, Any], context: dict[str, Any], **call: Any) -> Any:
        if self.death:
            self.death.before(model.name, context)
        said = self.wire.before_call(model.service_model.service_name, model.name)
        if said is None:
            return None
        answer = type("Answer", (), {"status_code": said.status, "headers": {}, "content": b""})()
        error = {"Code": said.code, "Message": said.message}
        return answer, {"Error": error, "ResponseMetadata": {"HTTPStatusCode": said.status}}

    def _sending(self, **call: Any) -> None:
        self.wire.before_send(call["request"], call["event_name"])

    def _after(self, model: Any, context: dict[str, Any], **call: Any) -> None:
        if self.death:
            self.death.after(context)
        self.wire.answered(model.name)


@contextmanager
def in_sequence() -> Iterator[None]:
    """Also the reads of a plan come one after the other: each run makes the same calls in the same order."""
    with patch.object(plan, "READERS", 1):
        yield


@dataclass(frozen=True)
class Command:
    """`up` or `down` from where it starts; `declared` is what an `up` brings about in this environment."""

    name: str
    start: Stand
    declared: Declared
    resources: dict[str, Resource]
    directory: Path

    @property
    def verb(self) -> str:
        return "down" if self.name == "down" else "up"

    def subject(self, stand: Stand | None = None, parallel: int = 1) -> Subject:
        """The environment as it stands there, or where the command starts."""
        stand = stand or self.start
        put_back(stand.account)
        subject = Subject(self.directory, clock=FakeClock(stand.time), parallel=parallel)
        subject.path.unlink(missing_ok=True)
        if stand.state is not None:
            subject.path.write_bytes(stand.state)
        return subject

    def act(self, subject: Subject) -> None:
        with attributed():
            if self.verb == "down":
                subject.down(delete_data=True)
            else:
                subject.bring_up(self.declared)

    def get_to_know(self) -> None:
        """Find out all below. Each puts the account back, which must not happen while a verdict is being reached."""
        _ = self.rows, self.live, self.started, self.clean, self.reading

    @cached_property
    def rows(self) -> dict[str, ledger.Row]:
        """What the state file records at the start."""
        return self.subject().rows()

    @cached_property
    def live(self) -> dict[str, Properties | None]:
        """What AWS has at the start."""
        with in_sequence():
            return looked_at(self, self.subject())

    @cached_property
    def started(self) -> Outcome:
        return outcome(self.subject())

    @cached_property
    def clean(self) -> Clean:
        """The command as it goes when nobody disturbs it."""
        with in_sequence():
            return _clean(self)

    @cached_property
    def reading(self) -> frozenset[Call]:
        """The calls that are made before anything is changed."""
        if self.verb == "down":
            return frozenset()
        with in_sequence(), attributed():
            subject = self.subject()
            subject.planned(self.declared)
            return frozenset(subject.wire.calls)


@dataclass(frozen=True)
class Clean:
    """`stands` are all the moments at which the command may be killed that differ in what is there; the key of
    each is the last thing that happened before. `finishing` are the calls for what is deleted already."""

    calls: tuple[Call, ...]
    outcome: Outcome
    stands: dict[str, Stand]
    finishing: frozenset[Call]
    writes: int


def outcome(subject: Subject) -> Outcome:
    """All there is in AWS and in the state file, but for times and random ids."""
    found: Outcome = inventory_and({address: _timeless(row) for address, row in sorted(subject.rows().items())})
    return found


def _timeless(row: ledger.Row) -> Rows:
    return {each.name: getattr(row, each.name) for each in fields(row) if not each.name.endswith("_at")}


def looked_at(command: Command, subject: Subject) -> dict[str, Properties | None]:
    """What AWS has of everything that the state file records, as iotpipe reads it."""
    subject.planned(command.declared)
    assert subject.current
    return {address: subject.current.look(command.resources[address]) for address in subject.rows()}


def _clean(command: Command) -> Clean:
    subject = command.subject()
    stands: dict[tuple[int, bytes | None], tuple[str, Stand]] = {}
    photographs: dict[int, Photograph] = {}
    finishing: set[Call] = set()
    writes = 0

    def note(what: str) -> None:
        state = subject.path.read_bytes() if subject.path.exists() else None
        if (writes, state) not in stands:
            if writes not in photographs:
                photographs[writes] = photograph()
            stands[writes, state] = what, Stand(photographs[writes], state, subject.clock.time)

    def about() -> None:
        call = subject.wire.calls[-1]
        if any(event.address == call.address and event.phase == "done" for event in subject.events):
            finishing.add(call)
        note(f"before {call}")

    def answered(operation: str) -> None:
        nonlocal writes
        writes += not operation.startswith(READS)
        note(f"after {subject.wire.calls[-1]}")

    write = ledger.write_atomically

    def written(path: Path, text: str) -> None:
        write(path, text)
        call = subject.wire.calls[-1] if subject.wire.calls else "the start"
        note(f"after the state file was written that follows {call}")

    subject.wire = Wire(about=about, answered=answered)
    with patch.object(ledger, "write_atomically", written):
        command.act(subject)
    named = {f"{number}: {what}": stand for number, (what, stand) in enumerate(stands.values())}
    return Clean(tuple(subject.wire.calls), outcome(subject), named, frozenset(finishing), writes)


@cache
def commands(directory: Path) -> dict[str, Command]:
    """The three, each from where it starts; made once per process."""
    plain, before = declare(directory, PLAIN), declare(directory, BEFORE)
    code = archive({"iotpipe/handlers/query.py": b"def lambda_handler(event, context): ..."})
    after = with_a_changed_route(declare(directory, AFTER, query=code)).without(GIVEN_UP)
    subject = Subject(directory, parallel=1)
    empty = replace(subject.stand(), account=_empty())
    subject.bring_up(plain)
    _let_api_gateway_log(subject)
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
    inventory_and(None)  # asks every service, so that each is there to be photographed
    return photograph()


def _by_address(declared: Declared) -> dict[str, Resource]:
    return {each.address: each for each in declared.resources}


def _let_api_gateway_log(subject: Subject) -> None:
    api = subject.rows()["rest-api/iot-api-dev"].properties["RestApiId"]
    client("logs").create_log_group(logGroupName=f"API-Gateway-Execution-Logs_{api}/dev")


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
