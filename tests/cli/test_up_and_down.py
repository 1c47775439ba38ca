"""`up`, `plan`, `status`, `outputs` and `down` as a user types them, against an AWS in another process."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess

import pytest

from tests.support.engine_world import declared_count
from tests.support.shell import Shell, read_until, settings, writes


def test_up_makes_everything_and_a_second_up_writes_nothing(cloud: Shell) -> None:
    first = cloud.run("up", "--env", "dev")
    assert "created  table/raw-sensor-data-dev" in first.stderr
    assert len(writes(cloud.operations())) >= 60
    endpoint = re.search(r"ApiEndpoint +https://(\w+)\.execute-api\.us-east-1\.amazonaws\.com/dev", first.stdout)
    assert endpoint
    assert endpoint[1] in [each["id"] for each in cloud.client("apigateway").get_rest_apis()["items"]]

    state = cloud.directory / ".iotpipe" / "dev.json"
    second = cloud.run("up", "--env", "dev")
    asked = cloud.operations()
    assert writes(asked) == []
    assert len(asked) <= 60
    assert "Nothing to do" in second.stderr
    assert second.stdout == first.stdout
    # The second time also recorded when the queues and log groups were made; then there is nothing left to record.
    before = state.read_bytes(), state.stat().st_mtime_ns
    cloud.run("up", "--env", "dev")
    assert (state.read_bytes(), state.stat().st_mtime_ns) == before
    assert state.stat().st_mode & 0o777 == 0o600


def test_a_plan_writes_nothing_anywhere_and_counts_as_pending(cloud: Shell) -> None:
    done = cloud.run("plan", "--env", "dev", "--exit-code", code=3)
    assert "+ create  table/raw-sensor-data-dev" in done.stdout
    assert writes(cloud.operations()) == []
    assert not (cloud.directory / ".iotpipe").exists()


def test_drift_is_named_and_repaired(deployed: Shell) -> None:
    sqs = deployed.client("sqs")
    url = sqs.get_queue_url(QueueName="iot-ingestion-queue-dev")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "77"})
    plan = deployed.json("plan", "--env", "dev")
    changed = [(each["address"], each["changes"]) for each in plan["steps"] if each["action"] != "none"]
    drift = {"property": "VisibilityTimeout", "before": "77", "after": "360", "drift": True}
    assert changed == [("queue/iot-ingestion-queue-dev", [drift])]
    assert deployed.json("status")["resources"]["queue/iot-ingestion-queue-dev"] == "drifted"
    deployed.operations()
    deployed.run("up")
    assert writes(deployed.operations()) == ["SetQueueAttributes"]
    assert deployed.run("plan", "--exit-code").returncode == 0


def test_down_keeps_the_tables_and_says_so_and_then_leaves_only_the_account_role(deployed: Shell) -> None:
    kept = deployed.run("down", "--yes")
    assert "Kept with their data: table/processed-data-dev, table/raw-sensor-data-dev" in kept.stdout
    assert sorted(deployed.client("dynamodb").list_tables()["TableNames"]) == [
        "processed-data-dev",
        "raw-sensor-data-dev",
    ]
    gone = deployed.json("down", "--yes", "--delete-data")
    assert gone["deleted"] == ["table/processed-data-dev", "table/raw-sensor-data-dev"]
    assert gone["kept"] == ["api-gateway-account/us-east-1"]
    assert deployed.client("dynamodb").list_tables()["TableNames"] == []
    assert deployed.client("lambda").list_functions()["Functions"] == []
    assert deployed.client("logs").describe_log_groups()["logGroups"] == []
    roles = [each["RoleName"] for each in deployed.client("iam").list_roles()["Roles"]]
    assert roles == ["iotpipe-api-gateway-logging-us-east-1"]
    assert "nothing to take down" in deployed.run("down", "--env", "dev", "--yes").stdout


def test_down_works_without_a_configuration_and_without_a_state_file(deployed: Shell) -> None:
    cloud = deployed
    (cloud.directory / ".iotpipe" / "dev.json").rename(cloud.directory / "lost.json")
    done = cloud.json("down", "--env", "dev", "--yes")
    assert sorted(done["kept"]) == ["table/processed-data-dev", "table/raw-sensor-data-dev"]
    assert _there(cloud) == {"processed-data-dev", "raw-sensor-data-dev", "iotpipe-api-gateway-logging-us-east-1"}
    cloud.run("up", "--env", "dev")
    declared = cloud.json("graph", "--env", "dev", "--what", "dependencies")
    (cloud.directory / "config" / "dev.yaml").unlink()
    deleted = cloud.json("down", "--env", "dev", "--yes", "--delete-data")["deleted"]
    assert declared.keys() - deleted == {each for each in declared if each.startswith("api-gateway-account/")}
    assert _there(cloud) == {"iotpipe-api-gateway-logging-us-east-1"}


def _there(cloud: Shell) -> set[str]:
    """The names of what the account holds."""
    client = cloud.client
    return {
        *client("dynamodb").list_tables()["TableNames"],
        *(url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])),
        *(each["TopicArn"] for each in client("sns").list_topics()["Topics"]),
        *(each["Name"] for each in client("ssm").describe_parameters()["Parameters"]),
        *(each["LayerName"] for each in client("lambda").list_layers()["Layers"]),
        *(each["RoleName"] for each in client("iam").list_roles()["Roles"]),
        *(each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]),
        *(each["FunctionName"] for each in client("lambda").list_functions()["Functions"]),
        *(each["UUID"] for each in client("lambda").list_event_source_mappings()["EventSourceMappings"]),
        *(each["name"] for each in client("apigateway").get_rest_apis()["items"]),
        *(each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]),
        *(each["DashboardName"] for each in client("cloudwatch").list_dashboards()["DashboardEntries"]),
    }


def test_what_needs_an_answer_does_not_ask_without_a_terminal(deployed: Shell) -> None:
    refused = deployed.run("down", code=2)
    assert "--yes" in refused.stderr
    settings(deployed, "dev", "tags: {purpose: development}\napi: {stage: other}")
    refused = deployed.run("up", code=2)
    assert "- delete  stage/dev" in refused.stderr
    assert "--yes" in refused.stderr
    assert writes(deployed.operations()) == []
    deployed.run("up", "--yes")
    api = deployed.client("apigateway").get_rest_apis()["items"][0]["id"]
    assert [each["stageName"] for each in deployed.client("apigateway").get_stages(restApiId=api)["item"]] == ["other"]


def test_on_a_terminal_down_asks_and_a_no_changes_nothing(deployed: Shell) -> None:
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        deployed.command("down"),
        cwd=deployed.directory,
        env=deployed.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = read_until(mine, "[y/N]")
        os.write(mine, b"n\n")
        assert process.wait(30) == 2
    os.close(mine)
    deleted = declared_count("dev", "table", "api-gateway-account")
    assert f"{deleted} resources will be deleted" in shown
    assert "lost   secret//iot-pipeline/dev/api-key: the API key" in re.sub(r"\x1b\[\d*m", "", shown)
    assert writes(deployed.operations()) == []


def test_what_waits_in_a_queue_is_named_before_it_goes(cloud: Shell) -> None:
    cloud.run("up", "--env", "dev")
    sqs = cloud.client("sqs")
    for name, bodies in (("iot-ingestion-queue-dev", "ab"), ("iot-dlq-dev", "c")):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for body in bodies:
            sqs.send_message(QueueUrl=url, MessageBody=body)
    asked = cloud.run("down", code=2).stderr
    assert "queue/iot-ingestion-queue-dev: its pending messages will be deleted, about 2" in asked
    assert "queue/iot-dlq-dev: its pending messages will be deleted, about 1" in asked
    settings(cloud, "dev", "suffix: other")
    assert "queue/iot-dlq-dev: its pending messages will be deleted, about 1" in cloud.run("up", code=2).stderr
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName="iot-dlq-dev")["QueueUrl"])
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="iot-ingestion-queue-dev")["QueueUrl"])
    assert "messages" not in cloud.run("down", "--yes").stderr


def test_an_address_of_one_service_that_is_none_is_refused_like_others(cloud: Shell) -> None:
    cloud.extra = {"AWS_ENDPOINT_URL_SQS": "nonsense"}
    done = cloud.run("up", "--env", "dev", code=1)
    assert done.stderr.splitlines()[0] == "error: the AWS settings are invalid: Invalid endpoint: nonsense"
    assert writes(cloud.operations()) == []


@pytest.mark.parametrize("service", ["STS", "DYNAMODB"])
def test_services_that_would_be_asked_at_different_places_are_refused_before_anything_is_sent(
    cloud: Shell, service: str
) -> None:
    cloud.extra = {f"AWS_ENDPOINT_URL_{service}": "https://elsewhere.example"}
    done = cloud.run("up", "--env", "dev", code=1)
    assert "error: the services have different endpoints: sts at " in done.stderr
    assert f"https://elsewhere.example (AWS_ENDPOINT_URL_{service})" in done.stderr
    assert cloud.operations() == []


def test_a_protected_environment_is_not_taken_down_even_when_its_configuration_is_gone(cloud: Shell) -> None:
    settings(cloud, "dev", "protect: true")
    cloud.run("up", "--env", "dev")
    assert "protected" in cloud.run("down", "--yes", code=1).stderr
    (cloud.directory / "config" / "dev.yaml").unlink()
    assert "protected" in cloud.run("down", "--yes", code=1).stderr
    settings(cloud, "dev", "protect: false")
    cloud.run("up")
    cloud.run("down", "--yes")


def test_outputs_need_no_aws(cloud: Shell) -> None:
    assert "iotpipe up --env dev" in cloud.run("outputs", "--env", "dev", code=2).stderr
    cloud.run("up", "--env", "dev")
    cloud.operations()
    found = cloud.json("outputs")
    assert list(found) == [
        "ApiEndpoint",
        "RawSensorTableName",
        "ProcessedDataTableName",
        "IngestionQueueUrl",
        "AlertTopicArn",
    ]
    assert found["AlertTopicArn"] == "arn:aws:sns:us-east-1:123456789012:iot-alerts-dev"
    assert cloud.operations() == []


def test_ctrl_c_lets_what_runs_finish_and_the_next_up_goes_on(cloud: Shell) -> None:
    with (
        cloud.held("CreateTable"),
        subprocess.Popen(
            cloud.command("up", "--env", "dev", "--parallel", "1"),
            cwd=cloud.directory,
            env=cloud.environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr
        assert any(line.strip().startswith("created") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert any("waiting for running calls to finish" in line for line in process.stderr)
        cloud.let_go()
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "resources are left to do" in said
    recorded = json.loads((cloud.directory / ".iotpipe" / "dev.json").read_text())["resources"]
    assert {row["status"] for row in recorded.values()} == {"ready"}
    assert 0 < len(recorded) < 39
    cloud.run("up", "--env", "dev")
    assert "Nothing to do" in cloud.run("plan").stdout


def test_a_second_command_says_who_holds_the_state_file(deployed: Shell) -> None:
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        deployed.command("down"), cwd=deployed.directory, env=deployed.environment, stdin=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        read_until(mine, "[y/N]")
        refused = deployed.run("up", "--env", "dev", code=1)
        process.kill()
        process.wait(30)
    os.close(mine)
    assert f"`iotpipe down --env dev`, process {process.pid} on" in refused.stderr
    assert "Nothing to do" in deployed.run("up", "--env", "dev").stderr  # the dead holder's lock is no obstacle
