"""Everything that each group of commands may have to do, done once on moto, with what IAM would have been asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.kms.models import kms_backends

from iotpipe.checks import aws_checks, permissions, preflight
from iotpipe.configuration import load
from iotpipe.devices import device_names, inventory
from iotpipe.errors import RefusedError
from iotpipe.observer.snapshot import RANGES
from iotpipe.operations import certificate_use, device_self_test
from iotpipe.operations.dead_letters import peek
from iotpipe.operations.health import health
from iotpipe.operations.logs import LogReader
from iotpipe.operations.redrive import purge, redrive
from iotpipe.packaging import handler_zip
from iotpipe.pipeline import Artifacts
from iotpipe.policy import GROUPS, Environment
from iotpipe.provision import apply, ledger, teardown
from iotpipe.provision.adoption import EVERYTHING, Adoption
from iotpipe.provision.foreign.finding import OPENS
from iotpipe.provision.resource import Resource, everything
from iotpipe.readings import bad_readings, send_test_data, stored_rows
from iotpipe.readings.api_client import Api
from iotpipe.readings.deployment import Deployment, api_key
from tests.provision.foreign import test_foreign_apigateway, test_foreign_lambda
from tests.support import account_inventory, pipeline_world
from tests.support.dead_letter_world import MoveTasks, Queues, body
from tests.support.devices_world import NAMES, DevicesWorld, create_policy
from tests.support.engine_world import FakeClock, StandInLayer
from tests.support.engine_world import World as PlainWorld
from tests.support.foreign.additions import ADDED, Added, let_two_in, of_group
from tests.support.foreign.functions_world import Pipeline, api_id
from tests.support.foreign.world import a_pipeline, looked_at, remembered
from tests.support.observed_world import Observed
from tests.support.original_stack import STAGE, Original
from tests.support.pipeline_world import Declared, declare, with_a_changed_route, without_a_route
from tests.support.policy.calls import ACCOUNT, REGION, Asked, recorded
from tests.support.resource_contract import QuickWorld
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.functions import BOUNDARY
from tests.support.samples.sample import KMS_KEY
from tests.support.web_acls import WEB_ACL, make_web_acls

_STATEMENT = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [_STATEMENT]})
WIDE = {
    "tags": {"team": "sensors"},
    "tables": {"point_in_time_recovery": False, "deletion_protection": True},
    "queue": {"max_receives": 5, "batch_size": 5},
    "devices": {"enabled": True, "batch_size": 5},
    "functions": {
        "runtime": "python3.12",
        "architecture": "x86_64",
        "log_retention": 60,
        "ingestion": {"reserved_concurrency": None},
        "permissions_boundary": BOUNDARY,
    },
    "api": {"stage": "v2", "metrics": False},
    "alerts": {"emails": ["ops@example.com"], "errors": 1},
    "processing": {"batch_size": 7},
}
NARROW = {
    "functions": {"permissions_boundary": BOUNDARY},
    "tables": {"deletion_protection": False},
    "kms_key": KMS_KEY,
    "devices": {"enabled": True},
    "api": {"web_acl": WEB_ACL},
}


@dataclass
class Heard:
    """What IAM would be asked, by group, and the resources that it was about."""

    asked: dict[str, list[Asked]] = field(default_factory=lambda: {group: [] for group in GROUPS})
    resources: list[Resource] = field(default_factory=list)

    @contextmanager
    def of(self, group: str, *declared: Resource) -> Iterator[None]:
        self.resources += declared
        with recorded(self.asked[group]):
            yield

    def environment(self, **changes: Any) -> Environment:
        return Environment("dev", ACCOUNT, REGION, self.resources, **changes)


def everything_heard(directory: Path) -> Heard:
    """Each scene in an account that holds nothing."""
    heard = Heard()
    for number, scene in enumerate(
        (*_of_kinds(), _additions, _life, _death, _adopting, _operating, _viewing, _enrolling, _meddled_with)
    ):
        BackendDict.reset()
        reset_model_data()
        (place := directory / str(number)).mkdir()
        scene(heard, place)
    return heard


# Each kind, spoiled until every call that repairs it was made


def _of_kinds() -> Iterator[Callable[[Heard, Path], None]]:
    for sample in SAMPLES.values():

        def scene(heard: Heard, directory: Path, sample: Any = sample) -> None:
            world = QuickWorld(directory)
            declared, made = everything(sample.make()), set()
            with heard.of("up", *declared):
                world.up(declared, tags={"team": "sensors"})
                for tampering in sample.tamperings:
                    if made.issuperset(tampering.repairs):
                        continue
                    made.update(tampering.repairs)
                    tampering.act()
                    world.up(declared, tags={"team": "sensors"})
                if sample.tagging:
                    sample.tagging.drop(["iotpipe:environment", "team"])
                    world.up(declared, tags={"team": "sensors"})
                    world.up(declared)
                sample.remove()
                world.up(declared)

        yield scene


# What others add, found and taken away again


def _additions(heard: Heard, directory: Path) -> None:
    world, resources = QuickWorld(directory), a_pipeline()
    world.up(resources)
    twice = Added("two statements", OPENS, "", lambda: let_two_in("table"), kinds=("table",))
    for added in (*ADDED, twice):
        of_kinds = [each for each in resources if each.kind in added.kinds]
        added.act()
        with remembered(added.gap):
            with heard.of("plan", *of_kinds):
                found = looked_at(world, of_kinds)
            with heard.of("up"):
                for each in found:
                    with suppress(RefusedError):
                        each.remove()


# The whole pipeline


def _world(directory: Path) -> pipeline_world.World:
    pipeline_world._clients.pop("dev", None)
    return pipeline_world.World(directory)


def _life(heard: Heard, directory: Path) -> None:
    """From nothing through a broad change to another name for everything, and down."""
    world, first = _world(directory), declare(directory, NARROW)
    _make_the_key()
    make_web_acls()
    _looked_at(heard, world, first)
    changed = with_a_changed_route(declare(directory, WIDE))
    renamed = declare(directory, NARROW | {"suffix": "other", "alerts": {"emails": []}})
    plain = declare(directory, {key: value for key, value in NARROW.items() if key not in ("kms_key", "api")})
    for declared in (first, plain, changed, without_a_route(first, "GET /query"), first):
        _up(heard, world, declared)
    SAMPLES["api-gateway-account"].remove()
    _take_away_what_rights_depend_on()
    _up(heard, world, first)
    boto3.client("cloudwatch").untag_resource(
        ResourceARN=f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:iot-dlq-depth-dev", TagKeys=["iotpipe:environment"]
    )
    of_devices = [
        f"arn:aws:iot:{REGION}:{ACCOUNT}:{each}" for each in ("rule/iotpipe_dev", "policy/iot-device-policy-dev")
    ]
    for arn in of_devices:
        boto3.client("iot").untag_resource(resourceArn=arn, tagKeys=["iotpipe:environment"])
    _looked_at(heard, world, first)
    for arn in of_devices:
        boto3.client("iot").tag_resource(resourceArn=arn, tags=[{"Key": "iotpipe:environment", "Value": "dev"}])
    _hang_more_on("iot-query-lambda-role-dev")
    _up(heard, world, renamed)
    _hang_more_on("iot-query-lambda-role-other")
    with heard.of("down"):
        world.down(delete_data=True)


def _up(heard: Heard, world: pipeline_world.World, declared: Declared) -> None:
    with heard.of("up", *declared.resources):
        world.bring_up(declared)


def _looked_at(heard: Heard, world: pipeline_world.World, declared: Declared) -> None:
    """plan, status and doctor, as a user and as a role."""
    for each in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]:
        boto3.client("cloudwatch").set_alarm_state(
            AlarmName=each["AlarmName"], StateValue="INSUFFICIENT_DATA", StateReason="new"
        )
    built = Artifacts({name: handler_zip(name) for name in ("ingestion", "processor", "query")}, StandInLayer())  # type: ignore[arg-type] # a stand-in
    env = load("dev", world.directory)
    with heard.of("plan", *declared.resources):
        run = world.run("plan", declared.tags)
        context = aws_checks.CheckContext(env, run, declared.resources, built, ledger.read(world.path))
        run.aws.caller = f"arn:aws:iam::{ACCOUNT}:user/operator"
        preflight.planned(declared.resources, run, world.rows())
        health(run, declared.resources)
        aws_checks.check_aws(context)
        if context.rows:
            run.aws.caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/iot-query-lambda-role-dev/session"
            permissions.check(run, context.policy_environment)


def _make_the_key() -> None:
    """The key of this ARN: moto chooses ids itself."""
    keys = kms_backends[ACCOUNT][REGION].keys
    made = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["KeyId"]
    keys[KMS_KEY.rpartition("/")[2]] = keys[made]


def _take_away_what_rights_depend_on() -> None:
    """An API that has lost its tag and a role that has lost its boundary, each with more to repair."""
    api, iam, role = boto3.client("apigateway"), boto3.client("iam"), "iot-query-lambda-role-dev"
    [found] = api.get_rest_apis()["items"]
    described = {"op": "replace", "path": "/description", "value": "another"}
    api.update_rest_api(restApiId=found["id"], patchOperations=[described])
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{found['id']}"
    api.untag_resource(resourceArn=arn, tagKeys=["iotpipe:environment"])
    iam.delete_role_permissions_boundary(RoleName=role)
    iam.put_role_policy(RoleName=role, PolicyName="iotpipe", PolicyDocument=_POLICY)


def _hang_more_on(role: str) -> None:
    """What keeps IAM from deleting a role."""
    iam = boto3.client("iam")
    managed = iam.create_policy(PolicyName=f"of-{role}", PolicyDocument=_POLICY)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=managed)
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)


def _death(heard: Heard, directory: Path) -> None:
    """Killed while it makes things, then taken down; and taken down after the state file was lost."""
    make_web_acls()
    world, declared = _world(directory), declare(directory, NARROW)
    with pipeline_world.killed(world, 40, "before"), heard.of("up", *declared.resources):
        world.bring_up(declared)
    world.clock.time += 120
    with heard.of("down"):
        world.down(delete_data=True)
    world.bring_up(declared)
    boto3.client("iot").create_policy_version(
        policyName="iot-device-policy-dev", policyDocument=_POLICY, setAsDefault=True
    )
    world.path.unlink()
    with heard.of("down"):
        run = world.run("down", declared.tags)
        book = world.ledger(run)
        teardown.down(run, book, teardown.examine(run, book.rows, declared.resources, True), apply.PARALLEL)


def _adopting(heard: Heard, directory: Path) -> None:
    """What Terraform made is taken over, a piece and then the rest, and what it left behind is removed."""
    world, settings = _world(directory), NARROW | {"api": {"stage": STAGE}}
    Original(account_inventory.client).make()
    declared = declare(directory, settings)
    _looked_at(heard, world, declared)
    with heard.of("up", *declared.resources):
        world.bring_up(declared, Adoption(named={"queue/iot-dlq-dev": ""}))
        world.up(declared.resources, EVERYTHING, strict=True, tags=declared.tags)
    assert not world.planned(declared).pending


ONE_OF_EACH_REMOVAL = (
    *("a function URL for anybody", "a permission for anybody", "a VPC", "a version", "an alias", "another source"),
    *("a condition", "a filter", "a consumer of dead letters", "a layer for anybody", "another layer version"),
    *("a policy for all", "a method on a path of its own", "an API key", "a canary", "variables", "another stage"),
)


def _meddled_with(heard: Heard, directory: Path) -> None:
    """What somebody else added to functions, layer, API and stage is looked at and removed."""
    pipeline = Pipeline.brought_up(directory, Path(__file__).parents[3] / "config")
    changes = {each.what: each for each in (*test_foreign_lambda.CHANGES, *test_foreign_apigateway.CHANGES)}
    for name in ONE_OF_EACH_REMOVAL:
        changes[name].act()
    with heard.of("plan", *everything(*pipeline.resources)):
        _, found, _ = pipeline.looked_at()
    assert len(found) == len(ONE_OF_EACH_REMOVAL)
    with heard.of("up"):
        for each in found:
            each.remove()
    assert not pipeline.looked_at()[1]
    for added in of_group(f"API-Gateway-Execution-Logs_{api_id()}/dev"):
        with remembered(added.gap):
            with heard.of("plan"):
                _, [each], _ = pipeline.looked_at()
            with heard.of("up"), suppress(RefusedError):
                each.remove()


# What is up, in use


def _operating(heard: Heard, directory: Path) -> None:
    world = PlainWorld(directory, clock=FakeClock(time.time()))
    queues = Queues(world)
    boto3.client("logs").create_log_group(logGroupName="/aws/lambda/data-query-dev")
    boto3.client("ssm").put_parameter(Name="/iot-pipeline/dev/api-key", Type="SecureString", Value="key")
    queues.put(*(body(reading_id=str(number)) for number in range(3)))
    with heard.of("operate"):
        peek(queues.dead, queues.target, 10)
        redrive(queues.dead, queues.target, 1)
        MoveTasks(queues)
        redrive(queues.dead, queues.target, None)
        purge(queues.dead)
        list(LogReader(queues.run, "query", "/aws/lambda/data-query-dev", 0).new())
        _sent(queues)


def _viewing(heard: Heard, directory: Path) -> None:
    create_policy()
    resources = declare(directory, {"devices": {"enabled": True}}).resources
    observed = Observed(PlainWorld(directory, clock=FakeClock(time.time())), resources)
    DevicesWorld(directory).enrol("roof")
    observed.put("iot-dlq-dev", body())
    observed.store("roof", 1000, temperature="21.5")
    observer = observed.observer(local=False)
    with heard.of("view"):
        for range_seconds in RANGES:
            observed.look(observer, range_seconds)
        observer.series(["roof"], [], "5m", 0, observed.now)
        for table in ("processed", "raw"):
            observer.rows("roof", table, 10)
        assert observer.dead_letters()["items"]
        assert observer.enrolment().items and observer.device("roof")["certificates"]


def _enrolling(heard: Heard, directory: Path) -> None:
    """A device comes, gets another certificate, is revoked and goes; and one of which the enrolment was interrupted."""
    world = DevicesWorld(directory)
    declared = declare(directory, {"devices": {"enabled": True}})
    create_policy()
    with heard.of("devices", *declared.resources):
        world.enrol("roof")
        inventory.listing(world.registry)
        inventory.details(world.registry, device_names.device(NAMES, "roof"))
        world.rotate("roof")
        world.finish("roof")
        certificate_use.was_used(world.run("device"), "dev", "0" * 64, 0)
        with world.dying("certificate.pem", "before"):
            world.enrol("cellar")
        world.clock.time += 200
        for each in (world.out / "cellar").iterdir():
            each.unlink()
        world.enrol("cellar")
        world.revoke("cellar")
        world.remove("cellar")
        world.remove("roof")
    with heard.of("up"):
        device_self_test.test(world.run("up"), "dev")
    with heard.of("down"):
        assert not inventory.things(world.registry)


def _sent(queues: Queues) -> None:
    run, key = queues.run, "/iot-pipeline/dev/api-key"
    place = Deployment(
        "https://abcdefghij.execute-api.us-east-1.amazonaws.com/dev", queues.target.name, queues.dead.name, key
    )
    api = Api(place.endpoint, run.aws.session, REGION, run.pause, api_key=api_key(run, key))
    load = send_test_data.Load([], [], bad_readings.poisons(2, "mark"))
    sent = send_test_data.send(load, api, run, place, batch=25, connections=1, rate=0, progress=_quiet)
    send_test_data.default_timeout(load, run, place)
    queues.put("anything")
    send_test_data.verify(sent, load, api, run, place, timeout=0, connections=1, wait=1, progress=_quiet)
    list(stored_rows.pages(api, {"device_id": "sensor-1"}))


@contextmanager
def _quiet(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None
