"""Each setting, changed alone: the plan names exactly the properties that follow from it, `up` makes exactly the calls.

A setting without a sample fails the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import pytest

from iotpipe.configuration import Environment
from iotpipe.configuration.model import Processing, Section
from iotpipe.provision.plan import Plan
from tests.support.account_inventory import client
from tests.support.account_snapshot import once
from tests.support.pipeline_world import MOMENTS, Declared, Settings, World, killed
from tests.support.web_acls import WEB_ACL, make_web_acls

pytestmark = pytest.mark.together

BASE: Settings = {"tags": {"team": "sensors"}}
WITH_DEVICES: Settings = BASE | {"devices": {"enabled": True}}

TABLES = ("table/raw-sensor-data-dev", "table/processed-data-dev")
QUEUE = "queue/iot-ingestion-queue-dev"
DEAD_LETTERS = "queue/iot-dlq-dev"
FEED = "event-source-mapping/iot-ingestion-queue-dev-to-data-processor-dev"
LAYER = "layer/iot-shared-dependencies-dev"
FUNCTIONS = tuple(f"function/data-{each}-dev" for each in ("ingestion", "processor", "query"))
PROCESSOR = "function/data-processor-dev"
ROLES = tuple(f"role/iot-{each}-lambda-role-dev" for each in ("ingestion", "processor", "query"))
LOG_GROUPS = tuple(f"log-group//aws/lambda/data-{each}-dev" for each in ("ingestion", "processor", "query"))
STAGE = "stage/dev"
SECRET = "secret//iot-pipeline/dev/api-key"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
STATEMENT = ("Action", "Effect", "Resource")
ACCESS_LOG = "log-group//aws/apigateway/iot-api-dev"
TAGS = ("Tags.team", "Tags.iotpipe:environment", "Tags.iotpipe:region", "Tags.iotpipe:managed-by")
CONFIG = "parameter//iot-pipeline/dev/config"
UNTAGGED = ("layer", "route", "permission", "subscription", "api-gateway-account")
"""Kinds that AWS gives no tags, or, as the account's role, that belong to no environment."""


@dataclass(frozen=True)
class Sample:
    """Another value of a setting; the properties that the plan must name, by address; the writes `up` must make."""

    value: Any
    named: Mapping[str, Iterable[str]]
    writes: Mapping[str, int]
    base: Settings = default(default_factory=lambda: BASE)
    """The settings that are in force before, where the one that changes means nothing in BASE."""


def alike(addresses: Iterable[str], *properties: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(addresses, properties)


def function(name: str, setting: str, value: Any, named: str, call: str) -> tuple[str, Sample]:
    return f"functions.{name}.{setting}", Sample(value, {f"function/data-{name}-dev": [named]}, {call: 1})


def functions(setting: str, value: Any, named: str, call: str = "UpdateFunctionConfiguration") -> Iterator[Any]:
    return (function(name, setting, value, named, call) for name in ("ingestion", "processor", "query"))


def threshold(setting: str, value: int, *alarms: str) -> tuple[str, Sample]:
    named = alike((f"alarm/{each}-dev" for each in alarms), "Threshold")
    return f"alerts.{setting}", Sample(value, named, {"PutMetricAlarm": len(alarms)})


def queue(setting: str, value: int, named: str, of: str = QUEUE) -> tuple[str, Sample]:
    return f"queue.{setting}", Sample(value, {of: [named]}, {"SetQueueAttributes": 1})


def feed(setting: str, value: int, named: str) -> tuple[str, Sample]:
    return f"queue.{setting}", Sample(value, {FEED: [named]}, {"UpdateEventSourceMapping": 1})


DEVICE_FEED = "event-source-mapping/iot-device-queue-dev-to-data-ingestion-dev"
RULE_ROLE = "role/iot-device-rule-role-dev"
DEVICE_ALARMS = ("iot-device-failures", "iot-device-lost", "iot-device-throttled", "iot-device-unknown-rule")


def of_devices(setting: str, value: int, named: str) -> tuple[str, Sample]:
    sample = Sample(value, {DEVICE_FEED: [named]}, {"UpdateEventSourceMapping": 1}, WITH_DEVICES)
    return f"devices.{setting}", sample


ENABLED_DEVICES = Sample(
    True,
    {
        "queue/iot-device-queue-dev": [
            *("VisibilityTimeout", "MessageRetentionPeriod", *TAGS),
            *("RedrivePolicy.deadLetterTargetArn", "RedrivePolicy.maxReceiveCount"),
        ],
        RULE_ROLE: [
            *("Path", "ManagedPolicies", "PermissionsBoundary", "Description", *TAGS),
            "AssumeRolePolicyDocument.Version",
            *(
                f"AssumeRolePolicyDocument.Statement.Assume.{each}"
                for each in ("Effect", "Action", "Principal.Service", "Condition.StringEquals.aws:sourceaccount")
            ),
            "AssumeRolePolicyDocument.Statement.Assume.Condition.ArnLike.aws:sourcearn",
            "Policies.iotpipe.Version",
            *(f"Policies.iotpipe.Statement.Queue.{each}" for each in STATEMENT),
        ],
        "topic-rule/iotpipe_dev": [
            *("sql", "awsIotSqlVersion", "description", "ruleDisabled", "actions", *TAGS),
            *(f"errorAction.sqs.{each}" for each in ("roleArn", "queueUrl", "useBase64")),
        ],
        "iot-policy/iot-device-policy-dev": ["policyDocument.Version", "policyDocument.Statement", *TAGS],
        DEVICE_FEED: [
            *("EventSourceArn", "FunctionArn", "Enabled", "BatchSize", "MaximumBatchingWindowInSeconds"),
            *("FunctionResponseTypes", "ScalingConfig.MaximumConcurrency", *TAGS),
        ],
        ROLES[0]: [
            f"Policies.iotpipe.Statement.{sid}.{each}"
            for sid in ("ConsumeDevices", "NotifyDevices")
            for each in STATEMENT
        ],
        FUNCTIONS[0]: [
            f"Environment.Variables.{each}" for each in ("THING_PREFIX", "DEVICE_ERRORS_TOPIC", "DEAD_LETTER_QUEUE_URL")
        ],
        **alike(
            (f"alarm/{each}-dev" for each in (*DEVICE_ALARMS, "iot-device-queue-age")),
            *("AlarmDescription", "ActionsEnabled", "AlarmActions"),
            *("EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData", *TAGS),
            *("Namespace", "MetricName", "Dimensions", "Period", "Statistic"),
        ),
        "dashboard/iot-pipeline-dev": ["DashboardBody.widgets"],
    },
    {
        **{"CreateQueue": 1, "CreateRole": 1, "PutRolePolicy": 2, "CreateTopicRule": 1, "CreatePolicy": 1},
        **{"CreateEventSourceMapping": 1, "UpdateFunctionConfiguration": 1, "PutMetricAlarm": 5, "PutDashboard": 1},
    },
)


def stage(setting: str, value: Any, named: str) -> tuple[str, Sample]:
    return f"api.{setting}", Sample(value, {STAGE: [named]}, {"UpdateStage": 1})


SAMPLES: dict[str, Sample] = dict(
    (
        (
            "tables.point_in_time_recovery",
            Sample(False, alike(TABLES, "PointInTimeRecoveryEnabled"), {"UpdateContinuousBackups": 2}),
        ),
        (
            "tables.deletion_protection",
            Sample(True, alike(TABLES, "DeletionProtectionEnabled"), {"UpdateTable": 2}),
        ),
        queue("visibility_timeout", 400, "VisibilityTimeout"),
        queue("retention", 86_400, "MessageRetentionPeriod"),
        queue("max_receives", 5, "RedrivePolicy.maxReceiveCount"),
        queue("dead_letter_retention", 600_000, "MessageRetentionPeriod", of=DEAD_LETTERS),
        feed("batch_size", 7, "BatchSize"),
        feed("batching_window", 3, "MaximumBatchingWindowInSeconds"),
        feed("maximum_concurrency", 50, "ScalingConfig.MaximumConcurrency"),
        (
            # Another runtime needs another layer, and functions name the version of theirs.
            "functions.runtime",
            Sample(
                "python3.12",
                {LAYER: ["Description", "CompatibleRuntimes"], **alike(FUNCTIONS, "Runtime", "Layers")},
                {"DeleteLayerVersion": 1, "PublishLayerVersion": 1, "UpdateFunctionConfiguration": 3},
            ),
        ),
        (
            # AWS takes the architecture with the code, the layer with the configuration.
            "functions.architecture",
            Sample(
                "x86_64",
                {LAYER: ["Description", "CompatibleArchitectures"], **alike(FUNCTIONS, "Architectures", "Layers")},
                {
                    **{"DeleteLayerVersion": 1, "PublishLayerVersion": 1},
                    **{"UpdateFunctionCode": 3, "UpdateFunctionConfiguration": 3},
                },
            ),
        ),
        (
            "functions.log_retention",
            Sample(
                60,
                {**alike(LOG_GROUPS, "retentionInDays"), STAGE: ["executionLogGroup.retentionInDays"]},
                {"PutRetentionPolicy": 4},
            ),
        ),
        (
            # API Gateway's role is there already, and belongs to the account.
            "functions.permissions_boundary",
            Sample(
                "arn:aws:iam::123456789012:policy/boundary",
                alike(ROLES, "PermissionsBoundary"),
                {"PutRolePermissionsBoundary": 3},
            ),
        ),
        (
            "kms_key",
            Sample(
                KEY,
                {
                    **alike(TABLES, *(f"SSESpecification.{each}" for each in ("Enabled", "SSEType", "KMSMasterKeyId"))),
                    **alike((QUEUE, DEAD_LETTERS), "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"),
                    **alike(LOG_GROUPS, "kmsKeyId"),
                    **alike(FUNCTIONS, "KMSKeyArn"),
                    **alike(ROLES, *(f"Policies.iotpipe.Statement.Encrypt.{each}" for each in STATEMENT)),
                    STAGE: ["executionLogGroup.kmsKeyId"],
                    "topic/iot-alerts-dev": ["KmsMasterKeyId"],
                    SECRET: ["KeyId"],
                },
                {
                    **{"UpdateTable": 2, "SetQueueAttributes": 2, "SetTopicAttributes": 1, "AssociateKmsKey": 4},
                    **{"UpdateFunctionConfiguration": 3, "PutRolePolicy": 3, "PutParameter": 1},
                },
            ),
        ),
        (
            "former_kms_keys",
            Sample(
                [KEY],
                alike(ROLES, *(f"Policies.iotpipe.Statement.Encrypt.{each}" for each in STATEMENT)),
                {"PutRolePolicy": 3},
            ),
        ),
        *functions("memory", 1536, "MemorySize"),
        *functions("timeout", 20, "Timeout"),
        *functions("reserved_concurrency", None, "ReservedConcurrentExecutions", "DeleteFunctionConcurrency"),
        (
            # AWS cannot rename a stage; what names it follows.
            "api.stage",
            Sample(
                "v2",
                {
                    "stage/v2": [
                        *("RestApiId", "Deployment", "OutdatedDeployments", "tracingEnabled"),
                        *("methodSettings.throttlingRateLimit", "methodSettings.throttlingBurstLimit"),
                        *("methodSettings.metricsEnabled", "methodSettings.loggingLevel"),
                        "executionLogGroup.retentionInDays",
                        *TAGS,
                    ],
                    "alarm/iot-api-5xx-dev": ["Dimensions"],
                    "dashboard/iot-pipeline-dev": ["DashboardBody.widgets"],
                    "stage/dev": [],
                },
                {
                    **{"CreateStage": 1, "UpdateStage": 1, "PutMetricAlarm": 1, "PutDashboard": 1},
                    **{"CreateLogGroup": 1, "PutRetentionPolicy": 1, "DeleteStage": 1, "DeleteLogGroup": 1},
                },
            ),
        ),
        stage("throttle.rate", 10.5, "methodSettings.throttlingRateLimit"),
        stage("throttle.burst", 5, "methodSettings.throttlingBurstLimit"),
        stage("logging", "ERROR", "methodSettings.loggingLevel"),
        (
            "api.access_logs",
            Sample(
                90,
                {
                    ACCESS_LOG: ["retentionInDays", *TAGS],
                    STAGE: ["accessLogSettings.destinationArn", "accessLogSettings.format"],
                },
                {"CreateLogGroup": 1, "PutRetentionPolicy": 1, "UpdateStage": 1},
            ),
        ),
        (
            "api.web_acl",
            Sample(WEB_ACL, {STAGE: ["webAclArn"]}, {"AssociateWebACL": 1}),
        ),
        stage("metrics", False, "methodSettings.metricsEnabled"),
        stage("tracing", False, "tracingEnabled"),
        (
            # The function must know it also while it cannot read the parameter.
            "api.require_api_key",
            Sample(
                True,
                {CONFIG: ["Value.require_api_key"], FUNCTIONS[0]: ["Environment.Variables.REQUIRE_API_KEY"]},
                {"PutParameter": 1, "UpdateFunctionConfiguration": 1},
            ),
        ),
        (
            "alerts.emails",
            Sample(
                ["ops@example.com"],
                {"subscription/ops@example.com": ["TopicArn", "Protocol", "Endpoint"]},
                {"Subscribe": 1},
            ),
        ),
        threshold("errors", 1, "iot-ingestion-errors", "iot-processor-errors", "iot-query-errors"),
        threshold("throttles", 1, "iot-ingestion-throttles", "iot-processor-throttles", "iot-query-throttles"),
        threshold("table_throttles", 1, "raw-table-throttles", "processed-table-throttles"),
        threshold("dead_letters", 1, "iot-dlq-depth"),
        threshold("queue_age", 1, "iot-queue-age"),
        threshold("api_errors", 1, "iot-api-5xx"),
        (
            "alerts.device_failures",
            Sample(
                1,
                alike((f"alarm/{each}-dev" for each in DEVICE_ALARMS), "Threshold"),
                {"PutMetricAlarm": 4},
                WITH_DEVICES,
            ),
        ),
        ("devices.enabled", ENABLED_DEVICES),
        of_devices("batch_size", 7, "BatchSize"),
        of_devices("maximum_concurrency", 50, "ScalingConfig.MaximumConcurrency"),
        *(
            # 7 is the default of none and allowed for each.
            (f"processing.{name}", Sample(7, {CONFIG: [f"Value.{name}"]}, {"PutParameter": 1}))
            for name in Processing.model_fields
        ),
    )
)

NOT_ON_AWS: dict[str, Any] = {
    # Who may bring the environment up, where, and whether it may be taken down: all of it is asked by the commands,
    # and nothing on AWS would differ.
    "account": "123456789012",
    "region": "eu-west-1",
    "protect": True,
}

TESTED_ELSEWHERE = {
    "name": "is the file's name, not a setting in it",
    "suffix": "renames everything: test_orphans",
    "target": "says where, and with it the default Python and CPU of the functions: test_configuration_loading",
    "tags": "are on everything: below",
}


def leaves(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Every setting there is, as the configuration's model has it."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_setting_has_a_sample() -> None:
    assert set(leaves(Environment)) == {*SAMPLES, *NOT_ON_AWS, *TESTED_ELSEWHERE}


def changed(setting: str, value: Any, base: Settings = BASE) -> Settings:
    """The base settings with one of them changed."""
    *sections, name = setting.split(".")
    settings = inner = dict(base)
    for section in sections:
        inner[section] = dict(inner.get(section, {}))
        inner = inner[section]
    inner[name] = value
    return settings


def named(plan: Plan) -> dict[str, list[str]]:
    return {step.address: [change.property for change in step.changes] for step in plan.pending}


Declare = Callable[..., Declared]


def up(world: World, declared: Declared, base: str = "BASE") -> None:
    """Bring a base up, which is declared, in an account that has the web ACLs."""

    def begin() -> None:
        make_web_acls()
        world.bring_up(declared)

    once(base, world, begin)


@pytest.mark.sampled(6)
@pytest.mark.matrix
@pytest.mark.parametrize("setting", SAMPLES)
def test_a_changed_setting_changes_its_properties_by_its_calls(world: World, declared: Declare, setting: str) -> None:
    sample = SAMPLES[setting]
    before, after = declared(sample.base), declared(changed(setting, sample.value, sample.base))
    up(world, before, str(sample.base))

    plan = world.bring_up(after)
    assert {address: set(found) for address, found in named(plan).items()} == {
        address: set(expected) for address, expected in sample.named.items()
    }
    assert not [step.address for step in plan.pending if step.drifted]
    assert Counter(world.writes) == Counter(sample.writes)
    assert not world.planned(after).pending

    world.bring_up(before)
    assert not world.planned(before).pending


@pytest.mark.matrix
@pytest.mark.parametrize("setting", NOT_ON_AWS)
def test_a_setting_for_the_commands_changes_nothing_on_aws(world: World, declared: Declare, setting: str) -> None:
    up(world, declared(BASE))
    world.bring_up(declared(changed(setting, NOT_ON_AWS[setting])))
    assert world.writes == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("tags", "differing"),
    [
        ({"team": "sensors", "site": "north"}, "Tags.site"),
        ({"team": "readings"}, "Tags.team"),
        ({}, "Tags.team"),
    ],
    ids=["one more", "another value", "one less"],
)
def test_a_changed_tag_changes_on_everything_that_bears_tags(
    world: World, declared: Declare, tags: dict[str, str], differing: str
) -> None:
    before, after = declared(BASE), declared({"tags": tags})
    up(world, before)
    plan = world.bring_up(after)
    bearers = [each.address for each in before.resources if each.kind not in UNTAGGED]
    assert named(plan) == {address: [differing] for address in bearers}
    assert all("tag" in call.lower() for call in world.writes)
    assert len(world.writes) == len(bearers)
    assert not world.planned(after).pending


@pytest.mark.matrix
def test_who_called_is_logged_on_and_off_and_on_again(world: World, declared: Declare) -> None:
    off, on = declared(BASE), declared(changed("api.access_logs", 90))
    for settings in (on, off, on):
        world.bring_up(settings)
        world.bring_up(settings)
        assert not world.writes
    assert not world.plan(on.resources, tags=on.tags, foreign=True).foreign, "what is declared is not foreign"

    world.bring_up(off)
    (api,) = client("apigateway").get_rest_apis()["items"]
    (found,) = client("apigateway").get_stages(restApiId=api["id"])["item"]
    assert not found.get("accessLogSettings")
    assert not client("logs").describe_log_groups(logGroupNamePrefix="/aws/apigateway/")["logGroups"]


@pytest.mark.matrix
def test_an_access_log_that_is_not_declared_is_foreign_also_after_iotpipe_had_one(
    world: World, declared: Declare
) -> None:
    off = declared(BASE)
    for settings in (off, declared(changed("api.access_logs", 90)), off):
        world.bring_up(settings)
    (api,) = client("apigateway").get_rest_apis()["items"]
    where = {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": "arn:aws:logs:::log-group:mine"}
    client("apigateway").update_stage(restApiId=api["id"], stageName="dev", patchOperations=[where])
    plan = world.plan(off.resources, tags=off.tags, foreign=True)
    assert not plan.pending
    assert [(each.address, each.subject) for each in plan.foreign] == [(STAGE, "access log")]


@pytest.mark.matrix
def test_a_stage_is_put_behind_a_web_acl_and_taken_from_behind_it(world: World, declared: Declare) -> None:
    make_web_acls()
    off, on = declared(BASE), declared(changed("api.web_acl", WEB_ACL))
    for settings, firewall in ((on, WEB_ACL), (off, None), (on, WEB_ACL)):
        world.bring_up(settings)
        (api,) = client("apigateway").get_rest_apis()["items"]
        (stage,) = client("apigateway").get_stages(restApiId=api["id"])["item"]
        assert stage.get("webAclArn") == firewall
        world.bring_up(settings)
        assert not world.writes
        assert not world.plan(settings.resources, tags=settings.tags, foreign=True).foreign
    world.bring_up(off)
    assert world.writes == ["DisassociateWebACL"]
    stage_arn = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}/stages/dev"
    client("wafv2").associate_web_acl(WebACLArn=WEB_ACL, ResourceArn=stage_arn)
    plan = world.plan(off.resources, tags=off.tags, foreign=True)
    assert not plan.pending
    assert [each.subject for each in plan.foreign] == ["web ACL"], "what nobody declares is told and left"


@pytest.mark.matrix
def test_everything_is_encrypted_with_a_key_and_without_it_and_with_it_again(world: World, declared: Declare) -> None:
    off, on = declared(BASE), declared(changed("kms_key", KEY) | {"api": {"access_logs": 90}})
    up(world, off)
    kept = the_api_key()
    for settings in (on, off, on):
        world.bring_up(settings)
        assert the_api_key() == kept, "another key encrypts it, and its value stays"
        assert kept not in world.path.read_text()
        world.bring_up(settings)
        assert not world.writes
        assert not world.plan(settings.resources, tags=settings.tags, foreign=True).foreign

    fresh = {"suffix": "fresh"}
    world.down(delete_data=True)
    begun = declared(changed("kms_key", KEY) | {"api": {"access_logs": 90}} | fresh)
    world.bring_up(begun)
    assert not world.planned(begun).pending, "what is made with the key is as what has been given it"
    groups = client("logs").describe_log_groups()["logGroups"]
    assert {each.get("kmsKeyId") for each in groups} == {KEY}


@pytest.mark.matrix
def test_a_key_that_somebody_else_has_set_is_foreign_also_after_iotpipe_had_one(
    world: World, declared: Declare
) -> None:
    off = declared(BASE)
    for settings in (off, declared(changed("kms_key", KEY)), off):
        world.bring_up(settings)
    topic = "arn:aws:sns:us-east-1:123456789012:iot-alerts-dev"
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=KEY)
    client("logs").associate_kms_key(logGroupName="/aws/lambda/data-query-dev", kmsKeyId=KEY)
    plan = world.plan(off.resources, tags=off.tags, foreign=True)
    assert not plan.pending
    assert {(each.address, each.subject) for each in plan.foreign} == {
        ("topic/iot-alerts-dev", "KmsMasterKeyId"),
        ("log-group//aws/lambda/data-query-dev", "kmsKeyId"),
    }


def the_api_key() -> str:
    found = client("ssm").get_parameter(Name="/iot-pipeline/dev/api-key", WithDecryption=True)
    return str(found["Parameter"]["Value"])


@pytest.mark.matrix
def test_a_processor_that_is_stopped_is_not_fed_until_it_goes_on(world: World, declared: Declare) -> None:
    running = declared(BASE)
    stopped = declared(BASE | {"functions": {"processor": {"reserved_concurrency": 0}}})
    up(world, running)

    plan = world.bring_up(stopped)
    assert named(plan) == {PROCESSOR: ["ReservedConcurrentExecutions"], FEED: ["Enabled"]}
    assert sorted(world.writes) == ["PutFunctionConcurrency", "UpdateEventSourceMapping"]
    assert not world.planned(stopped).pending

    world.bring_up(running)
    assert world.writes == ["PutFunctionConcurrency", "UpdateEventSourceMapping"], "it is fed when it can be called"
    assert not world.planned(running).pending


@pytest.mark.matrix
def test_the_functions_may_use_a_key_before_what_they_use_is_encrypted_with_it(world: World, declared: Declare) -> None:
    world.parallel = 1
    world.bring_up(declared(BASE))
    world.bring_up(declared(changed("kms_key", KEY)))
    allowed = world.writes.index("PutRolePolicy")
    for encrypts in ("SetQueueAttributes", "UpdateTable", "SetTopicAttributes"):
        assert allowed < world.writes.index(encrypts)


@pytest.mark.sampled(2)
@pytest.mark.matrix
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("at", [0, 3, 7, 11, 15])
def test_what_a_killed_up_has_set_for_the_first_time_goes_when_it_is_not_wanted_any_more(
    world: World, declared: Declare, at: int, moment: str
) -> None:
    plain = declared(BASE)
    full = declared({**BASE, "kms_key": KEY, "api": {"access_logs": 90, "web_acl": WEB_ACL}})
    up(world, plain)
    with killed(world, at, moment):
        world.bring_up(full)
    world.bring_up(plain)
    plan = world.plan(plain.resources, tags=plain.tags, foreign=True)
    assert (plan.pending, plan.foreign) == ((), ())
    keys = {each.get("kmsKeyId") for each in client("logs").describe_log_groups()["logGroups"]}
    assert keys == {None}, "also of the group of API Gateway, which no plan tells of"
