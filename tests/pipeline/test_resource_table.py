"""After `up`, plain boto3 finds every property that the pipeline is specified to have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.account_inventory import client, pages
from tests.support.pipeline_world import ACCOUNT, REGION, Declared, World

TAGS = {
    "iotpipe:environment": "dev",
    "iotpipe:region": "us-east-1",
    "iotpipe:managed-by": "iotpipe",
    "team": "sensors",
}
FUNCTIONS = {"ingestion": ("data-ingestion-dev", 256, 60), "processor": ("data-processor-dev", 512, 60)} | {
    "query": ("data-query-dev", 256, 30)
}


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


DEAD = arn("sqs", "iot-dlq-dev")
RAW, PROCESSED = arn("dynamodb", "table/raw-sensor-data-dev"), arn("dynamodb", "table/processed-data-dev")


@pytest.fixture(autouse=True)
def _up(world: World, declared: Callable[..., Declared]) -> None:
    settings = {"tags": {"team": "sensors"}, "api": {"stage": "live"}, "alerts": {"emails": ["ops@example.com"]}}
    world.bring_up(declared(settings))


def tags(found: list[dict[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in found}


@pytest.mark.parametrize(
    ("name", "range_key"), [("raw-sensor-data-dev", ("timestamp", "N")), ("processed-data-dev", ("event_date", "S"))]
)
def test_tables(name: str, range_key: tuple[str, str]) -> None:
    dynamodb = client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert [(each["AttributeName"], each["KeyType"]) for each in table["KeySchema"]] == [
        ("device_id", "HASH"),
        (range_key[0], "RANGE"),
    ]
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    assert types == {"device_id": "S", range_key[0]: range_key[1]}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert tags(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]) == TAGS


def test_queues() -> None:
    sqs = client("sqs")
    attributes = {}
    for name in ("iot-dlq-dev", "iot-ingestion-queue-dev"):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes[name] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == TAGS
    assert attributes["iot-dlq-dev"]["MessageRetentionPeriod"] == "1209600"
    readings = attributes["iot-ingestion-queue-dev"]
    assert readings["VisibilityTimeout"] == "360"
    assert json.loads(readings["RedrivePolicy"]) == {"deadLetterTargetArn": DEAD, "maxReceiveCount": 3}


def test_topic_and_its_subscription() -> None:
    sns, topic = client("sns"), arn("sns", "iot-alerts-dev")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "IoT Processing Alerts"
    assert tags(sns.list_tags_for_resource(ResourceArn=topic)["Tags"]) == TAGS
    found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(each["Protocol"], each["Endpoint"]) for each in found] == [("email", "ops@example.com")]


def test_parameters(world: World) -> None:
    ssm = client("ssm")
    config = ssm.get_parameter(Name="/iot-pipeline/dev/config")["Parameter"]
    assert config["Type"] == "String"
    assert json.loads(config["Value"]).items() >= {"batch_size": 100, "processing_timeout": 60}.items()
    key = ssm.get_parameter(Name="/iot-pipeline/dev/api-key", WithDecryption=True)["Parameter"]
    assert key["Type"] == "SecureString"
    assert len(key["Value"]) >= 32
    assert key["Value"] not in world.path.read_text()
    for name in ("config", "api-key"):
        found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"/iot-pipeline/dev/{name}")
        assert tags(found["TagList"]) == TAGS


LOG_AND_TRACE = [("xray:PutTelemetryRecords", "*"), ("xray:PutTraceSegments", "*"), ("sqs:SendMessage", DEAD)]
SETTINGS = arn("ssm", "parameter/iot-pipeline/dev/config")
MAY = {
    "ingestion": [
        ("dynamodb:BatchWriteItem", RAW),
        ("sqs:SendMessage", arn("sqs", "iot-ingestion-queue-dev")),
        ("ssm:GetParameter", SETTINGS),
        ("ssm:GetParameter", arn("ssm", "parameter/iot-pipeline/dev/api-key")),
    ],
    "processor": [
        ("dynamodb:BatchWriteItem", PROCESSED),
        ("dynamodb:PutItem", PROCESSED),
        ("sqs:ReceiveMessage", arn("sqs", "iot-ingestion-queue-dev")),
        ("sqs:DeleteMessage", arn("sqs", "iot-ingestion-queue-dev")),
        ("sqs:GetQueueAttributes", arn("sqs", "iot-ingestion-queue-dev")),
        ("sns:Publish", arn("sns", "iot-alerts-dev")),
        ("ssm:GetParameter", SETTINGS),
    ],
    "query": [
        ("dynamodb:Query", PROCESSED),
        ("dynamodb:Query", RAW),
        ("dynamodb:Scan", PROCESSED),
        ("ssm:GetParameter", SETTINGS),
    ],
}


def listed(actions: str | list[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else actions


@pytest.mark.parametrize("handler", FUNCTIONS)
def test_a_role_may_do_what_its_handler_does_and_nothing_else(handler: str) -> None:
    iam, name = client("iam"), f"iot-{handler}-lambda-role-dev"
    role = iam.get_role(RoleName=name)["Role"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Action"]) == ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")
    assert tags(role["Tags"]) == TAGS
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    statements = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]
    granted = [(action, on) for each in statements for action in listed(each["Action"]) for on in each["Resource"]]
    streams = arn("logs", f"log-group:/aws/lambda/data-{handler}-dev:*")
    log = [("logs:CreateLogStream", streams), ("logs:PutLogEvents", streams)]
    assert sorted(granted) == sorted([*MAY[handler], *LOG_AND_TRACE, *log])


@pytest.mark.parametrize("handler", FUNCTIONS)
def test_functions_and_their_log_groups(handler: str) -> None:
    name, memory, timeout = FUNCTIONS[handler]
    found = client("lambda").get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert (configuration["MemorySize"], configuration["Timeout"]) == (memory, timeout)
    assert (configuration["Runtime"], configuration["Architectures"]) == ("python3.13", ["arm64"])
    assert configuration["Handler"] == f"iotpipe.handlers.{handler}.lambda_handler"
    assert configuration["Role"] == f"arn:aws:iam::{ACCOUNT}:role/iot-{handler}-lambda-role-dev"
    assert [each["Arn"] for each in configuration["Layers"]] == [arn("lambda", "layer:iot-shared-dependencies-dev:1")]
    assert configuration["TracingConfig"] == {"Mode": "Active"}
    assert configuration["DeadLetterConfig"] == {"TargetArn": DEAD}
    assert configuration["Environment"]["Variables"] == VARIABLES[handler]
    assert found["Concurrency"]["ReservedConcurrentExecutions"] == 100
    assert found["Tags"] == TAGS
    [group] = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    assert group["retentionInDays"] == 30
    group_tags = client("logs").list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
    assert group_tags == TAGS


CONFIG = {"CONFIG_PARAM": "/iot-pipeline/dev/config"}
VARIABLES = {
    "ingestion": CONFIG
    | {
        "RAW_TABLE_NAME": "raw-sensor-data-dev",
        "QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/iot-ingestion-queue-dev",
        "API_KEY_PARAM": "/iot-pipeline/dev/api-key",
    },
    "processor": CONFIG
    | {"PROCESSED_TABLE_NAME": "processed-data-dev", "ALERT_TOPIC_ARN": arn("sns", "iot-alerts-dev")},
    "query": CONFIG | {"PROCESSED_TABLE_NAME": "processed-data-dev", "RAW_TABLE_NAME": "raw-sensor-data-dev"},
}


def test_the_queue_feeds_the_processor() -> None:
    [mapping] = pages("lambda", "list_event_source_mappings", "EventSourceMappings")
    assert mapping["EventSourceArn"] == arn("sqs", "iot-ingestion-queue-dev")
    assert mapping["FunctionArn"] == arn("lambda", "function:data-processor-dev")
    assert (mapping["BatchSize"], mapping["State"]) == (10, "Enabled")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] <= 100
    assert client("lambda").list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"] == TAGS


ROUTES = {"/ingest": ("POST", "data-ingestion-dev"), "/process": ("POST", "data-processor-dev")} | {
    "/query": ("GET", "data-query-dev"),
    "/devices": ("GET", "data-query-dev"),
}


def test_the_api_its_routes_and_who_may_call_the_functions() -> None:
    gateway = client("apigateway")
    [api] = gateway.get_rest_apis()["items"]
    assert (api["name"], api["description"]) == ("iot-api-dev", "IoT Data Processing API")
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["tags"] == TAGS
    resources = {each["path"]: each for each in gateway.get_resources(restApiId=api["id"], embed=["methods"])["items"]}
    assert resources.keys() - {"/"} == ROUTES.keys()
    for path, (method, function) in ROUTES.items():
        [(verb, found)] = resources[path]["resourceMethods"].items()
        assert (verb, found["authorizationType"]) == (method, "AWS_IAM")
        integration = found["methodIntegration"]
        assert (integration["type"], integration["httpMethod"]) == ("AWS_PROXY", "POST")
        assert arn("lambda", f"function:{function}") in integration["uri"]
        statements = json.loads(client("lambda").get_policy(FunctionName=function)["Policy"])["Statement"]
        assert all(allowed["Principal"] == {"Service": "apigateway.amazonaws.com"} for allowed in statements)
        sources = {allowed["Condition"]["ArnLike"]["AWS:SourceArn"] for allowed in statements}
        ours = [(verb, path) for path, (verb, name) in ROUTES.items() if name == function]
        assert sources == {arn("execute-api", f"{api['id']}/*/{verb}{path}") for verb, path in ours}


def test_the_stage_serves_a_deployment_with_its_settings() -> None:
    gateway = client("apigateway")
    [api] = gateway.get_rest_apis()["items"]
    [stage] = gateway.get_stages(restApiId=api["id"])["item"]
    [deployment] = gateway.get_deployments(restApiId=api["id"])["items"]
    assert (stage["stageName"], stage["deploymentId"]) == ("live", deployment["id"])
    assert stage["tracingEnabled"] is True
    settings = stage["methodSettings"]["*/*"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (1000, 1000)
    assert (settings["metricsEnabled"], settings["loggingLevel"]) == (True, "INFO")
    assert stage["tags"] == TAGS
    role = client("apigateway").get_account()["cloudwatchRoleArn"].rsplit("/", 1)[1]
    trust = client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "apigateway.amazonaws.com"}


def _function_alarms() -> dict[str, tuple[Any, ...]]:
    return {
        f"iot-{handler}-{what.lower()}-dev": ("AWS/Lambda", what, {"FunctionName": name}, "Sum", threshold)
        for handler, (name, _, _) in FUNCTIONS.items()
        for what, threshold in (("Errors", 10), ("Throttles", 5))
    }


ALARMS = _function_alarms() | {
    "iot-dlq-depth-dev": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        {"QueueName": "iot-dlq-dev"},
        "Maximum",
        0,
    ),
    "iot-queue-age-dev": (
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        {"QueueName": "iot-ingestion-queue-dev"},
        "Maximum",
        900,
    ),
    "iot-api-5xx-dev": ("AWS/ApiGateway", "5XXError", {"ApiName": "iot-api-dev", "Stage": "live"}, "Sum", 5),
}


def test_alarms_on_functions_queues_and_api() -> None:
    found = {each["AlarmName"]: each for each in pages("cloudwatch", "describe_alarms", "MetricAlarms")}
    assert found.keys() >= ALARMS.keys() | {"raw-table-throttles-dev", "processed-table-throttles-dev"}
    for name, (namespace, metric, dimensions, statistic, threshold) in ALARMS.items():
        alarm = found[name]
        assert (alarm["Namespace"], alarm["MetricName"]) == (namespace, metric)
        assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == dimensions
        assert (alarm["Statistic"], alarm["Period"], alarm["EvaluationPeriods"]) == (statistic, 300, 1)
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", threshold)
    for alarm in found.values():
        assert alarm["AlarmActions"] == [arn("sns", "iot-alerts-dev")]
        assert tags(client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]) == TAGS


@pytest.mark.parametrize("table", ["raw-sensor-data-dev", "processed-data-dev"])
def test_alarms_on_tables_add_up_throttled_reads_and_writes_with_gaps_as_zero(table: str) -> None:
    name = f"{table.split('-')[0]}-table-throttles-dev"
    [alarm] = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    queries = {each["Id"]: each for each in alarm["Metrics"]}
    assert queries.pop("total")["Expression"] == "FILL(m1, 0) + FILL(m2, 0)"
    metrics = [each["MetricStat"] for each in queries.values()]
    assert [each["Metric"]["MetricName"] for each in metrics] == ["ReadThrottleEvents", "WriteThrottleEvents"]
    assert all(each["Metric"]["Dimensions"] == [{"Name": "TableName", "Value": table}] for each in metrics)
    assert all((each["Period"], each["Stat"]) == (300, "Sum") for each in metrics)
    assert alarm["Threshold"] == 10


def test_the_dashboard_shows_the_way_of_a_reading() -> None:
    body = json.loads(client("cloudwatch").get_dashboard(DashboardName="iot-pipeline-dev")["DashboardBody"])
    shown = {metric[1] for widget in body["widgets"] for metric in widget["properties"]["metrics"]}
    assert shown >= {"Count", "5XXError", "Latency", "Errors", "Throttles", "ApproximateAgeOfOldestMessage"}
    assert shown >= {"ApproximateNumberOfMessagesVisible", "ReadThrottleEvents", "WriteThrottleEvents"}
    dashboard = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/iot-pipeline-dev"
    assert tags(client("cloudwatch").list_tags_for_resource(ResourceARN=dashboard)["Tags"]) == TAGS
