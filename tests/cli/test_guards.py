"""What `up` and `down` ask, refuse and show before something is lost, as a user types it."""

from __future__ import annotations

import re

import pytest

from tests.support.shell import Shell, settings, writes


def test_what_cannot_be_made_again_is_asked_about_or_refused(deployed: Shell) -> None:
    cloud = deployed
    dynamodb = cloud.client("dynamodb")
    dynamodb.delete_table(TableName="raw-sensor-data-dev")
    cloud.client("ssm").delete_parameter(Name="/iot-pipeline/dev/api-key")
    cloud.operations()
    asked = cloud.run("up", code=2)
    (table,) = [line for line in asked.stderr.splitlines() if "gone   table/" in line]
    assert "together with its data" in table
    assert "aws dynamodb restore-table-from-backup --target-table-name raw-sensor-data-dev" in table
    assert "gone   secret//iot-pipeline/dev/api-key was deleted outside iotpipe together with its key" in asked.stderr
    assert "nothing was changed" in asked.stderr and "--yes" in asked.stderr

    settings(cloud, "dev", "tags: {purpose: development}\nprotect: true")
    refused = cloud.run("up", "--yes", code=1)
    assert "table/raw-sensor-data-dev was deleted outside iotpipe, and dev is protected" in refused.stderr
    settings(cloud, "dev", "tags: {purpose: development}\nprotect: true\nsuffix: other")
    refused = cloud.run("up", "--yes", code=1)
    for lost in ("rest-api/iot-api-dev", "queue/iot-ingestion-queue-dev"):
        assert re.search(
            rf"{lost} is not declared and would be deleted with its \w+, but dev is protected", refused.stderr
        )
    assert writes(cloud.operations()) == []

    settings(cloud, "dev", "tags: {purpose: development}")
    cloud.run("up", "--yes")
    assert sorted(dynamodb.list_tables()["TableNames"]) == ["processed-data-dev", "raw-sensor-data-dev"]

    dynamodb.update_table(TableName="processed-data-dev", DeletionProtectionEnabled=True)
    cloud.operations()
    refused = cloud.run("down", "--yes", "--delete-data", code=1)
    assert (
        "error: refused, and nothing was changed:\n  table/processed-data-dev has deletion protection" in refused.stderr
    )
    assert writes(cloud.operations()) == []


def test_what_others_added_is_shown_counted_and_removed_when_asked_to(deployed: Shell) -> None:
    cloud = deployed
    functions, sqs = cloud.client("lambda"), cloud.client("sqs")
    functions.add_permission(
        FunctionName="data-query-dev", StatementId="all", Action="lambda:InvokeFunction", Principal="*"
    )
    url = sqs.get_queue_url(QueueName="iot-dlq-dev")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "60"})
    cloud.operations()
    plan = cloud.run("plan", "--exit-code")
    opens, alters = [line for line in plan.stdout.splitlines() if "! foreign" in line]
    assert re.search(r"opens +function/data-query-dev: anybody can call data-query-dev", opens)
    assert "queue/iot-dlq-dev" in alters
    assert "2 foreign: `iotpipe up --strict` removes them." in plan.stdout
    assert len(cloud.operations()) <= 80
    cloud.run("plan", "--strict", code=3)
    assert [each["address"] for each in cloud.json("status")["foreign"]] == [
        "function/data-query-dev",
        "queue/iot-dlq-dev",
    ]
    assert "anybody can call data-query-dev" in cloud.run("doctor", code=1).stdout
    cloud.operations()
    cloud.run("up")
    assert "--yes" in cloud.run("up", "--strict", code=2).stderr
    assert writes(cloud.operations()) == []
    cloud.run("up", "--strict", "--yes")
    removed = ["DELETE /2015-03-31/functions/data-query-dev/policy/all", "SetQueueAttributes"]
    assert writes(cloud.operations()) == removed
    cloud.run("plan", "--strict")


def test_a_web_acl_is_left_with_what_to_do_about_it(deployed: Shell) -> None:
    cloud = deployed
    waf, [api] = cloud.client("wafv2"), cloud.client("apigateway").get_rest_apis()["items"]
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    acl = waf.create_web_acl(Name="a", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=seen)["Summary"]
    stage = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}/stages/dev"
    waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=stage)
    cloud.operations()
    left = cloud.run("up", "--strict").stderr
    assert f"stage/dev: the web ACL {acl['ARN']} decides which requests reach the stage, and stays" in left
    assert f"`aws wafv2 disassociate-web-acl --resource-arn {stage}`" in left
    assert "1 foreign: `iotpipe up --strict` leaves them." in left
    assert writes(cloud.operations()) == []
    told = cloud.run("doctor").stdout
    assert "If it is wanted, set `api.web_acl` to it" in told and "up --strict" not in told


@pytest.mark.parametrize("words", [("outputs",), ("query", "sensor-001"), ("send-test-data",)])
def test_where_the_state_file_was_lost_what_is_up_is_not_said_to_be_down(
    deployed: Shell, words: tuple[str, ...]
) -> None:
    before = deployed.run("outputs", "--env", "dev").stdout
    (deployed.directory / ".iotpipe" / "dev.json").unlink()
    told = deployed.run(*words, "--env", "dev", code=2).stderr
    assert told.startswith("error: dev is not up, or its state file was lost\n")
    assert "`iotpipe up --env dev`: it creates the environment, or records again what already exists" in told
    deployed.run("up", "--env", "dev")
    assert deployed.run("outputs", "--env", "dev").stdout == before


def test_what_a_lost_state_file_knew_is_found_by_its_tags(deployed: Shell) -> None:
    cloud = deployed
    state = cloud.directory / ".iotpipe" / "dev.json"
    state.unlink()
    settings(cloud, "dev", "suffix: other")
    plan = cloud.json("plan", "--env", "dev")
    found = {each["address"]: each["action"] for each in plan["steps"] if each["action"] in ("delete", "keep")}
    assert found["queue/iot-dlq-dev"] == found["role/iot-query-lambda-role-dev"] == "delete"
    assert found["table/raw-sensor-data-dev"] == "keep"
    assert cloud.json("status", "--env", "dev")["resources"]["function/data-query-dev"] == "orphaned"
    cloud.run("up", "--env", "dev", "--yes")
    left = {each["FunctionName"] for each in cloud.client("lambda").list_functions()["Functions"]}
    assert left == {"data-ingestion-other", "data-processor-other", "data-query-other"}
    assert len(cloud.client("apigateway").get_rest_apis()["items"]) == 1
    # The tables of the old suffix are still there, and recorded: `down` names them.
    state.unlink()
    gone = cloud.json("down", "--env", "dev", "--yes", "--delete-data")
    assert {each for each in gone["deleted"] if each.startswith("table/")} == {
        f"table/{name}-{suffix}" for name in ("raw-sensor-data", "processed-data") for suffix in ("dev", "other")
    }
