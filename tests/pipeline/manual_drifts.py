"""What somebody sets otherwise than declared: shown with the property, and set back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from foreign_additions import ALL, change_alarm, document, set_queue, set_topic
from hands import arn, client, make_role, mappings, paths, queue_url, zipped
from manual_world import Change
from test_foreign_apigateway import add_method, api_id, on_api, on_stage, put

RAW, QUEUE, DEAD = "raw-sensor-data-dev", "iot-ingestion-queue-dev", "iot-dlq-dev"
FUNCTION, ROLE = "data-processor-dev", "iot-processor-lambda-role-dev"
MAPPING = f"event-source-mapping/{QUEUE}-to-{FUNCTION}"
CONFIG, KEY, GROUP = "/iot-pipeline/dev/config", "/iot-pipeline/dev/api-key", "/aws/lambda/data-query-dev"
LAYER, DASHBOARD, ALARM = "iot-shared-dependencies-dev", "iot-pipeline-dev", "iot-dlq-depth-dev"
API, STAGE, INGEST = "rest-api/iot-api-dev", "stage/dev", "route/POST /ingest"
ALERTS = arn("sns", "iot-alerts-dev")
ENVIRONMENT = "iotpipe:environment"


def drifted(what: str, act: Callable[[], Any], address: str, *properties: str) -> Change:
    return Change(what, act, tuple(f"drift {address} {each}" for each in properties))


def table(**changes: Any) -> Callable[[], Any]:
    return lambda: client("dynamodb").update_table(TableName=RAW, **changes)


def redrive(name: str, **policy: Any) -> Callable[[], None]:
    return lambda: set_queue(name, RedrivePolicy=json.dumps(policy) if policy else "")


def configured(**changes: Any) -> Callable[[], Any]:
    return lambda: client("lambda").update_function_configuration(FunctionName=FUNCTION, **changes)


def coded(architecture: str = "arm64") -> Callable[[], Any]:
    code = {"ZipFile": zipped(), "Architectures": [architecture]}
    return lambda: client("lambda").update_function_code(FunctionName=FUNCTION, **code)


def with_variables(**changes: str) -> None:
    found = client("lambda").get_function_configuration(FunctionName=FUNCTION)["Environment"]["Variables"]
    configured(Environment={"Variables": found | changes})()


def with_another_layer() -> None:
    theirs = client("lambda").publish_layer_version(LayerName="spy", Content={"ZipFile": zipped()})
    configured(Layers=[theirs["LayerVersionArn"]])()


def reserved(count: int) -> Callable[[], Any]:
    most = {"ReservedConcurrentExecutions": count}
    return lambda: client("lambda").put_function_concurrency(FunctionName=FUNCTION, **most)


def fed(**changes: Any) -> Callable[[], Any]:
    def act() -> None:
        [found] = mappings()
        client("lambda").update_event_source_mapping(UUID=found["UUID"], **changes)

    return act


def role(operation: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(client("iam"), operation)(RoleName=ROLE, **parameters)


def role_policy(name: str, change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[], Any]:
    """The role's own policy, changed, under this name."""

    def act() -> None:
        document = client("iam").get_role_policy(RoleName=ROLE, PolicyName="iotpipe")["PolicyDocument"]
        change(document["Statement"])
        role("put_role_policy", PolicyName=name, PolicyDocument=json.dumps(document))()

    return act


def may_write_every_table(statements: list[dict[str, Any]]) -> None:
    [found] = [each for each in statements if each["Sid"] == "StoreProcessed"]
    found["Resource"] = "*"


def attach() -> None:
    made = client("iam").create_policy(PolicyName="more", PolicyDocument=ALL)["Policy"]["Arn"]
    role("attach_role_policy", PolicyArn=made)()


def integrated(**changes: Any) -> Callable[[], Any]:
    def act() -> None:
        found = paths(api_id())["/ingest"]
        uri = found["resourceMethods"]["POST"]["methodIntegration"]["uri"]
        usual = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri}
        where = {"restApiId": api_id(), "resourceId": found["id"], "httpMethod": "POST"}
        client("apigateway").put_integration(**where, **usual | changes)

    return act


def open_to_anybody() -> None:
    found = paths(api_id())["/ingest"]
    uri = found["resourceMethods"]["POST"]["methodIntegration"]["uri"]
    where = {"restApiId": api_id(), "resourceId": found["id"], "httpMethod": "POST"}
    client("apigateway").delete_method(**where)
    client("apigateway").put_method(**where, authorizationType="NONE")
    client("apigateway").put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)


def permitted(**changes: str) -> Callable[[], Any]:
    which = {"FunctionName": "data-ingestion-dev", "StatementId": "iotpipe-ingest"}

    def act() -> None:
        usual = {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
        usual |= {"SourceArn": arn("execute-api", f"{api_id()}/*/POST/ingest")}
        client("lambda").remove_permission(**which)
        client("lambda").add_permission(**which, **usual | changes)

    return act


def deployed() -> None:
    made = client("apigateway").create_deployment(restApiId=api_id(), description="by hand")["id"]
    on_stage(put("/deploymentId", made))()


def open_and_deployed() -> None:
    """Taken back again: only the deployment still has it."""
    add_method("/open", type="HTTP_PROXY", integrationHttpMethod="GET", uri="https://example.com/")()
    deployed()
    client("apigateway").delete_resource(restApiId=api_id(), resourceId=paths(api_id())["/open"]["id"])


def drawn(body: dict[str, Any]) -> Callable[[], Any]:
    return lambda: client("cloudwatch").put_dashboard(DashboardName=DASHBOARD, DashboardBody=json.dumps(body))


def with_settings(**changes: Any) -> Callable[[], Any]:
    def act() -> None:
        found = json.loads(client("ssm").get_parameter(Name=CONFIG)["Parameter"]["Value"])
        text = json.dumps(found | changes)
        client("ssm").put_parameter(Name=CONFIG, Type="String", Value=text, Overwrite=True)

    return act


def untagged(key: str) -> Callable[[], Any]:
    which = arn("dynamodb", f"table/{RAW}")
    return lambda: client("dynamodb").untag_resource(ResourceArn=which, TagKeys=[key])


ANYBODY = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}})

TABLES = (
    drifted(
        "a table with bought units",
        table(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}),
        f"table/{RAW}",
        "BillingMode",
    ),
    drifted(
        "a table that AWS lets nobody delete",
        table(DeletionProtectionEnabled=True),
        f"table/{RAW}",
        "DeletionProtectionEnabled",
    ),
    drifted(
        "a table that cannot be restored",
        lambda: client("dynamodb").update_continuous_backups(
            TableName=RAW, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        ),
        f"table/{RAW}",
        "PointInTimeRecoveryEnabled",
    ),
    drifted(
        "a table without a tag of the user",
        untagged("purpose"),
        f"table/{RAW}",
        "Tags.purpose",
    ),
    drifted(
        "a table without the environment's tag",
        untagged(ENVIRONMENT),
        f"table/{RAW}",
        f"Tags.{ENVIRONMENT}",
    ),
)
QUEUES = (
    drifted(
        "messages seen again soon",
        lambda: set_queue(QUEUE, VisibilityTimeout="0"),
        f"queue/{QUEUE}",
        "VisibilityTimeout",
    ),
    drifted(
        "messages forgotten soon",
        lambda: set_queue(QUEUE, MessageRetentionPeriod="60"),
        f"queue/{QUEUE}",
        "MessageRetentionPeriod",
    ),
    drifted(
        "dead letters forgotten soon",
        lambda: set_queue(DEAD, MessageRetentionPeriod="60"),
        f"queue/{DEAD}",
        "MessageRetentionPeriod",
    ),
    drifted(
        "no dead letters",
        redrive(QUEUE),
        f"queue/{QUEUE}",
        "RedrivePolicy.deadLetterTargetArn",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "dead letters after 1000 tries",
        redrive(QUEUE, deadLetterTargetArn=arn("sqs", DEAD), maxReceiveCount=1000),
        f"queue/{QUEUE}",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "dead letters to somebody else",
        lambda: (
            client("sqs").create_queue(QueueName="spy"),
            redrive(QUEUE, deadLetterTargetArn=arn("sqs", "spy"), maxReceiveCount=3)(),
        ),
        f"queue/{QUEUE}",
        "RedrivePolicy.deadLetterTargetArn",
    ),
    drifted(
        "dead letters that are taken away in turn",
        lambda: (
            client("sqs").create_queue(QueueName="spy"),
            redrive(DEAD, deadLetterTargetArn=arn("sqs", "spy"), maxReceiveCount=1)(),
        ),
        f"queue/{DEAD}",
        "RedrivePolicy.deadLetterTargetArn",
        "RedrivePolicy.maxReceiveCount",
    ),
    drifted(
        "a queue without the environment's tag",
        lambda: client("sqs").untag_queue(QueueUrl=queue_url(QUEUE), TagKeys=[ENVIRONMENT]),
        f"queue/{QUEUE}",
        f"Tags.{ENVIRONMENT}",
    ),
)
OTHERS = (
    drifted(
        "a topic under another name", lambda: set_topic("DisplayName", "Spam"), "topic/iot-alerts-dev", "DisplayName"
    ),
    drifted(
        "a topic of another managing tool",
        lambda: client("sns").tag_resource(ResourceArn=ALERTS, Tags=[{"Key": "iotpipe:managed-by", "Value": "x"}]),
        "topic/iot-alerts-dev",
        "Tags.iotpipe:managed-by",
    ),
    drifted("another setting", with_settings(batch_size=1), f"parameter/{CONFIG}", "Value.batch_size"),
    drifted(
        "readings only with a key", with_settings(require_api_key=True), f"parameter/{CONFIG}", "Value.require_api_key"
    ),
    drifted("a setting more", with_settings(debug=True), f"parameter/{CONFIG}", "Value.debug"),
    drifted(
        "logs kept a day",
        lambda: client("logs").put_retention_policy(logGroupName=GROUP, retentionInDays=1),
        f"log-group/{GROUP}",
        "retentionInDays",
    ),
    drifted(
        "logs kept for ever",
        lambda: client("logs").delete_retention_policy(logGroupName=GROUP),
        f"log-group/{GROUP}",
        "retentionInDays",
    ),
    drifted(
        "a log group without the environment's tag",
        lambda: client("logs").untag_resource(resourceArn=arn("logs", f"log-group:{GROUP}"), tagKeys=[ENVIRONMENT]),
        f"log-group/{GROUP}",
        f"Tags.{ENVIRONMENT}",
    ),
    drifted("other widgets", drawn({"widgets": []}), f"dashboard/{DASHBOARD}", "DashboardBody.widgets"),
    drifted(
        "silent alarms",
        lambda: client("cloudwatch").disable_alarm_actions(AlarmNames=[ALARM]),
        f"alarm/{ALARM}",
        "ActionsEnabled",
    ),
    drifted(
        "an alarm that tells somebody else",
        change_alarm(AlarmActions=[arn("sns", "spy")]),
        f"alarm/{ALARM}",
        "AlarmActions",
    ),
    drifted("an alarm that tells nobody", change_alarm(AlarmActions=[]), f"alarm/{ALARM}", "AlarmActions"),
    drifted("an alarm that never goes off", change_alarm(Threshold=1e9), f"alarm/{ALARM}", "Threshold"),
    drifted("an alarm that waits", change_alarm(EvaluationPeriods=12), f"alarm/{ALARM}", "EvaluationPeriods"),
    drifted(
        "an alarm upside down",
        change_alarm(ComparisonOperator="LessThanThreshold"),
        f"alarm/{ALARM}",
        "ComparisonOperator",
    ),
    drifted(
        "an alarm that missing data sets off",
        change_alarm(TreatMissingData="breaching"),
        f"alarm/{ALARM}",
        "TreatMissingData",
    ),
    drifted(
        "an alarm on another queue",
        change_alarm(Dimensions=[{"Name": "QueueName", "Value": "x"}]),
        f"alarm/{ALARM}",
        "Dimensions",
    ),
    drifted(
        "an alarm on another metric", change_alarm(MetricName="NumberOfMessagesSent"), f"alarm/{ALARM}", "MetricName"
    ),
    drifted("an alarm over a day", change_alarm(Period=86400), f"alarm/{ALARM}", "Period"),
)
FUNCTIONS = (
    drifted("less memory", configured(MemorySize=128), f"function/{FUNCTION}", "MemorySize"),
    drifted("less time", configured(Timeout=1), f"function/{FUNCTION}", "Timeout"),
    drifted("another Python", configured(Runtime="python3.11"), f"function/{FUNCTION}", "Runtime"),
    drifted("another handler", configured(Handler="x.y"), f"function/{FUNCTION}", "Handler"),
    drifted("another role", lambda: configured(Role=make_role("spy"))(), f"function/{FUNCTION}", "Role"),
    drifted("no layer", configured(Layers=[]), f"function/{FUNCTION}", "Layers"),
    drifted("another layer", with_another_layer, f"function/{FUNCTION}", "Layers"),
    drifted(
        "another table in the environment",
        lambda: with_variables(PROCESSED_TABLE_NAME="spy"),
        f"function/{FUNCTION}",
        "Environment.Variables",
    ),
    drifted(
        "a wrapper around the handler",
        lambda: with_variables(AWS_LAMBDA_EXEC_WRAPPER="/opt/spy"),
        f"function/{FUNCTION}",
        "Environment.Variables",
    ),
    drifted(
        "no traces", configured(TracingConfig={"Mode": "PassThrough"}), f"function/{FUNCTION}", "TracingConfig.Mode"
    ),
    drifted(
        "no dead letters of calls",
        configured(DeadLetterConfig={"TargetArn": ""}),
        f"function/{FUNCTION}",
        "DeadLetterConfig.TargetArn",
    ),
    drifted("another code", coded(), f"function/{FUNCTION}", "CodeSha256"),
    drifted("a code for another CPU", coded("x86_64"), f"function/{FUNCTION}", "CodeSha256", "Architectures"),
    drifted("a stopped function", reserved(0), f"function/{FUNCTION}", "ReservedConcurrentExecutions"),
    drifted("a slowed function", reserved(1), f"function/{FUNCTION}", "ReservedConcurrentExecutions"),
    drifted(
        "no reserved calls",
        lambda: client("lambda").delete_function_concurrency(FunctionName=FUNCTION),
        f"function/{FUNCTION}",
        "ReservedConcurrentExecutions",
    ),
    drifted(
        "a permission from anywhere",
        permitted(SourceArn=arn("execute-api", "*")),
        "permission/iotpipe-ingest",
        "SourceArn",
    ),
    drifted(
        "a permission from another API",
        permitted(SourceArn=arn("execute-api", "a1/*/POST/ingest")),
        "permission/iotpipe-ingest",
        "SourceArn",
    ),
    drifted("the route's permission for anybody", permitted(Principal="*"), "permission/iotpipe-ingest", "Principal"),
    drifted("the route's permission for more", permitted(Action="lambda:*"), "permission/iotpipe-ingest", "Action"),
    drifted("a paused mapping", fed(Enabled=False), MAPPING, "Enabled"),
    drifted("a mapping one by one", fed(BatchSize=1), MAPPING, "BatchSize"),
    drifted("a mapping that waits", fed(MaximumBatchingWindowInSeconds=300), MAPPING, "MaximumBatchingWindowInSeconds"),
    drifted("whole batches that fail", fed(FunctionResponseTypes=[]), MAPPING, "FunctionResponseTypes"),
    drifted("a mapping without a limit", fed(ScalingConfig={}), MAPPING, "ScalingConfig.MaximumConcurrency"),
)
ROLES = (
    drifted(
        "a role for anybody",
        role("update_assume_role_policy", PolicyDocument=ANYBODY),
        f"role/{ROLE}",
        "AssumeRolePolicyDocument.Statement",
    ),
    drifted(
        "a role that may write every table",
        role_policy("iotpipe", may_write_every_table),
        f"role/{ROLE}",
        "Policies.iotpipe",
    ),
    drifted(
        "a role that may do nothing",
        role("delete_role_policy", PolicyName="iotpipe"),
        f"role/{ROLE}",
        "Policies.iotpipe",
    ),
    drifted("a role with a managed policy", attach, f"role/{ROLE}", "ManagedPolicies"),
    drifted(
        "a role within a boundary",
        role("put_role_permissions_boundary", PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess"),
        f"role/{ROLE}",
        "PermissionsBoundary",
    ),
    drifted(
        "a role described otherwise", role("update_role_description", Description="x"), f"role/{ROLE}", "Description"
    ),
    drifted(
        "a role without the environment's tag",
        role("untag_role", TagKeys=[ENVIRONMENT]),
        f"role/{ROLE}",
        f"Tags.{ENVIRONMENT}",
    ),
)
GATEWAY = (
    drifted("an API described otherwise", on_api(put("/description", "x")), API, "Description"),
    drifted(
        "an API at the edge",
        on_api(put("/endpointConfiguration/types/REGIONAL", "EDGE")),
        API,
        "EndpointConfiguration.types",
    ),
    drifted("a route for anybody", open_to_anybody, INGEST, "authorizationType"),
    drifted(
        "a route to elsewhere",
        integrated(type="HTTP_PROXY", uri="https://example.com"),
        INGEST,
        "integration.type",
        "integration.uri",
    ),
    drifted("a route without the proxy", integrated(type="AWS"), INGEST, "integration.type"),
    drifted("a deployment by hand", deployed, STAGE, "Deployment"),
    drifted("a method that was deployed and taken back", open_and_deployed, STAGE, "Deployment"),
    drifted(
        "a slowed stage", on_stage(put("/*/*/throttling/rateLimit", "0")), STAGE, "methodSettings.throttlingRateLimit"
    ),
    drifted(
        "a stage without bursts",
        on_stage(put("/*/*/throttling/burstLimit", "0")),
        STAGE,
        "methodSettings.throttlingBurstLimit",
    ),
    drifted(
        "a stage without metrics",
        on_stage(put("/*/*/metrics/enabled", "false")),
        STAGE,
        "methodSettings.metricsEnabled",
    ),
    drifted(
        "a stage without logs", on_stage(put("/*/*/logging/loglevel", "OFF")), STAGE, "methodSettings.loggingLevel"
    ),
    drifted("a stage without traces", on_stage(put("/tracingEnabled", "false")), STAGE, "tracingEnabled"),
)
DRIFTS = (*TABLES, *QUEUES, *OTHERS, *FUNCTIONS, *ROLES, *GATEWAY)
