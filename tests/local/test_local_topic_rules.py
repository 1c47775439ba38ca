"""Topic rules of the embedded AWS: from a device into a queue, what happens if that fails, and Lambda's publishes."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.local_machine import Machine, eventually
from tests.support.mqtt_devices import SUBSCRIBED, SUCCESS, Fleet

pytestmark = pytest.mark.embedded

SELECT = (
    "SELECT encode(*, 'base64') AS payload, topic(3) AS thing, timestamp() AS received, traceid() AS trace, "
    "clientid() AS client, principal() AS certificate"
)
TOPIC = "iotpipe/dev/dev:roof/readings"
PUBLISHER = b"""
import boto3
client = boto3.client("iot-data", region_name="us-east-1")
def handler(event, context):
    client.publish(topic=event["topic"], qos=1, payload=b"from a function")
"""


def test_a_reading_reaches_the_queue_by_either_topic_whatever_it_contains(fleet: Fleet) -> None:
    url, owner = fleet.queue_of_readings(SELECT), fleet.enrolled("dev:roof")
    payload = bytes(range(256))
    before = time.time() * 1000
    with fleet.connect("dev:roof", owner) as device:
        for topic in (TOPIC, f"$aws/rules/iotpipe_dev/{TOPIC}"):
            assert device.publish(topic, payload) == SUCCESS
            [body] = fleet.bodies(url)
            assert base64.b64decode(body["payload"]) == payload
            assert body["thing"] == body["client"] == "dev:roof"
            assert body["certificate"] == owner.certificate_id
            assert before - 1 <= body["received"] <= time.time() * 1000
            assert body["trace"]


def test_a_last_will_says_whose_it_is(fleet: Fleet) -> None:
    url, owner = fleet.queue_of_readings(SELECT), fleet.enrolled("dev:willing")
    will = ("iotpipe/dev/dev:willing/readings", "gone")
    with fleet.connect("dev:willing", owner, will=will), fleet.connect("dev:willing", owner) as second:
        assert second.connected
        [body] = fleet.bodies(url)
        assert base64.b64decode(body["payload"]) == b"gone"
        assert (body["client"], body["certificate"]) == ("dev:willing", owner.certificate_id)


def test_what_cannot_be_queued_goes_to_the_error_action_and_is_counted(fleet: Fleet) -> None:
    sqs = fleet.machine.client("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("target", "dead")}
    roles = {
        "gone": fleet.role("gone", "target"),
        "without rights": fleet.role("without-rights"),
        "of another service": fleet.role("of-another-service", "target", principal="lambda.amazonaws.com"),
        "good": fleet.role("good", "target", "dead"),
    }
    targets = dict.fromkeys(roles, urls["target"]) | {"good": f"{urls['target']}-missing"}
    for number, (why, role) in enumerate(roles.items()):
        payload = {
            "sql": f"{SELECT} FROM 'failing/{number}'",
            "actions": [{"sqs": {"queueUrl": targets[why], "roleArn": role}}],
            "errorAction": {"sqs": {"queueUrl": urls["dead"], "roleArn": roles["good"]}},
        }
        fleet.iot.create_topic_rule(ruleName=f"failing_{number}", topicRulePayload=payload)
    iam = fleet.machine.client("iam")
    iam.delete_role_policy(RoleName="gone", PolicyName="send")
    iam.delete_role(RoleName="gone")
    with fleet.connect("dev:any", fleet.free("dev:any")) as device:
        for number, why in enumerate(roles):
            assert device.publish(f"failing/{number}", b"\xff") == SUCCESS
            [record] = fleet.bodies(urls["dead"])
            assert record["ruleName"] == f"failing_{number}"
            assert record["topic"] == f"failing/{number}"
            assert record["clientId"] == "dev:any"
            assert base64.b64decode(record["base64OriginalPayload"]) == b"\xff"
            [failure] = record["failures"]
            assert (failure["failedAction"], failure["failedResource"]) == ("SqsAction", targets[why])
            assert ("QueueDoesNotExist" if why == "good" else "sqs:SendMessage") in failure["errorMessage"]
        assert device.publish("$aws/rules/missing/a", "{}") == SUCCESS
        assert device.publish("$aws/rules/failing_3/failing/3", "{}") == SUCCESS
    assert fleet.bodies(urls["target"]) == []
    assert counted(fleet.machine, "Failure", RuleName="failing_3", ActionType="SQS") == 2
    assert counted(fleet.machine, "ErrorActionSuccess", RuleName="failing_3", ActionType="SQS") == 2
    assert counted(fleet.machine, "TopicMatch", RuleName="failing_3") == 2
    assert counted(fleet.machine, "RuleNotFound", RuleName="missing") == 1


def test_an_error_action_that_fails_is_counted(fleet: Fleet) -> None:
    target = {"sqs": {"queueUrl": "http://localhost/000000000000/nowhere", "roleArn": fleet.role("nowhere")}}
    payload = {"sql": "SELECT * FROM 'lost'", "actions": [target], "errorAction": target}
    fleet.iot.create_topic_rule(ruleName="lost", topicRulePayload=payload)
    fleet.data.publish(topic="lost", payload=b"{}")
    assert counted(fleet.machine, "ErrorActionFailure", RuleName="lost", ActionType="SQS") == 1


def counted(machine: Machine, metric: str, **dimensions: str) -> float:
    """Return the sum of a metric of AWS IoT."""
    now = datetime.now(UTC)
    found = machine.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/IoT",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))


def test_a_function_publishes_to_a_device_with_the_rights_of_its_role(fleet: Fleet) -> None:
    topic = "iotpipe/dev/dev:hearing/errors"
    invoke = function(fleet.machine, f"arn:aws:iot:us-east-1:000000000000:topic/{topic}")
    with fleet.connect("dev:hearing", fleet.enrolled("dev:hearing")) as device:
        assert device.subscribe(topic) == SUBSCRIBED
        assert invoke(topic) is None
        assert device.message().payload == b"from a function"
        assert "Forbidden" in invoke("iotpipe/dev/dev:other/errors")["errorMessage"]


def function(machine: Machine, allowed: str) -> Any:
    """Create a function that publishes, with the right to publish to one topic; return what invokes it."""
    iam, functions = machine.client("iam"), machine.client("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="publisher", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    statement = {"Effect": "Allow", "Action": "iot:Publish", "Resource": allowed}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="publisher", PolicyName="publish", PolicyDocument=document)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("publisher.py", PUBLISHER)
    functions.create_function(
        FunctionName="publisher",
        Runtime="python3.12",
        Handler="publisher.handler",
        Role=role["Arn"],
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )

    def invoke(topic: str) -> Any:
        answer = functions.invoke(FunctionName="publisher", Payload=json.dumps({"topic": topic}).encode())
        return json.loads(answer["Payload"].read())

    eventually(lambda: functions.get_function(FunctionName="publisher")["Configuration"]["State"] == "Active")
    return invoke
