"""A world in which AWS's recorded words take the place of moto's for one operation, and the scenes that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moto.core.base_backend import BackendDict

from iotpipe import policy
from iotpipe.checks import concurrency, permissions
from iotpipe.checks import existing_resources as doctor
from iotpipe.handlers import alerts, clock, messages, tables
from iotpipe.handlers import aws as handlers
from iotpipe.handlers.settings import Settings
from iotpipe.operations.dead_letters import peek
from iotpipe.operations.health import health
from iotpipe.operations.logs import LogReader
from iotpipe.operations.queue_client import QueueClient
from iotpipe.operations.redrive import purge, redrive
from iotpipe.provision import ledger, ownership, teardown
from iotpipe.provision.aws import Aws, connect
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.run import MANAGED_TAG, Run
from iotpipe.readings.deployment import queue_url
from tests.support.account_snapshot import Photograph, photograph, put_back
from tests.support.engine_world import World
from tests.support.manual_edits import client
from tests.support.manual_edits import queue_url as hand_url
from tests.support.recorded.recordings import Recording
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import Sample

_NAMED: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("apigateway", "GetRestApis"): ("items", ("id", "name", "tags", "rootResourceId")),
    ("apigateway", "GetResources"): ("items", ("id", "path")),
    ("apigateway", "GetStages"): ("item", ("stageName", "tags")),
    ("apigateway", "GetDeployments"): ("items", ("id", "description")),
    ("cloudwatch", "DescribeAlarms"): ("MetricAlarms", ("AlarmName",)),
    ("cloudwatch", "GetMetricData"): ("MetricDataResults", ("Id",)),
    ("lambda", "ListEventSourceMappings"): ("EventSourceMappings", ("UUID", "EventSourceArn", "FunctionArn")),
    ("lambda", "ListLayerVersions"): ("LayerVersions", ("Description", "Version", "LayerVersionArn")),
    ("logs", "DescribeLogGroups"): ("logGroups", ("logGroupName",)),
    ("resourcegroupstaggingapi", "GetResources"): ("ResourceTagMappingList", ("ResourceARN",)),
    ("sns", "ListSubscriptionsByTopic"): ("Subscriptions", ("Endpoint", "Protocol")),
    ("ssm", "DescribeParameters"): ("Parameters", ("Name",)),
}
"""Lists in which iotpipe looks for its own resource: the first recorded entry gets what that one is found by."""


@dataclass
class Replaying(World):
    """Its first call of the recording's operation is answered with the recording.

    An answer takes the place of moto's, which has done what it was asked; an error comes instead.
    """

    recording: Recording | None = None
    replayed: int = 0
    renewed: int = 0
    always: bool = False
    """Every call of the operation is answered so, not the first one alone."""

    def connect(self) -> Aws:
        """All tests share the clients: making them takes longer than using them."""
        _playing[:] = [self]
        if not _connected:
            aws = connect(None, "us-east-1", None)
            aws.session.events.register("provide-client-params.sqs.ReceiveMessage", _without_waiting)
            aws.session.events.register("before-call", lambda **call: _playing[0].before_call(**call))
            aws.session.events.register_first("after-call", lambda **call: _playing[0].after_call(**call))
            _connected.append(aws)
        return _connected[0]

    def before_call(self, model: Any, params: dict[str, Any], **call: Any) -> Any:
        self.calls.append(model.name)
        if not self._meant(model) or self.recording is None or not self.recording.code:
            return None
        self.replayed += 1
        http = type("Answer", (), {"status_code": self.recording.status, "headers": {}, "content": b""})()
        return http, self.recording.parsed()

    def after_call(self, model: Any, parsed: dict[str, Any], http_response: Any, **call: Any) -> None:
        if not self._meant(model) or self.recording is None or self.recording.code or http_response.status_code >= 300:
            return
        self.replayed += 1
        found = _as_ours(model, self.recording.parsed(), dict(parsed))
        parsed.clear()
        parsed.update(found)

    def _meant(self, model: Any) -> bool:
        wanted = self.recording
        return (
            wanted is not None
            and (self.always or self.replayed == 0)
            and (model.service_model.service_name, model.name) == (wanted.service, wanted.operation)
        )


def _without_waiting(params: dict[str, Any], **call: Any) -> dict[str, Any]:
    """moto overlooks no message, also where it is not told to wait for it."""
    return params | {"WaitTimeSeconds": 0}


_connected: list[Aws] = []
_playing: list[Replaying] = []


def _as_ours(model: Any, recorded: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    key = (model.service_model.service_name, model.name)
    if key in _NAMED:
        name, members = _NAMED[key]
        listed, ours = recorded.get(name) or [], real.get(name) or []
        if listed and ours:
            own = {each: ours[-1][each] for each in members if each in ours[-1]}
            recorded[name] = [listed[0] | own, *listed[1:]]
    if key == ("sqs", "SendMessageBatch"):
        # One message is sent, by its own id: the first recorded outcome is about that.
        name, first = next((name, recorded[name][0]) for name in ("Failed", "Successful") if recorded.get(name))
        recorded = {name: [first | {"Id": "0"}]}
    return recorded | {"ResponseMetadata": real.get("ResponseMetadata", {})}


PARTIAL = {
    "logs DescribeLogGroups answer 8": "a file that was shortened by hand",
    "sqs GetQueueAttributes answer 2": "asked for RedriveAllowPolicy alone",
    "sqs GetQueueAttributes answer 7": "asked for Policy alone",
}
"""Recordings that lack what AWS tells whoever asks as iotpipe does, and why."""


# Scenes

Scene = Callable[[Replaying, str], None]


@dataclass
class Stage:
    """A sample of a kind that was brought up in a world, kept as a photograph of the account and a state file."""

    target: Resource
    declared: Sequence[Resource]
    account: Photograph = field(default_factory=Photograph)
    state: bytes = b""


_stages: dict[str, Stage] = {}


def on_stage(kind: str, directory: Path) -> tuple[Replaying, Stage]:
    """A world in which the sample of the kind, and everything that it needs, is there."""
    world = Replaying(directory)
    if kind not in _stages:
        BackendDict.reset()
        world.path.unlink(missing_ok=True)
        target = SAMPLES[kind].make()
        stage = _stages[kind] = Stage(target, everything(target))
        world.up(stage.declared)
        stage.account, stage.state = photograph(), world.path.read_bytes()
    else:
        put_back(_stages[kind].account)
        world.path.write_bytes(_stages[kind].state)
    return world, _stages[kind]


def looked_at(world: Replaying, kind: str) -> None:
    """A plan with all that others added, what `status` and `doctor` say, and what `down` would look at."""
    stage = _stages[kind]
    steps = world.plan(stage.declared, foreign=True)
    assert steps.of(stage.target.address)
    _renew(world)
    run = world.run("status")
    observed = run.look(stage.target)
    if observed is not None and (world.recording is None or world.recording.id not in PARTIAL):
        has_the_shape_of(stage.target, run, observed)
    health(run, stage.declared)
    if stage.target.kind in ("alarm", "topic"):
        doctor.alarms(run, stage.declared)
        doctor.alerts(run, stage.declared)
    _renew(world)
    teardown.examine(world.run("down"), _rows(world), stage.declared, delete_data=True)


def asked_whose(world: Replaying, kind: str) -> None:
    """The live tags and identity, as `down` and a plan without the declaration ask for them."""
    stage, rows = _stages[kind], _rows(world)
    row, which = rows[stage.target.address], type(stage.target)
    run = world.run("down")
    tags = run.with_retries("read", row.address, lambda attempt: which.tags(run, row.recorded()))
    assert tags is None or all(isinstance(text, str) for pair in tags.items() for text in pair)
    if which.identity and tags is not None:
        _renew(world)
        assert isinstance(
            run.with_retries("read", row.address, lambda attempt: which.identify(run, row.recorded())), dict
        )
    _renew(world)
    run.clear_cache()
    run.with_retries("read", row.address, lambda attempt: ownership.of_row(run, rows, row))


def _renew(world: Replaying) -> None:
    """Let the recording be the answer once more."""
    world.renewed += world.replayed
    world.replayed = 0


def has_the_shape_of(resource: Resource, run: Run, observed: Mapping[str, Any]) -> None:
    """What was read has every property that is declared, each of its own type, and the assigned ones."""
    desired = resource.desired(run)
    # An alarm is compared as CloudWatch tells it: what it does not have differs.
    needed = set() if resource.kind == "alarm" else {*desired, *resource.assigned} - _UNTOLD
    missing = needed - observed.keys()
    assert not missing, f"{resource.address} was read without {missing}"
    for name, value in desired.items():
        there = observed.get(name)
        assert there is None or value is None or _alike(value, there), f"{name}: {there!r} instead of {value!r}"


_UNTOLD = frozenset(("KMSKeyArn", "KeyId", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "kmsKeyId", "webAclArn"))
"""AWS says nothing of a key where it encrypts with its own, nor of a web ACL where there is none."""


def _alike(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return numbers or isinstance(other, type(one)) or (isinstance(one, str | dict) and isinstance(other, str | dict))


def _rows(world: Replaying) -> dict[str, ledger.Row]:
    contents = ledger.read(world.path)
    return dict(contents.rows) if contents else {}


def made_from_nothing(world: Replaying, kind: str) -> None:
    BackendDict.reset()
    world.path.unlink()
    world.up(_stages[kind].declared)


def repaired(world: Replaying, kind: str) -> None:
    """Somebody has changed what is put back with this call: `up` does so."""
    assert world.recording
    _repaired(world, kind, world.recording.operation)


def reconfigured(world: Replaying, kind: str) -> None:
    """Somebody has changed a function's settings: `up` puts them back and waits until Lambda has taken them over."""
    _repaired(world, kind, "UpdateFunctionConfiguration")


def _repaired(world: Replaying, kind: str, operation: str) -> None:
    next(each for each in SAMPLES[kind].tamperings if operation in each.repairs).act()
    world.up(_stages[kind].declared)


def no_longer_declared(world: Replaying, kind: str) -> None:
    """It goes, and what it is part of stays."""
    stage = _stages[kind]
    world.up([each for each in stage.declared if each is not stage.target])


def without_its_boundary(world: Replaying, kind: str) -> None:
    _declared_otherwise(world, kind, boundary=None)


def without_its_reservation(world: Replaying, kind: str) -> None:
    _declared_otherwise(world, kind, reserved_concurrency=None)


def _declared_otherwise(world: Replaying, kind: str, **changes: Any) -> None:
    target: Any = _stages[kind].target
    world.up(everything(replace(target, **changes)))


def taken_out_of_its_profile(world: Replaying, kind: str) -> None:
    """Somebody has put the role into an instance profile: AWS deletes no role that is in one."""
    client("iam").create_instance_profile(InstanceProfileName="profile")
    client("iam").add_role_to_instance_profile(InstanceProfileName="profile", RoleName="sample-role")
    world.down(delete_data=True)


def tagged(world: Replaying, kind: str) -> None:
    """One of its tags is gone: `up` puts it back."""
    _tagging(kind).drop([MANAGED_TAG])
    world.up(_stages[kind].declared)


def untagged(world: Replaying, kind: str) -> None:
    """A tag is configured, and then no longer."""
    recording, world.recording = world.recording, None
    world.up(_stages[kind].declared, tags={"team": "devices"})
    world.recording = recording
    world.up(_stages[kind].declared)


def _tagging(kind: str) -> Any:
    sample: Sample = SAMPLES[kind]
    assert sample.tagging
    return sample.tagging


def deleted(world: Replaying, kind: str) -> None:
    world.down(delete_data=True)


def deleted_alone(world: Replaying, kind: str) -> None:
    """Its deletion, without waiting until it is gone."""
    target, row = _stages[kind].target, _rows(world)[_stages[kind].target.address]
    run = world.run("down")
    run.with_retries("delete", row.address, lambda attempt: type(target).delete(run, row.recorded()))


# What is asked about nothing that is declared


def examined(world: Replaying, kind: str) -> None:
    """What `doctor` asks besides: how much may run at once, and what the credentials may do."""
    stage = _stages[kind]
    run = world.run("doctor")
    run.resources = stage.declared
    assert concurrency.check(run, stage.declared)
    _renew(world)
    run = world.run("doctor")
    assert permissions.check(run, _operated(run))


def as_the_role(world: Replaying, kind: str) -> None:
    """`doctor` for credentials of an assumed role."""
    run = world.run("doctor")
    run.aws = replace(run.aws, caller="arn:aws:sts::123456789012:assumed-role/sample-role/me")
    assert permissions.check(run, _operated(run))


def _operated(run: Run) -> policy.Environment:
    """What the permissions are about."""
    return policy.Environment("dev", run.aws.account, run.aws.region, _stages["function"].declared, {}, None)


def measured(world: Replaying, kind: str) -> None:
    """What `doctor` says of an alarm that has never had any data."""
    client("cloudwatch").set_alarm_state(
        AlarmName="sample-alarm", StateValue="INSUFFICIENT_DATA", StateReason="Unchecked: Initial alarm creation"
    )
    assert doctor.alarms(world.run("doctor"), _stages[kind].declared)


def found(world: Replaying, kind: str) -> None:
    assert queue_url(world.run("send-test-data"), "sample-queue")


def logged(world: Replaying, kind: str) -> None:
    run = world.run("logs")
    for event in LogReader(run, "worker", "/aws/lambda/sample-function", 0).new():
        assert event.timestamp and isinstance(event.message, str) and event.event_id


def dead_letters_seen(world: Replaying, kind: str) -> None:
    for letter in peek(*_mailboxes(world), 20).letters:
        assert letter.message_id and letter.sent >= 0 and isinstance(letter.permanent_error(), str | None)


def dead_letters_moved_by_hand(world: Replaying, kind: str) -> None:
    redrive(*_mailboxes(world), limit=5)


def dead_letters_moved_by_sqs(world: Replaying, kind: str) -> None:
    """moto has no move tasks: SQS lists none."""
    run = world.run("dlq")
    run.client("sqs").meta.events.register("before-call.sqs.ListMessageMoveTasks", _no_moves)
    try:
        redrive(*_mailboxes(world), limit=None)
    finally:
        run.client("sqs").meta.events.unregister("before-call.sqs.ListMessageMoveTasks", _no_moves)


def _no_moves(**call: Any) -> Any:
    return type("Answer", (), {"status_code": 200, "headers": {}, "content": b""})(), {"Results": []}


def dead_letters_purged(world: Replaying, kind: str) -> None:
    purge(_mailboxes(world)[0])


def _mailboxes(world: Replaying) -> tuple[QueueClient, QueueClient]:
    """The dead-letter queue with one letter in it, and the queue that it came from."""
    client("sqs").send_message(QueueUrl=hand_url("sample-dlq"), MessageBody="{}")
    run = world.run("dlq")
    return QueueClient(run, "sample-dlq"), QueueClient(run, "sample-queue")


def handled(world: Replaying, kind: str) -> None:
    """A reading is stored and queued, and an alert is raised, as the handlers do it."""
    clients = world.connect()
    with patch.object(handlers, "client", clients.client), patch.object(clock, "sleep", lambda seconds: None):
        budget = clock.Budget(20, None)
        row = tables.Row({"device_id": {"S": "d"}, "timestamp": {"N": "1"}}, "timestamp", 10)
        for reason in (
            *tables.store("sample-table", [row], budget),
            *messages.send(_URL, [messages.Message("{}", "c")], budget),
        ):
            assert reason is None or isinstance(reason, str)
        with patch.dict("os.environ", ALERT_TOPIC_ARN=_TOPIC, CONFIG_PARAM="/iot-pipeline/dev/config"):
            alerts.alert_if_needed({"m": "refused"}, 1, Settings(alert_threshold=0, alert_cooldown=0), budget)


_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/sample-queue"
_TOPIC = "arn:aws:sns:us-east-1:123456789012:sample-topic"


def greeted(world: Replaying, kind: str) -> None:
    """Who the credentials are."""
    clients = world.connect()
    found = clients.session.client("sts", region_name="us-east-1").get_caller_identity()
    assert found["Account"] and found["Arn"]
