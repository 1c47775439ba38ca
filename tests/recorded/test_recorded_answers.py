"""Whatever AWS has answered, the code that asks for it can read it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from iotpipe.errors import IotpipeError
from tests.support.recorded import replaying as scenes
from tests.support.recorded.recordings import Recording, answers
from tests.support.recorded.replaying import Scene, on_stage

pytestmark = pytest.mark.together

READ_BY: Mapping[tuple[str, str], Sequence[tuple[str, Scene]]] = {
    ("apigateway", "CreateDeployment"): [("stage", scenes.made_from_nothing)],
    ("apigateway", "CreateResource"): [("route", scenes.made_from_nothing)],
    ("apigateway", "CreateRestApi"): [("rest-api", scenes.made_from_nothing)],
    ("apigateway", "CreateStage"): [("stage", scenes.made_from_nothing)],
    ("apigateway", "DeleteDeployment"): [("stage", scenes.repaired)],
    ("apigateway", "DeleteMethod"): [("route", scenes.repaired)],
    ("apigateway", "DeleteResource"): [("route", scenes.no_longer_declared)],
    ("apigateway", "DeleteRestApi"): [("rest-api", scenes.deleted)],
    ("apigateway", "DeleteStage"): [("stage", scenes.no_longer_declared)],
    ("apigateway", "GetAccount"): [("api-gateway-account", scenes.looked_at)],
    ("apigateway", "GetDeployments"): [("stage", scenes.looked_at)],
    ("apigateway", "GetResources"): [("route", scenes.looked_at), ("route", scenes.asked_whose)],
    ("apigateway", "GetRestApi"): [("rest-api", scenes.asked_whose), ("route", scenes.asked_whose)],
    ("apigateway", "GetRestApis"): [("rest-api", scenes.looked_at)],
    ("apigateway", "GetStage"): [("stage", scenes.asked_whose)],
    ("apigateway", "GetStages"): [("stage", scenes.looked_at)],
    ("apigateway", "PutIntegration"): [("route", scenes.repaired)],
    ("apigateway", "PutMethod"): [("route", scenes.repaired)],
    ("apigateway", "UpdateAccount"): [("api-gateway-account", scenes.made_from_nothing)],
    ("apigateway", "UpdateRestApi"): [("rest-api", scenes.repaired)],
    ("apigateway", "UpdateStage"): [("stage", scenes.repaired)],
    ("cloudwatch", "DeleteAlarms"): [("alarm", scenes.deleted)],
    ("cloudwatch", "DescribeAlarms"): [("alarm", scenes.looked_at), ("alarm", scenes.asked_whose)],
    ("cloudwatch", "GetDashboard"): [("dashboard", scenes.looked_at), ("dashboard", scenes.asked_whose)],
    ("cloudwatch", "GetMetricData"): [("queue", scenes.looked_at)],
    ("cloudwatch", "ListMetrics"): [("alarm", scenes.measured)],
    ("cloudwatch", "ListTagsForResource"): [("dashboard", scenes.looked_at), ("dashboard", scenes.asked_whose)],
    ("cloudwatch", "PutMetricAlarm"): [("alarm", scenes.made_from_nothing)],
    ("dynamodb", "BatchWriteItem"): [("table", scenes.handled)],
    ("dynamodb", "CreateTable"): [("table", scenes.made_from_nothing)],
    ("dynamodb", "DeleteTable"): [("table", scenes.deleted)],
    ("dynamodb", "DescribeContinuousBackups"): [("table", scenes.looked_at)],
    ("dynamodb", "DescribeTable"): [("table", scenes.looked_at), ("table", scenes.asked_whose)],
    ("dynamodb", "ListTagsOfResource"): [("table", scenes.looked_at), ("table", scenes.asked_whose)],
    ("dynamodb", "TagResource"): [("table", scenes.tagged)],
    ("dynamodb", "UntagResource"): [("table", scenes.untagged)],
    ("dynamodb", "UpdateContinuousBackups"): [("table", scenes.made_from_nothing)],
    ("dynamodb", "UpdateTable"): [("table", scenes.repaired)],
    ("iam", "CreateRole"): [("role", scenes.made_from_nothing)],
    ("iam", "DeleteRole"): [("role", scenes.deleted)],
    ("iam", "DeleteRolePermissionsBoundary"): [("role", scenes.without_its_boundary)],
    ("iam", "DeleteRolePolicy"): [("role", scenes.deleted)],
    ("iam", "DetachRolePolicy"): [("role", scenes.repaired)],
    ("iam", "GetRole"): [
        ("role", scenes.looked_at),
        ("role", scenes.asked_whose),
        ("api-gateway-account", scenes.looked_at),
        ("function", scenes.as_the_role),
    ],
    ("iam", "GetRolePolicy"): [("role", scenes.looked_at), ("api-gateway-account", scenes.looked_at)],
    ("iam", "ListAttachedRolePolicies"): [("role", scenes.looked_at), ("api-gateway-account", scenes.looked_at)],
    ("iam", "ListInstanceProfilesForRole"): [("role", scenes.taken_out_of_its_profile)],
    ("iam", "ListRolePolicies"): [("role", scenes.looked_at), ("api-gateway-account", scenes.looked_at)],
    ("iam", "PutRolePermissionsBoundary"): [("role", scenes.repaired)],
    ("iam", "RemoveRoleFromInstanceProfile"): [("role", scenes.taken_out_of_its_profile)],
    ("iam", "SimulatePrincipalPolicy"): [("function", scenes.examined)],
    ("iam", "TagRole"): [("role", scenes.tagged)],
    ("iam", "UntagRole"): [("role", scenes.untagged)],
    ("iam", "UpdateAssumeRolePolicy"): [("role", scenes.repaired)],
    ("lambda", "AddPermission"): [("permission", scenes.made_from_nothing)],
    ("lambda", "CreateEventSourceMapping"): [("event-source-mapping", scenes.made_from_nothing)],
    ("lambda", "CreateFunction"): [("function", scenes.made_from_nothing)],
    ("lambda", "DeleteEventSourceMapping"): [("event-source-mapping", scenes.deleted)],
    ("lambda", "DeleteFunction"): [("function", scenes.deleted)],
    ("lambda", "DeleteFunctionConcurrency"): [("function", scenes.without_its_reservation)],
    ("lambda", "DeleteLayerVersion"): [("layer", scenes.deleted)],
    ("lambda", "GetAccountSettings"): [("function", scenes.examined)],
    ("lambda", "GetEventSourceMapping"): [("event-source-mapping", scenes.asked_whose)],
    ("lambda", "GetFunction"): [("function", scenes.looked_at), ("function", scenes.asked_whose)],
    ("lambda", "GetFunctionConfiguration"): [("function", scenes.reconfigured)],
    ("lambda", "GetPolicy"): [("permission", scenes.looked_at), ("permission", scenes.asked_whose)],
    ("lambda", "ListEventSourceMappings"): [("event-source-mapping", scenes.looked_at)],
    ("lambda", "ListLayerVersions"): [("layer", scenes.looked_at), ("layer", scenes.asked_whose)],
    ("lambda", "ListTags"): [("event-source-mapping", scenes.looked_at), ("event-source-mapping", scenes.asked_whose)],
    ("lambda", "PublishLayerVersion"): [("layer", scenes.made_from_nothing)],
    ("lambda", "PutFunctionConcurrency"): [("function", scenes.made_from_nothing)],
    ("lambda", "RemovePermission"): [("permission", scenes.repaired)],
    ("lambda", "TagResource"): [("function", scenes.tagged), ("event-source-mapping", scenes.tagged)],
    ("lambda", "UntagResource"): [("function", scenes.untagged), ("event-source-mapping", scenes.untagged)],
    ("lambda", "UpdateEventSourceMapping"): [("event-source-mapping", scenes.repaired)],
    ("lambda", "UpdateFunctionCode"): [("function", scenes.repaired)],
    ("lambda", "UpdateFunctionConfiguration"): [("function", scenes.repaired)],
    ("logs", "CreateLogGroup"): [("log-group", scenes.made_from_nothing)],
    ("logs", "DeleteLogGroup"): [("log-group", scenes.deleted)],
    ("logs", "DescribeLogGroups"): [("log-group", scenes.looked_at), ("log-group", scenes.asked_whose)],
    ("logs", "FilterLogEvents"): [("log-group", scenes.logged)],
    ("logs", "ListTagsForResource"): [("log-group", scenes.looked_at), ("log-group", scenes.asked_whose)],
    ("logs", "PutRetentionPolicy"): [("log-group", scenes.made_from_nothing)],
    ("resourcegroupstaggingapi", "GetResources"): [("alarm", scenes.looked_at)],
    ("sns", "CreateTopic"): [("topic", scenes.made_from_nothing)],
    ("sns", "DeleteTopic"): [("topic", scenes.deleted)],
    ("sns", "GetTopicAttributes"): [("topic", scenes.looked_at)],
    ("sns", "ListSubscriptionsByTopic"): [("subscription", scenes.looked_at), ("subscription", scenes.asked_whose)],
    ("sns", "ListTagsForResource"): [("topic", scenes.looked_at), ("topic", scenes.asked_whose)],
    ("sns", "Publish"): [("topic", scenes.handled)],
    ("sns", "SetTopicAttributes"): [("topic", scenes.repaired)],
    ("sns", "Subscribe"): [("subscription", scenes.made_from_nothing)],
    ("sns", "TagResource"): [("topic", scenes.tagged)],
    ("sns", "Unsubscribe"): [("subscription", scenes.no_longer_declared)],
    ("sns", "UntagResource"): [("topic", scenes.untagged)],
    ("sqs", "CreateQueue"): [("queue", scenes.made_from_nothing)],
    ("sqs", "DeleteQueue"): [("queue", scenes.deleted)],
    ("sqs", "GetQueueAttributes"): [
        ("queue", scenes.looked_at),
        ("queue", scenes.asked_whose),
        ("queue", scenes.dead_letters_seen),
    ],
    ("sqs", "GetQueueUrl"): [("queue", scenes.found)],
    ("sqs", "ListQueueTags"): [("queue", scenes.looked_at), ("queue", scenes.asked_whose)],
    ("sqs", "ReceiveMessage"): [("queue", scenes.dead_letters_seen), ("queue", scenes.dead_letters_moved_by_hand)],
    ("sqs", "SendMessageBatch"): [("queue", scenes.dead_letters_moved_by_hand), ("queue", scenes.handled)],
    ("sqs", "SetQueueAttributes"): [("queue", scenes.repaired)],
    ("sqs", "TagQueue"): [("queue", scenes.tagged)],
    ("ssm", "DeleteParameter"): [("parameter", scenes.deleted)],
    ("ssm", "DescribeParameters"): [("secret", scenes.looked_at)],
    ("ssm", "GetParameter"): [("parameter", scenes.looked_at)],
    ("ssm", "ListTagsForResource"): [("parameter", scenes.looked_at), ("parameter", scenes.asked_whose)],
    ("ssm", "PutParameter"): [("parameter", scenes.made_from_nothing)],
    ("sts", "GetCallerIdentity"): [("queue", scenes.greeted)],
}
"""The scenes in which an operation's answer is read: a kind of resource whose sample is there, and what is done."""

ELSEWHERE = {
    ("dynamodb", "Query"): "its one recording has no row of a reading: tests/handlers/test_queries.py",
    ("sqs", "ListMessageMoveTasks"): "moto has no move tasks: tests/recorded/test_recorded_moves.py",
    ("sqs", "StartMessageMoveTask"): "moto has no move tasks: tests/recorded/test_recorded_moves.py",
}

REPLAYS = [
    pytest.param(each, kind, scene, id=f"{each.id} {kind}")
    for each in answers()
    for kind, scene in READ_BY.get((each.service, each.operation), ())
]


@pytest.mark.sampled(80)
@pytest.mark.matrix
@pytest.mark.parametrize(("recording", "kind", "scene"), REPLAYS)
def test_a_recorded_answer_is_read(recording: Recording, kind: str, scene: Scene, tmp_path: Path) -> None:
    world, _ = on_stage(kind, tmp_path)
    world.recording = recording
    try:
        scene(world, kind)
    except IotpipeError as error:
        assert str(error), "whatever does not fit is told"
    assert world.replayed + world.renewed, "nobody asked for it"


def test_every_recorded_operation_is_read_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Counter((each.service, each.operation) for each in answers())
    assert recorded.keys() - READ_BY.keys() == ELSEWHERE.keys()
    by_service = Counter(each.service for each in answers())
    print(f"{len(REPLAYS)} replays of {sum(by_service.values())} answers: {json.dumps(by_service)}")
