"""`plan` finds what others added and names its effect; `up --strict` removes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.ssm.models import ssm_backends

from iotpipe.configuration import load
from iotpipe.errors import ApplyFailed, RefusedError
from iotpipe.provision.foreign.finding import DRAINS
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.subscription import Subscription
from tests.support.engine_world import declared, refusal
from tests.support.foreign.additions import (
    ADDED,
    CONFIG,
    KEY,
    QUEUE,
    STREAM,
    TABLE,
    TABLE_ARN,
    TOPIC,
    Added,
    let_two_in,
    parameter_shows,
    recover,
    set_queue,
    statement,
    topic_policy,
)
from tests.support.foreign.world import Forgotten, a_pipeline, looked_at, remembered
from tests.support.manual_edits import ACCOUNT, REGION, client, make_role, role_arn
from tests.support.resource_contract import QuickWorld, untouched
from tests.support.samples.sample import KMS_KEY

NEW_CALLS, MOST_CALLS = 26, 80
"""The calls that the checks for additions may add to a plan."""


@pytest.mark.sampled(24)
@pytest.mark.parametrize("added", ADDED, ids=lambda added: added.what)
def test_what_was_added_is_found_and_taken_away(added: Added, world: QuickWorld) -> None:
    resources = a_pipeline(*added.kinds)
    world.up(resources)
    added.act()
    with remembered(added.gap):
        [found] = looked_at(world, resources)
        assert (found.risk, added.found in found.found) == (added.risk, True), found.found
        assert untouched(world.plan(resources)), "it is none of the plan's business"
        if added.refused:
            with pytest.raises(RefusedError) as refused:
                found.remove()
            assert added.refused in str(refused.value)
            return
        found.remove()
        found.remove()
        assert looked_at(world, resources) == []
    assert untouched(world.plan(resources))


def a_whole_pipeline(config_dir: Path) -> tuple[list[Resource], dict[str, str]]:
    """Declare a whole pipeline with one subscription and with API logs."""
    env = load("dev", config_dir)
    alerts = env.alerts.model_copy(update={"emails": ["Ops@example.com"]})
    return declared(config_dir, alerts=alerts, api=env.api.model_copy(update={"logging": "INFO"}))


@pytest.mark.matrix
def test_a_fresh_pipeline_has_nothing_of_others_and_looking_adds_few_calls(config_dir: Path, world: QuickWorld) -> None:
    resources, tags = a_whole_pipeline(config_dir)
    assert looked_at(world, resources) == []
    world.up(resources, tags=tags)
    world.plan(resources, tags=tags)
    planned = Counter(world.calls)
    assert looked_at(world, resources) == []
    assert (Counter(world.calls) - planned).total() <= NEW_CALLS
    assert len(world.calls) <= MOST_CALLS


QUEUE_DEFAULTS = {"MaximumMessageSize": "262144", "DelaySeconds": "0", "SqsManagedSseEnabled": "true"}
AS_AWS_ANSWERS = [
    pytest.param(
        "GetQueueAttributes",
        lambda found: found["Attributes"].update(QUEUE_DEFAULTS),
        id="a queue from before the limit was raised",
    ),
    pytest.param(
        "GetTopicAttributes",
        lambda found: found["Attributes"].update(
            {f"{each}SuccessFeedbackSampleRate": "0" for each in ("HTTP", "SQS", "Lambda", "Firehose", "Application")}
        ),
        id="rates of 0",
    ),
    pytest.param(
        "DescribeTable",
        lambda found: found["Table"].update(
            TableClassSummary={"TableClass": "STANDARD"},
            OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1},
            WarmThroughput={"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
        ),
        id="warm throughput",
    ),
    pytest.param(
        "DescribeTimeToLive",
        lambda found: found.update(TimeToLiveDescription={"TimeToLiveStatus": "DISABLED", "AttributeName": "then"}),
        id="expiry that was switched off",
    ),
    pytest.param(
        "DescribeKinesisStreamingDestination",
        lambda found: found.update(
            KinesisDataStreamDestinations=[{"StreamArn": STREAM, "DestinationStatus": "DISABLED"}]
        ),
        id="a stream that was disconnected",
    ),
    pytest.param(
        "DescribeParameters",
        lambda found: [each.update(Tier="Standard", Policies=[], DataType="text") for each in found["Parameters"]],
        id="no policies",
    ),
    pytest.param(
        "DescribeLogGroups",
        lambda found: [
            each.update(logGroupClass="STANDARD", deletionProtectionEnabled=False, dataProtectionStatus="DELETED")
            for each in found["logGroups"]
        ],
        id="a standard group",
    ),
    pytest.param(
        "ListSubscriptionsByTopic",
        lambda found: found["Subscriptions"].append(
            {"Protocol": "sms", "Endpoint": "+15550100", "SubscriptionArn": "Deleted"}
        ),
        id="a subscription that has ended",
    ),
]


@pytest.mark.parametrize(("operation", "amend"), AS_AWS_ANSWERS)
def test_what_aws_itself_answers_is_not_of_others(
    operation: str, amend: Callable[[Any], Any], world: QuickWorld
) -> None:
    resources = a_pipeline()
    world.up(resources)
    with remembered(Forgotten(operation, amend)):
        assert looked_at(world, resources) == []


def test_the_default_policy_of_a_topic_is_known_by_what_it_means(world: QuickWorld) -> None:
    resources = a_pipeline("topic")
    world.up(resources)
    limit = {"StringEquals": {"aws:sourceowner": [ACCOUNT]}}
    own = statement("sns:*", "*", Resource=TOPIC, Condition=limit)
    topic_policy(own, default=False)
    assert looked_at(world, resources) == []


def test_what_cannot_be_taken_away_keeps_nothing_else_from_going(world: QuickWorld) -> None:
    resources = a_pipeline("queue", "secret")
    world.up(resources)
    set_queue(QUEUE, DelaySeconds="10")
    with remembered(parameter_shows(KEY, {}, KeyId="alias/spy")):
        assert [each.subject for each in looked_at(world, resources)] == ["KeyId", "DelaySeconds"]
        with pytest.raises(ApplyFailed, match="only by writing its value anew"):
            world.up(resources, strict=True)
        told = [(event.phase, event.detail) for event in world.events if event.address == f"queue/{QUEUE}"]
        [left] = looked_at(world, resources)
    assert left.subject == "KeyId"
    assert told == [("started", "remove"), ("done", "restored")]


@pytest.mark.parametrize("kind", ["queue", "topic", "table"])
def test_only_the_statement_that_was_found_is_taken_out(kind: str, world: QuickWorld) -> None:
    resources = a_pipeline(kind)
    world.up(resources)
    let_two_in(kind)
    first, second = looked_at(world, resources)
    first.remove()
    [left] = looked_at(world, resources)
    assert (first.subject, second.subject, left.subject) == ("statement added1", "statement added2", "statement added2")
    left.remove()
    assert looked_at(world, resources) == []


def test_a_subscription_that_is_declared_no_longer_is_the_plans_business(world: QuickWorld) -> None:
    resources = a_pipeline("topic", "subscription")
    world.up(resources)
    without = [each for each in resources if not isinstance(each, Subscription)]
    assert looked_at(world, without) == []


def test_parameters_are_standard_ones_whatever_the_account_makes_by_default(world: QuickWorld) -> None:
    # UpdateServiceSetting would change this; moto does not implement it.
    ssm_backends[ACCOUNT][REGION].default_parameter_tier = "Advanced"
    resources = a_pipeline("parameter", "secret")
    world.up(resources)
    assert looked_at(world, resources) == []


@pytest.mark.parametrize("tier", ["Standard", "Advanced"])
def test_a_parameter_that_is_written_anew_keeps_its_tier(tier: str, world: QuickWorld) -> None:
    """On AWS, a request without a tier sets the account's default tier; moto keeps the parameter's tier."""
    resources = a_pipeline("parameter", "secret")
    world.up(resources)
    for name, kind in ((CONFIG, "String"), (KEY, "SecureString")):
        client("ssm").put_parameter(
            Name=name, Type=kind, Value="{}", Tier=tier, AllowedPattern="^.*$" * (name == CONFIG), Overwrite=True
        )
    asked = []

    def hear(operation: str, parameters: Any) -> None:
        if operation == "PutParameter":
            asked.append(json.loads(parameters["body"])["Tier"])

    world.before = hear
    world.up([replace(each, kms_key=KMS_KEY) if isinstance(each, Secret) else each for each in resources])
    [pattern] = [each for each in looked_at(world, resources) if each.subject == "AllowedPattern"]
    assert pattern.remove
    pattern.remove()
    assert asked == [tier] * 3


def test_where_there_are_no_mute_rules_nothing_is_muted(world: QuickWorld) -> None:
    resources = a_pipeline("alarm", "topic")
    world.up(resources)
    world.before = lambda operation, _: (
        refusal(operation, "InvalidAction", "Unknown action") if operation == "ListAlarmMuteRules" else None
    )
    assert looked_at(world, resources) == []


def test_recovery_that_is_declared_off_is_not_made_to_last_longer(world: QuickWorld) -> None:
    [table] = a_pipeline("table")
    resources = [replace(table, point_in_time_recovery=False)]
    world.up(resources)
    recover(1)
    assert looked_at(world, resources) == []
    world.up(resources, strict=True)
    assert untouched(world.plan(resources))


def test_a_table_that_was_made_anew_is_told_until_the_state_file_knows_it(world: QuickWorld) -> None:
    resources = a_pipeline("table")
    world.up(resources)
    tags = client("dynamodb").list_tags_of_resource(ResourceArn=TABLE_ARN)["Tags"]
    found = client("dynamodb").describe_table(TableName=TABLE)["Table"]
    client("dynamodb").delete_table(TableName=TABLE)
    client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=found["KeySchema"],
        AttributeDefinitions=found["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
        Tags=tags,
    )
    [told] = looked_at(world, resources)
    assert told.risk == DRAINS
    with pytest.raises(RefusedError, match=f"list-backups .* --table-name {TABLE}"):
        told.remove()
    world.up(resources)
    assert looked_at(world, resources) == []


def test_a_role_that_the_account_had_before_is_left_alone(world: QuickWorld) -> None:
    make_role("somebody")
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role_arn("somebody")}
    client("apigateway").update_account(patchOperations=[patch])
    resources = a_pipeline("api-gateway-account")
    world.up(resources)
    assert looked_at(world, resources) == []


def test_expiry_that_was_changed_a_moment_ago_is_switched_off_later(world: QuickWorld) -> None:
    resources = a_pipeline("table")
    world.up(resources)
    client("dynamodb").update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "then"}
    )
    [found] = looked_at(world, resources)
    said = "Time to live has been modified multiple times within a fixed interval"
    world.before = lambda operation, _: (
        refusal(operation, "ValidationException", said) if operation == "UpdateTimeToLive" else None
    )
    with pytest.raises(RefusedError, match="once an hour"):
        found.remove()
