"""The way in over MQTT, after `up`, as plain boto3 finds it; and what an environment without it does not pay for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from tests.support.account_inventory import client, left_over, pages
from tests.support.engine_world import refusal
from tests.support.pipeline_world import ACCOUNT, REGION, Declared, Settings, World

WITH_DEVICES: Settings = {"devices": {"enabled": True}}
THING = "${iot:Connection.Thing.ThingName}"
Declare = Callable[..., Declared]


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def url(queue: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue}"


ROLE = f"arn:aws:iam::{ACCOUNT}:role/iot-device-rule-role-dev"
QUEUES = [arn("sqs", "iot-device-queue-dev"), arn("sqs", "iot-dlq-dev")]


def to(queue: str) -> dict[str, Any]:
    return {"sqs": {"roleArn": ROLE, "queueUrl": url(queue), "useBase64": False}}


def statements(role: str) -> dict[str, Any]:
    policy = client("iam").get_role_policy(RoleName=role, PolicyName="iotpipe")["PolicyDocument"]
    return {each["Sid"]: each for each in policy["Statement"]}


def enrol(name: str = "dev:roof") -> tuple[str, str]:
    """A device with a certificate that bears the policy: id and ARN of the certificate."""
    iot = client("iot")
    iot.create_thing(thingName=name, attributePayload={"attributes": {"iotpipe": "dev"}})
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="iot-device-policy-dev", target=made["certificateArn"])
    return made["certificateId"], made["certificateArn"]


def test_the_rule_takes_the_whole_message_and_who_sent_it(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    rule = client("iot").get_topic_rule(ruleName="iotpipe_dev")["rule"]
    assert rule["sql"] == (
        "SELECT encode(*, 'base64') AS payload, topic(3) AS thing, timestamp() AS received, traceid() AS trace, "
        "clientid() AS client, principal() AS certificate FROM 'iotpipe/dev/+/readings'"
    )
    assert (rule["awsIotSqlVersion"], rule["ruleDisabled"]) == ("2016-03-23", False)
    assert rule["actions"] == [to("iot-device-queue-dev")]
    assert rule["errorAction"] == to("iot-dlq-dev")


def test_an_environment_whose_name_has_a_hyphen_has_a_rule_without_one(world: World, declared: Declare) -> None:
    names = {each.kind: each.name for each in declared(WITH_DEVICES | {"suffix": "dev-eu"}).resources}
    assert names["topic-rule"] == "iotpipe_dev_eu"


def test_only_aws_iot_of_this_account_and_region_assumes_the_rules_role(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    role = client("iam").get_role(RoleName="iot-device-rule-role-dev")["Role"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Action"], trust["Principal"]) == ("sts:AssumeRole", {"Service": "iot.amazonaws.com"})
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": arn("iot", "*")},
    }
    [statement] = statements("iot-device-rule-role-dev").values()
    assert (statement["Action"], sorted(statement["Resource"])) == ("sqs:SendMessage", QUEUES)


def test_a_device_may_be_itself_publish_its_readings_and_hear_its_errors(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    found = client("iot").get_policy(policyName="iot-device-policy-dev")
    document = json.loads(found["policyDocument"])
    assert len(found["policyDocument"]) <= 2048, "AWS IoT takes no longer one"
    assert [(each["Effect"], each["Action"], each["Resource"]) for each in document["Statement"]] == [
        ("Allow", "iot:Connect", [arn("iot", f"client/{THING}")]),
        (
            "Allow",
            "iot:Publish",
            [
                arn("iot", f"topic/iotpipe/dev/{THING}/readings"),
                arn("iot", f"topic/$aws/rules/iotpipe_dev/iotpipe/dev/{THING}/readings"),
            ],
        ),
        ("Allow", "iot:Subscribe", [arn("iot", f"topicfilter/iotpipe/dev/{THING}/errors")]),
        ("Allow", "iot:Receive", [arn("iot", f"topic/iotpipe/dev/{THING}/errors")]),
    ]
    conditions = [each.get("Condition") for each in document["Statement"]]
    assert conditions == [{"Bool": {"iot:Connection.Thing.IsAttached": "true"}}, None, None, None]


def test_the_queue_of_the_devices_feeds_ingestion(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES | {"devices": {"enabled": True, "maximum_concurrency": 7}}))
    mappings = pages("lambda", "list_event_source_mappings", "EventSourceMappings")
    [mapping] = [each for each in mappings if each["EventSourceArn"] == QUEUES[0]]
    assert mapping["FunctionArn"] == arn("lambda", "function:data-ingestion-dev")
    assert (mapping["BatchSize"], mapping["ScalingConfig"]["MaximumConcurrency"]) == (10, 7)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url("iot-device-queue-dev"), AttributeNames=["All"])
    policy = json.loads(attributes["Attributes"]["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": QUEUES[1], "maxReceiveCount": 3}


def test_ingestion_may_read_their_queue_and_tell_them_what_it_refused(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    may = statements("iot-ingestion-lambda-role-dev")
    assert may["NotifyDevices"]["Action"] == "iot:Publish"
    assert may["NotifyDevices"]["Resource"] == [arn("iot", "topic/iotpipe/dev/*/errors")]
    assert may["ConsumeDevices"]["Resource"] == [QUEUES[0]]
    variables = client("lambda").get_function(FunctionName="data-ingestion-dev")["Configuration"]["Environment"]
    assert (
        variables["Variables"].items()
        >= {
            "THING_PREFIX": "dev:",
            "DEVICE_ERRORS_TOPIC": "iotpipe/dev/{thing}/errors",
            "DEAD_LETTER_QUEUE_URL": url("iot-dlq-dev"),
        }.items()
    )


ALARMS = {
    "iot-device-failures-dev": ("Failure", {"RuleName": "iotpipe_dev", "ActionType": "SQS"}),
    "iot-device-lost-dev": ("ErrorActionFailure", {"RuleName": "iotpipe_dev", "ActionType": "SQS"}),
    "iot-device-throttled-dev": ("RuleMessageThrottled", {"RuleName": "iotpipe_dev"}),
    "iot-device-unknown-rule-dev": ("RuleNotFound", {"RuleName": "iotpipe_dev"}),
}


def test_each_way_to_lose_a_message_has_an_alarm(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    found = {each["AlarmName"]: each for each in pages("cloudwatch", "describe_alarms", "MetricAlarms")}
    for name, (metric, dimensions) in ALARMS.items():
        alarm = found[name]
        assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/IoT", metric, 0)
        assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == dimensions
        assert alarm["TreatMissingData"] == "notBreaching", "no message is no failure"
    age = found["iot-device-queue-age-dev"]
    assert age["Dimensions"] == [{"Name": "QueueName", "Value": "iot-device-queue-dev"}]
    body = json.loads(client("cloudwatch").get_dashboard(DashboardName="iot-pipeline-dev")["DashboardBody"])
    shown = {metric[1] for widget in body["widgets"] for metric in widget["properties"]["metrics"]}
    assert shown >= {"TopicMatch", "Success", *(metric for metric, _ in ALARMS.values())}


def test_a_second_up_writes_nothing_and_down_leaves_nothing(world: World, declared: Declare) -> None:
    world.bring_up(declared(WITH_DEVICES))
    world.bring_up(declared(WITH_DEVICES))
    assert not world.writes
    world.down(delete_data=True)
    assert left_over() == []


def test_devices_that_are_switched_off_leave_nothing(world: World, declared: Declare) -> None:
    world.bring_up(declared({}))
    world.bring_up(declared(WITH_DEVICES))
    world.bring_up(declared({}))
    assert not pages("iot", "list_topic_rules", "rules") and not pages("iot", "list_policies", "policies")
    assert not world.planned(declared({})).pending


@pytest.mark.parametrize("answer", ["no tags", "an error"])
def test_down_takes_a_rule_and_a_policy_that_somebody_deleted_for_gone(
    world: World, declared: Declare, answer: str
) -> None:
    """Whatever is answered about their tags: the API reference has an error, ministack answers that there are none."""

    def not_found(operation: str, request: dict[str, Any]) -> ClientError | None:
        arn = request["query_string"].get("resourceArn", "") if request["url_path"] == "/tags" else ""
        return refusal(operation, "ResourceNotFoundException", f"Resource not found: {arn}") if arn else None

    world.bring_up(declared(WITH_DEVICES))
    client("iot").delete_topic_rule(ruleName="iotpipe_dev")
    client("iot").delete_policy(policyName="iot-device-policy-dev")
    world.before = not_found if answer == "an error" else None
    done = world.taken_down(delete_data=True)
    assert sorted(done.gone) == ["iot-policy/iot-device-policy-dev", "topic-rule/iotpipe_dev"]
    assert not done.others and not [each for each in world.events if "tags" in each.detail]


@pytest.mark.parametrize("command", ["down", "up without devices"])
def test_neither_down_nor_up_takes_the_policy_from_enrolled_devices(
    world: World, declared: Declare, command: str
) -> None:
    world.bring_up(declared(WITH_DEVICES))
    enrol()
    with pytest.raises(RefusedError, match=r"iot-device-policy-dev.*devices are enrolled.*--delete-devices"):
        world.down(delete_data=True) if command == "down" else world.bring_up(declared({}))
    assert not world.writes
    assert client("iot").get_policy(policyName="iot-device-policy-dev")


def test_an_environment_without_devices_asks_aws_iot_for_nothing(world: World, declared: Declare) -> None:
    world.bring_up(declared({}))
    world.planned(declared({}))
    world.down(delete_data=True)
    names = {client("iot").meta.service_model.operation_model(each).name for each in ("GetTopicRule", "GetPolicy")}
    names |= {"ListTopicRules", "ListTargetsForPolicy", "ListPolicyVersions"}
    assert not names & set(world.calls)
