"""The whole pipeline on this machine, by the commands that a newcomer runs: up, ingest, query, down."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import importlib.util
import io
import json
import re
import signal
import socket
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.engine_world import declared_count
from tests.support.local_machine import Machine, eventually, processes

pytestmark = pytest.mark.embedded


def post(machine: Machine, device: str, key: Credentials | None = None, **metrics: float) -> tuple[int, Any]:
    """Send one reading; return status and answer."""
    body = json.dumps({"device_id": device, "sensor_data": metrics}).encode()
    status, text = machine.signed("execute-api", "POST", f"{machine.api}/ingest", body, key)
    return status, json.loads(text)


def stored(machine: Machine, device: str) -> list[Any]:
    """Query the device's rows."""
    status, text = machine.signed("execute-api", "GET", f"{machine.api}/query?device_id={device}")
    assert status == 200, text
    items: list[Any] = json.loads(text)["items"]
    return items


def saved_at(machine: Machine) -> float:
    """Return the time of the last save."""
    text = machine.json("local", "status")["saved_at"]
    return datetime.fromisoformat(text).timestamp() if text else 0


def state_file(machine: Machine) -> Path:
    return machine.directory / ".iotpipe" / "local.json"


def test_a_second_up_only_learns_when_things_were_made_and_a_third_writes_nothing(up: Machine) -> None:
    state, told_later = state_file(up), ("CreatedTimestamp", "creationTime")

    def recorded() -> dict[str, Any]:
        rows = json.loads(state.read_text())["resources"].items()
        return {
            address: {key: value for key, value in row["properties"].items() if key not in told_later}
            for address, row in rows
        }

    made = recorded()
    assert (
        f"Nothing to do: {declared_count('local')} resources are as declared" in up.run("up", "--env", "local").stderr
    )
    assert recorded() == made
    before = state.read_bytes(), state.stat().st_mtime_ns
    assert before[0].count(b'"CreatedTimestamp"') == 3 and before[0].count(b'"creationTime"') == 3
    up.run("up", "--env", "local")
    assert (state.read_bytes(), state.stat().st_mtime_ns) == before
    up.run("plan", "--env", "local", "--strict")


def test_a_signed_reading_travels_to_the_querys_answer(up: Machine) -> None:
    status, answer = post(up, "thermometer", temperature=25.5, humidity=40)
    assert (status, answer["message"]) == (200, "Data ingested successfully")
    rows = eventually(lambda: stored(up, "thermometer"))
    assert [(row["timestamp"], row["temperature_fahrenheit"], row["status"]) for row in rows] == [
        (answer["timestamp"], 77.9, "processed")
    ]


def test_equal_readings_without_a_time_are_all_kept(up: Machine) -> None:
    """Sent eight at a time without a pause: equal readings are common."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(up, "unchanged", temperature=21.5), range(80)))
    assert {status for status, _ in answers} == {200}
    eventually(lambda: len(stored(up, "unchanged")) == 80)


def test_the_good_readings_of_a_batch_are_taken_through_the_api(up: Machine) -> None:
    good = {"device_id": "partly", "sensor_data": {"temperature": 1}}
    body = json.dumps([good, {"device_id": "partly"}, good]).encode()
    assert up.signed("execute-api", "POST", f"{up.api}/ingest", body)[0] == 400
    status, text = up.signed("execute-api", "POST", f"{up.api}/ingest?partial=true", body)
    assert status == 207, text
    assert [one["status"] for one in json.loads(text)["results"]] == ["accepted", "rejected", "accepted"]
    eventually(lambda: len(stored(up, "partly")) == 2)


@pytest.mark.parametrize("compress", [gzip.compress, lambda body: gzip.compress(body)[:-9]], ids=["whole", "cut off"])
def test_a_gzip_body_goes_through_the_api(up: Machine, compress: Any) -> None:
    """The signature covers the compressed body. A truncated body is the caller's error."""
    body = json.dumps({"device_id": "zipped", "sensor_data": {"temperature": 1, "place": "Dächle"}}).encode()
    status, text = up.signed(
        "execute-api", "POST", f"{up.api}/ingest", compress(body), headers={"Content-Encoding": "gzip"}
    )
    assert status == (200 if compress is gzip.compress else 400), text
    eventually(lambda: len(stored(up, "zipped")) == 1)


def test_what_is_not_signed_with_the_root_key_is_forbidden(up: Machine) -> None:
    base, body = up.api, b'{"device_id": "intruder", "sensor_data": {"temperature": 1}}'
    assert up.send("POST", f"{base}/ingest", body=body)[0] == 403
    assert up.send("GET", f"{base}/query?device_id=intruder")[0] == 403
    assert post(up, "intruder", Credentials(up.root.access_key, "wrong"), temperature=1)[0] == 403
    assert post(up, "intruder", Credentials("test", "test"), temperature=1)[0] == 403
    assert post(up, "intruder", Credentials("000000000000", "test"), temperature=1)[0] == 403
    assert up.signed("execute-api", "GET", f"{base}/ingest")[0] == 403
    assert up.signed("execute-api", "POST", f"{base}/elsewhere", body)[0] == 403
    assert stored(up, "intruder") == []


def test_a_right_taken_from_a_role_stops_its_function_shows_as_drift_and_is_repaired(up: Machine) -> None:
    iam, role = up.client("iam"), "iot-ingestion-lambda-role-local"
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    policy["Statement"] = [each for each in policy["Statement"] if "dynamodb:BatchWriteItem" not in each["Action"]]
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    status, answer = post(up, "patient", temperature=20)
    assert (status, answer["failed"]) == (503, 1)
    steps = {step["address"]: step for step in up.json("plan", "--env", "local")["steps"] if step["action"] != "none"}
    assert {address: step["drifted"] for address, step in steps.items()} == {f"role/{role}": True}
    up.run("up", "--env", "local")
    assert post(up, "patient", temperature=20)[0] == 200
    assert len(eventually(lambda: stored(up, "patient"))) == 1


def test_workers_share_one_copy_of_the_layer(up: Machine) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: post(up, f"crowd-{number}", temperature=number), range(12)))
    assert {status for status, _ in answers} == {200}
    temporary = up.engine_directory.temporary
    workers = list(temporary.glob("ministack-lambda-data-ingestion-local-*"))
    assert len(workers) > 1
    [shared] = (temporary / "layers").iterdir()
    assert {(worker / "layer_0").resolve() for worker in workers} == {shared.resolve()}
    assert (shared / "python" / "botocore").is_dir()


HAS_AWSCRT = """
try:
    import awscrt
    has = {"awscrt": "yes"}
except ImportError:
    has = {"awscrt": "no"}
"""


def test_functions_see_nothing_of_the_users_environment_and_hold_keys_that_nobody_can_work_out(
    machine: Machine,
) -> None:
    machine.extra = {"COMPANY_TOKEN": "hush", "AWS_PROFILE": "missing"}
    machine.run("local", "start")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = machine.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("code.py", f"{HAS_AWSCRT}import os\ndef handler(event, context): return dict(os.environ) | has\n")
    function = machine.client("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Role=role, Handler="code.handler", Code={"ZipFile": archive.getvalue()}
    )
    environ = json.load(machine.client("lambda").invoke(FunctionName="f")["Payload"])
    assert "hush" not in environ.values()
    assert "missing" not in environ.values()
    assert importlib.util.find_spec("awscrt")
    assert environ["awscrt"] == "no"  # as on Lambda, although it is installed here
    assert environ["HOME"] == environ["TMPDIR"] == str(machine.engine_directory.temporary)
    assert machine.engine_directory.root_key().secret_key not in environ.values()
    # How ministack derives the worker's keys from public data.
    digest = hashlib.sha256(f"{function['FunctionArn']}:{role}".encode()).hexdigest()
    guessed = Credentials(f"ASIA{digest[:16].upper()}", hashlib.sha256(f"secret:{digest}".encode()).hexdigest())
    guessed.token = hashlib.sha256(f"token:{digest}".encode()).hexdigest()
    with pytest.raises(ClientError, match="invalid"):
        machine.client("sts", guessed).get_caller_identity()
    worker = Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ["AWS_SESSION_TOKEN"])
    assert ":assumed-role/r/" in machine.client("sts", worker).get_caller_identity()["Arn"]


def deploy(machine: Machine, name: str, text: str) -> None:
    """Replace a function's code without iotpipe."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, source in (("__init__", ""), ("handlers/__init__", ""), (f"handlers/{name}", text)):
            archive.writestr(f"iotpipe/{path}.py", source)
    machine.client("lambda").update_function_code(FunctionName=f"data-{name}-local", ZipFile=content.getvalue())


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            "import nosuchmodule",
            "Runtime.ImportModuleError",
            "Unable to import module '{}': No module named 'nosuchmodule'",
        ),
        (
            "x = 1\nfrom __future__ import annotations",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '{}': from",
        ),
        ("x = 1", "Runtime.HandlerNotFound", "Handler 'lambda_handler' missing on module '{}'"),
        ("import os; os._exit(1)", "Runtime.ExitError", "the process ended"),
        ("x = {}['x']", "KeyError", "'x'"),
    ],
)
def test_a_function_that_does_not_start_says_so_as_on_lambda(up: Machine, text: str, kind: str, said: str) -> None:
    try:
        deploy(up, "query", text)
        answer = up.client("lambda").invoke(FunctionName="data-query-local", Payload=b"{}")
        body = json.load(answer["Payload"])
        assert (answer["FunctionError"], body["errorType"]) == ("Unhandled", kind)
        said = said.format("iotpipe.handlers.query")
        assert body["errorMessage"].startswith(said)
        logged = up.run("logs", "--env", "local", "--function", "query", "--since", "1m").stdout
        assert f"[ERROR] {kind}: {said}" in " ".join(logged.split())
        assert str(up.directory) not in json.dumps(body)
        status, answered = up.signed("execute-api", "GET", f"{up.api}/query?device_id=a")
        assert (status, json.loads(answered)) == (502, {"message": "Internal server error"})
    finally:
        up.run("up", "--env", "local")
    assert stored(up, "nobody") == []


def test_a_query_and_a_look_at_the_dead_letters_say_which_function_does_not_start(up: Machine) -> None:
    sqs = up.client("sqs")
    try:
        deploy(up, "query", "import nosuchmodule")
        said = up.run("query", "anything", "--env", "local", code=1).stderr
        assert "the query function does not start: Unable to import module 'iotpipe.handlers.query': No module" in said
        deploy(up, "ingestion", "import nosuchmodule")
        said = up.run("send-test-data", "--env", "local", "--count", "1", code=1).stderr
        assert "the ingestion function does not start" in said
        up.run("up", "--env", "local")
        deploy(up, "processor", "import nosuchmodule")
        url = sqs.get_queue_url(QueueName="iot-ingestion-queue-local")["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
        assert post(up, "unlucky", temperature=1)[0] == 200
        (letter,) = eventually(lambda: up.json("dlq", "list", "--env", "local")["messages"])
        assert letter["reason"].startswith("the processor does not start: Unable to import module")
        assert letter["receives"] == 3
        again = up.run("dlq", "list", "--env", "local")
        assert "received 3 times" in again.stdout
        assert "would be processed" not in again.stderr
    finally:
        up.run("up", "--env", "local")
    assert up.json("dlq", "redrive", "--env", "local", "--yes")["moved"] == 1
    eventually(lambda: stored(up, "unlucky"))


def figures(machine: Machine, namespace: str, **dimensions: str) -> dict[str, float]:
    """Return the sums of the metrics with these dimensions over the last minutes, by name."""
    cloudwatch, wanted = machine.client("cloudwatch"), [{"Name": k, "Value": v} for k, v in dimensions.items()]
    listed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=wanted)["Metrics"]
    stats = [{"Metric": each, "Period": 300, "Stat": "Sum"} for each in listed]
    queries = [{"Id": f"m{number}", "MetricStat": stat} for number, stat in enumerate(stats)]
    now = datetime.now().astimezone()
    start = now - timedelta(minutes=20)
    answer = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=now)["MetricDataResults"]
    return {each["MetricName"]: sum(found["Values"]) for each, found in zip(listed, answer, strict=True)}


def test_lambda_and_the_api_count_what_they_do_for_the_dashboard(up: Machine) -> None:
    api = {"ApiName": "iot-api-local", "Stage": "local"}
    stored(up, "nobody")
    before, requests = figures(up, "AWS/Lambda", FunctionName="data-query-local"), figures(up, "AWS/ApiGateway", **api)
    assert before.keys() == {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"}
    assert requests.keys() == {"Count", "4XXError", "5XXError", "Latency"}
    stored(up, "nobody")
    assert up.signed("execute-api", "GET", f"{up.api}/query?table=none")[0] == 400
    assert up.send("GET", f"{up.api}/query")[0] == 403
    after, answered = figures(up, "AWS/Lambda", FunctionName="data-query-local"), figures(up, "AWS/ApiGateway", **api)
    assert after["Invocations"] - before["Invocations"] == 2
    assert after["Errors"] == before["Errors"]
    assert after["Duration"] > before["Duration"]
    differences = {name: answered[name] - requests[name] for name in ("Count", "4XXError", "5XXError")}
    assert differences == {"Count": 3, "4XXError": 2, "5XXError": 0}


def test_a_dead_letter_rings_the_alarm_which_tells_the_topic(machine: Machine) -> None:
    machine.run("up", "--env", "local")
    sqs, sns = machine.client("sqs"), machine.client("sns")
    inbox = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn, topic = "arn:aws:sqs:us-east-1:000000000000:inbox", "arn:aws:sns:us-east-1:000000000000:iot-alerts-local"
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=inbox, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    dead = sqs.get_queue_url(QueueName="iot-dlq-local")["QueueUrl"]

    def states() -> dict[str, str]:
        return {name: each["state"] for name, each in machine.json("status", "--env", "local")["alarms"].items()}

    cloudwatch = machine.client("cloudwatch")
    eventually(lambda: not cloudwatch.describe_alarms(StateValue="INSUFFICIENT_DATA")["MetricAlarms"])
    sqs.send_message(QueueUrl=dead, MessageBody="poison")
    told = eventually(lambda: sqs.receive_message(QueueUrl=inbox, WaitTimeSeconds=1).get("Messages"))
    said = json.loads(json.loads(told[0]["Body"])["Message"])
    assert (said["AlarmName"], said["NewStateValue"]) == ("iot-dlq-depth-local", "ALARM")
    assert said["NewStateReason"].startswith("Threshold Crossed: 1 datapoint [1.0 (")
    assert {name for name, state in states().items() if state != "OK"} == {"iot-dlq-depth-local"}
    assert "1 ALARM" in machine.run("status", "--env", "local").stdout
    machine.run("local", "stop")
    machine.run("local", "start")
    assert states()["iot-dlq-depth-local"] == "ALARM"


def identities(machine: Machine) -> dict[str, Any]:
    """Return the ids by which the engine identifies its resources, independent of tags."""
    lambdas, gateway, dynamodb = (machine.client(each) for each in ("lambda", "apigateway", "dynamodb"))
    (api,) = gateway.get_rest_apis()["items"]
    queue = {"QueueUrl": machine.json("outputs", "--env", "local")["IngestionQueueUrl"]}
    tables = dynamodb.list_tables()["TableNames"]
    return {
        "tables": [dynamodb.describe_table(TableName=each)["Table"]["TableId"] for each in tables],
        "roles": [each["RoleId"] for each in machine.client("iam").list_roles()["Roles"]],
        "queue": machine.client("sqs").get_queue_attributes(**queue, AttributeNames=["CreatedTimestamp"])["Attributes"],
        "groups": [each["creationTime"] for each in machine.client("logs").describe_log_groups()["logGroups"]],
        "mappings": [each["UUID"] for each in lambdas.list_event_source_mappings()["EventSourceMappings"]],
        "api": api["id"],
        "stages": [each["createdDate"] for each in gateway.get_stages(restApiId=api["id"])["item"]],
    }


def test_everything_survives_a_restart_at_the_same_address(up: Machine) -> None:
    assert post(up, "survivor", temperature=1)[0] == 200
    rows = eventually(lambda: stored(up, "survivor"))
    outputs, known_by = up.json("outputs", "--env", "local"), identities(up)
    up.run("local", "stop")
    assert up.json("outputs", "--env", "local") == outputs
    assert "iotpipe local start" in up.run("plan", "--env", "local", code=1).stderr
    up.run("up", "--env", "local")
    assert stored(up, "survivor") == rows
    assert identities(up) == known_by
    up.run("plan", "--env", "local", "--exit-code")
    assert post(up, "survivor", temperature=2)[0] == 200
    eventually(lambda: len(stored(up, "survivor")) == 2)


def test_what_was_acknowledged_before_the_last_save_survives_a_kill(up: Machine) -> None:
    status, answer = post(up, "witness", temperature=1)
    assert status == 200
    rows = eventually(lambda: stored(up, "witness"))
    seen = time.time()
    # Only a save that began after that certainly has the row; each query of the rows causes another save.
    eventually(lambda: stored(up, "witness") and saved_at(up) > seen)
    up.kill()
    up.run("up", "--env", "local")
    assert stored(up, "witness") == rows
    assert rows[0]["timestamp"] == answer["timestamp"]


def test_under_load_a_kill_costs_nothing_that_was_acknowledged_before_the_last_save(up: Machine) -> None:
    devices, acknowledged, told = [f"busy-{number}" for number in range(3)], [], []

    def send(device: str) -> None:
        for number in range(900):
            try:
                status, answer = post(up, device, temperature=number)
            except (
                OSError,
                http.client.HTTPException,
            ):  # the engine was killed between two readings, or during an answer
                told.append(device)
                return
            assert status == 200
            acknowledged.append((time.time(), device, answer["timestamp"]))

    def before(moment: float) -> set[tuple[str, int]]:
        return {(device, timestamp) for when, device, timestamp in list(acknowledged) if when < moment}

    def kept(table: str) -> set[tuple[str, int]]:
        command = ("--env", "local", "--table", table, "--all", "--json")
        texts = [up.run("query", device, *command).stdout for device in devices]
        # A raw row's timestamp has a fraction that distinguishes readings of one millisecond. A float would round it:
        # one of ten thousand to the next millisecond.
        rows = [row for text in texts for row in json.loads(text, parse_float=Decimal)["items"]]
        return {(row["device_id"], int(row["timestamp"])) for row in rows}

    with ThreadPoolExecutor() as pool:
        sending = [pool.submit(send, device) for device in devices]
        eventually(lambda: len(before(saved_at(up))) > 20)
        up.kill()
        for each in sending:
            each.result()
    assert sorted(told) == devices
    # Not asked of the new engine: that has soon saved as well.
    said = re.search(r"what was written after (\S+) is lost", up.run("local", "start").stderr)
    assert said
    safe = before(datetime.fromisoformat(said[1]).timestamp())
    assert len(safe) > 20
    assert safe <= kept("raw")
    eventually(lambda: safe <= kept("processed"))


def test_what_the_user_has_set_for_aws_does_not_matter(up: Machine) -> None:
    up.extra = {
        "AWS_PROFILE": "missing",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "somebody's",
        "AWS_SESSION_TOKEN": "somebody's",
        "AWS_ENDPOINT_URL": "https://example.com",
        "AWS_ENDPOINT_URL_SQS": "https://example.com",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    try:
        up.run("plan", "--env", "local", "--exit-code")
    finally:
        up.extra = {}


def test_an_emulator_that_the_user_runs_is_taken_instead_of_the_embedded_one(
    machine: Machine, running: Machine
) -> None:
    machine.extra = {
        "AWS_ENDPOINT_URL": running.record.endpoint,
        "AWS_ENDPOINT_URL_SQS": "https://example.com",
        "AWS_ACCESS_KEY_ID": running.root.access_key,
        "AWS_SECRET_ACCESS_KEY": running.root.secret_key,
        "AWS_REGION": "us-east-1",
    }
    assert f"{declared_count('local')} to create" in machine.run("plan", "--env", "local").stdout
    assert not machine.engine_directory.path.exists()


@pytest.mark.parametrize(
    ("service", "call", "asked", "code"),
    [
        ("cloudwatch", "delete_dashboards", {"DashboardNames": ["none"]}, "ResourceNotFound"),
        (
            "sns",
            "list_tags_for_resource",
            {"ResourceArn": "arn:aws:sns:us-east-1:000000000000:none"},
            "ResourceNotFound",
        ),
        ("ssm", "list_tags_for_resource", {"ResourceType": "Parameter", "ResourceId": "/none"}, "InvalidResourceId"),
    ],
)
def test_what_an_up_that_failed_has_not_made_is_said_to_be_missing_as_aws_says_it(
    running: Machine, service: str, call: str, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(running.client(service), call)(**asked)
    assert refused.value.response["Error"]["Code"] == code


def test_the_tagging_service_lists_all_that_can_bear_tags(up: Machine) -> None:
    tagging = up.client("resourcegroupstaggingapi")
    ours = {"TagFilters": [{"Key": "iotpipe:environment", "Values": ["local"]}]}
    found = tagging.get_resources(**ours)["ResourceTagMappingList"]
    assert Counter(each["ResourceARN"].split(":")[2] for each in found) == {
        **{"dynamodb": 2, "sqs": 3, "sns": 1, "ssm": 2, "logs": 3, "iot": 2},
        # The functions and the mappings, the API and its stage; not the dashboard, which belongs to no region.
        **{"lambda": 5, "apigateway": 2, "cloudwatch": 16},
    }
    mappings = tagging.get_resources(**ours, ResourceTypeFilters=["lambda:event-source-mapping"])
    arns = {each["ResourceARN"] for each in mappings["ResourceTagMappingList"]}
    live = up.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert {each["EventSourceMappingArn"] for each in live} == arns


def test_tags_of_an_api_and_its_stage_that_somebody_changed_are_seen_and_set_right(up: Machine) -> None:
    gateway = up.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    arn, where = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}", {"restApiId": api["id"]}
    for each in (arn, f"{arn}/stages/local"):
        tags = gateway.get_tags(resourceArn=each)["tags"]
        assert tags["iotpipe:environment"] == "local"
        gateway.tag_resource(resourceArn=each, tags={"team": "sensors"})
        gateway.untag_resource(resourceArn=each, tagKeys=["iotpipe:managed-by"])
        shown = gateway.get_rest_api(**where) if each == arn else gateway.get_stage(**where, stageName="local")
        assert shown["tags"] == gateway.get_tags(resourceArn=each)["tags"]
        assert shown["tags"].keys() - tags.keys() == {"team"}
        assert tags.keys() - shown["tags"].keys() == {"iotpipe:managed-by"}
    assert "2 updated" in up.run("up", "--env", "local").stderr
    up.run("plan", "--env", "local", "--exit-code")


def test_what_is_made_again_under_the_same_name_is_known_to_be_another(running: Machine) -> None:
    dynamodb, iam = running.client("dynamodb"), running.client("iam")
    attribute = {"AttributeName": "k", "AttributeType": "S"}
    key = {"AttributeName": "k", "KeyType": "HASH"}

    def made() -> tuple[str, str]:
        table = dynamodb.create_table(
            TableName="again", AttributeDefinitions=[attribute], KeySchema=[key], BillingMode="PAY_PER_REQUEST"
        )
        role = iam.create_role(RoleName="again", AssumeRolePolicyDocument="{}")
        dynamodb.delete_table(TableName="again")
        iam.delete_role(RoleName="again")
        return table["TableDescription"]["TableId"], role["Role"]["RoleId"]

    (table, role), (other_table, other_role) = made(), made()
    assert table != other_table
    assert role != other_role


def test_two_ups_at_once_make_one_pipeline(machine: Machine) -> None:
    for process in [machine.begin("up", "--env", "local") for _ in range(2)]:
        with process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == 0 or "is locked by `iotpipe up --env local`" in err, err
    machine.run("plan", "--env", "local", "--exit-code")
    assert len([line for line in processes(str(machine.engine_directory.path)) if "local.engine" in line]) == 1


def test_down_ends_the_engine_only_when_no_other_environment_lives_in_it(machine: Machine) -> None:
    (machine.directory / "config").mkdir()
    (machine.directory / "config" / "spare.yaml").write_text("target: local\n")
    machine.run("up", "--env", "local")
    machine.run("up", "--env", "spare")
    assert "keeps running for spare" in machine.run("down", "--env", "local", "--yes").stderr
    machine.run("plan", "--env", "spare", "--exit-code")
    # The state file names the target, so `down` works without the configuration.
    (machine.directory / "config" / "spare.yaml").unlink()
    machine.run("down", "--env", "spare", "--yes")
    assert machine.engine_directory.running() is None


def test_down_without_the_state_file_leaves_nothing_also_of_another_suffix(machine: Machine) -> None:
    machine.run("up", "--env", "local")
    state_file(machine).unlink()
    (machine.directory / "config").mkdir()
    (machine.directory / "config" / "local.yaml").write_text("target: local\nsuffix: other\n")
    gone = machine.json("down", "--env", "local", "--yes", "--delete-data")
    assert (len(gone["deleted"]), gone["kept"], gone["left"]) == (42, [], {})
    machine.run("local", "start")
    (shared,) = (each["RoleName"] for each in machine.client("iam").list_roles()["Roles"])
    assert shared.startswith("iotpipe-api-gateway-logging-")
    for service, listing, key in (
        ("dynamodb", "list_tables", "TableNames"),
        ("sqs", "list_queues", "QueueUrls"),
        ("sns", "list_topics", "Topics"),
        ("ssm", "describe_parameters", "Parameters"),
        ("logs", "describe_log_groups", "logGroups"),
        ("lambda", "list_functions", "Functions"),
        ("lambda", "list_layers", "Layers"),
        ("lambda", "list_event_source_mappings", "EventSourceMappings"),
        ("apigateway", "get_rest_apis", "items"),
        ("cloudwatch", "describe_alarms", "MetricAlarms"),
        ("cloudwatch", "list_dashboards", "DashboardEntries"),
    ):
        assert not getattr(machine.client(service), listing)().get(key), listing


def test_down_leaves_no_process_no_port_and_no_temporary_directory(machine: Machine) -> None:
    machine.run("up", "--env", "local")
    assert post(machine, "last", temperature=1)[0] == 200
    eventually(lambda: stored(machine, "last"))
    assert any("_worker.py" in line for line in processes(str(machine.engine_directory.path)))
    port = machine.record.port
    # As after a restart of the machine: `down` starts the engine that it needs.
    machine.kill()
    down = machine.run("down", "--env", "local", "--yes", "--delete-data")
    assert "left alone" not in (down.stdout + down.stderr).lower()
    eventually(lambda: processes(str(machine.engine_directory.path)) == [])
    assert not machine.engine_directory.temporary.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "nothing to take down" in machine.run("down", "--env", "local", "--yes").stdout
    assert machine.engine_directory.running() is None


def test_the_devices_and_their_buckets_can_be_asked_for(up: Machine) -> None:
    for number in range(3):
        body = json.dumps({"device_id": "charted", "sensor_data": {"temperature": number, "a.b": number}}).encode()
        assert up.signed("execute-api", "POST", f"{up.api}/ingest", body)[0] == 200
    path = f"{up.api}/query?device_id=charted&every=366d&from=0&metric=a.b&metric=temperature"
    found = eventually(lambda: one if sum((one := series(up, path)).values()) == 6 else None)
    assert found == {"a.b": 3, "temperature": 3}
    listed = json.loads(up.signed("execute-api", "GET", f"{up.api}/devices?limit=200")[1])["items"]
    assert [one["device_id"] for one in listed].count("charted") == 1
    assert "charted" in up.run("devices", "--env", "local").stdout
    assert up.signed("execute-api", "POST", f"{up.api}/ingest", body.replace(b"charted", b"beside"))[0] == 200
    question = ("query", "charted", "beside", "--env", "local", "--from", "1d", "--metric", "a.b")
    rows = eventually(lambda: one if (one := up.json(*question))["count"] == 4 else None)
    assert [row["device_id"] for row in rows["items"]] == ["charted"] * 3 + ["beside"]
    summed = {one["device_id"]: sum(one["count"]) for one in up.json(*question, "--every", "5m")["series"]}
    assert summed == {"charted": 3, "beside": 1}
    assert "charted  a.b   0 to 2   last " in up.run(*question, "--plot").stdout


def test_rows_are_followed_until_ctrl_c(up: Machine) -> None:
    with up.begin("query", "followed", "--follow", "--json", "--env", "local") as process:
        assert process.stdout and process.stderr
        end = threading.Timer(100, process.kill)  # rather than wait for ever for what does not come
        end.start()
        assert process.stderr.readline() == "waiting for new rows; Ctrl-C ends it\n"
        for number in range(2):
            body = json.dumps({"device_id": "followed", "sensor_data": {"temperature": number}}).encode()
            assert up.signed("execute-api", "POST", f"{up.api}/ingest", body)[0] == 200
            assert json.loads(process.stdout.readline())["temperature"] == number
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
        end.cancel()


def series(up: Machine, path: str) -> dict[str, int]:
    """The counts of the readings by metric."""
    answered = json.loads(up.signed("execute-api", "GET", path)[1])
    return {one["metric"]: sum(one["count"]) for one in answered["series"]}
