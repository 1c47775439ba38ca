"""What a plan rightly says nothing of: it opens nothing, loses nothing, stops nothing, and hides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.provision.foreign.test_foreign_apigateway import api_id, on_stage, put
from tests.support.foreign.additions import ALL, CONFIG, KEY, document, set_queue
from tests.support.manual_changes.data_drift import ALARM, DEAD, FUNCTION, GROUP, QUEUE, RAW, ROLE
from tests.support.manual_changes.world import Change
from tests.support.manual_edits import arn, client, make_role, pairs, paths, queue_url


def ignored(what: str, act: Callable[[], Any], because: str) -> Change:
    return Change(what, act, because=because)


def gateway(operation: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(client("apigateway"), operation)(restApiId=api_id(), **parameters)


def on_method(operation: str, **parameters: Any) -> Callable[[], Any]:
    where = {"httpMethod": "POST", "statusCode": "200"}
    return lambda: gateway(operation, resourceId=paths(api_id())["/ingest"]["id"], **where, **parameters)()


def answer_of_integration() -> None:
    on_method("put_method_response")()
    on_method("put_integration_response", responseTemplates={"application/json": "{}"})()


def function(operation: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(client("lambda"), operation)(FunctionName=FUNCTION, **parameters)


def logs(operation: str, **parameters: Any) -> Callable[[], Any]:
    return lambda: getattr(client("logs"), operation)(**parameters)


def with_long_sessions() -> None:
    found = client("iam").get_role(RoleName=ROLE)["Role"]
    client("iam").update_role(RoleName=ROLE, Description=found["Description"], MaxSessionDuration=43200)


def with_profile() -> None:
    client("iam").create_instance_profile(InstanceProfileName="spy")
    client("iam").add_role_to_instance_profile(InstanceProfileName="spy", RoleName=ROLE)


def with_user() -> None:
    client("iam").create_user(UserName="spy")
    client("iam").put_user_policy(UserName="spy", PolicyName="all", PolicyDocument=ALL)


def with_plan() -> None:
    stage = {"apiId": api_id(), "stage": "dev", "throttle": {"POST/ingest": {"rateLimit": 0.0, "burstLimit": 0}}}
    made = client("apigateway").create_usage_plan(name="spy", apiStages=[stage])["id"]
    key = client("apigateway").create_api_key(name="spy", enabled=True)["id"]
    client("apigateway").create_usage_plan_key(usagePlanId=made, keyId=key, keyType="API_KEY")


def with_domain() -> None:
    made = {"regionalCertificateArn": arn("acm", "certificate/1"), "endpointConfiguration": {"types": ["REGIONAL"]}}
    client("apigateway").create_domain_name(domainName="iot.example.com", **made)
    client("apigateway").create_base_path_mapping(domainName="iot.example.com", restApiId=api_id(), stage="dev")


def with_another_logging_role() -> None:
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": make_role("logs-of-all-apis")}
    client("apigateway").update_account(patchOperations=[patch])


def with_another_alarm() -> None:
    client("cloudwatch").put_metric_alarm(
        AlarmName="spy",
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=1,
        Namespace="AWS/SQS",
        MetricName="NumberOfMessagesSent",
        Dimensions=[{"Name": "QueueName", "Value": QUEUE}],
        Statistic="Sum",
        Period=60,
        Threshold=1,
    )


METRIC = [{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}]
PUT_LOGS = document({"Effect": "Allow", "Principal": {"Service": "es.amazonaws.com"}, "Action": "logs:PutLogEvents"})

DATA = (
    ignored(
        "a tag more",
        lambda: client("dynamodb").tag_resource(ResourceArn=arn("dynamodb", f"table/{RAW}"), Tags=pairs({"a": "b"})),
        "tags that iotpipe did not set are those of the account's owner",
    ),
    ignored(
        "a row by hand",
        lambda: client("dynamodb").put_item(TableName=RAW, Item={"device_id": {"S": "a"}, "timestamp": {"N": "1"}}),
        "rows are the readings themselves: a plan looks at none",
    ),
    ignored(
        "a backup",
        lambda: client("dynamodb").create_backup(TableName=RAW, BackupName="before"),
        "the table goes on as it was; who may read the backup could read the table",
    ),
    ignored(
        "dead letters thrown away",
        lambda: client("sqs").purge_queue(QueueUrl=queue_url(DEAD)),
        "messages come and go; the queue does not tell that it was emptied",
    ),
    ignored(
        "a KMS key used for longer",
        lambda: set_queue(QUEUE, KmsDataKeyReusePeriodSeconds="86400"),
        "it counts only with a KMS key, which is told",
    ),
    ignored(
        "another topic",
        lambda: client("sns").create_topic(Name="spy"),
        "nothing of the pipeline publishes on it",
    ),
    ignored(
        "a description of the settings",
        lambda: client("ssm").put_parameter(
            Name=CONFIG,
            Type="String",
            Value=client("ssm").get_parameter(Name=CONFIG)["Parameter"]["Value"],
            Description="x",
            Overwrite=True,
        ),
        "nobody goes by it",
    ),
    ignored(
        "a label on the settings",
        lambda: client("ssm").label_parameter_version(Name=CONFIG, Labels=["x"]),
        "the functions ask for the parameter without a label",
    ),
    ignored(
        "another value of the key",
        lambda: client("ssm").put_parameter(Name=KEY, Type="SecureString", Value="x" * 43, Overwrite=True),
        "that is how the key is changed: iotpipe makes the first and never reads it",
    ),
)
CODE = (
    ignored(
        "retries of asynchronous calls",
        function("put_function_event_invoke_config", MaximumRetryAttempts=0),
        "API Gateway and the queue call the functions synchronously",
    ),
    ignored(
        "a description of a function",
        function("update_function_configuration", Description="x"),
        "nobody goes by it",
    ),
    ignored(
        "longer sessions of a role",
        with_long_sessions,
        "it counts for who assumes the role with STS, and Lambda alone may",
    ),
    ignored("a role in an instance profile", with_profile, "EC2 may not assume the role: its trust names Lambda alone"),
    ignored(
        "a user who may do all", with_user, "who has which rights in the account is for its owner, not a resource's"
    ),
    ignored(
        "a metric of the logs",
        logs("put_metric_filter", logGroupName=GROUP, filterName="f", filterPattern="", metricTransformations=METRIC),
        "it counts lines and passes none on",
    ),
    ignored(
        "a log stream",
        logs("create_log_stream", logGroupName=GROUP, logStreamName="s"),
        "each copy of a function has one of its own",
    ),
    ignored(
        "services that may write logs",
        logs("put_resource_policy", policyName="p", policyDocument=PUT_LOGS),
        "it lets services of AWS write, and nobody read",
    ),
)
ROADS = (
    ignored("a deployment that nobody serves", gateway("create_deployment", description="x"), "no stage leads to it"),
    ignored("a description of the stage", on_stage(put("/description", "x")), "nobody goes by it"),
    ignored(
        "a model",
        gateway("create_model", name="m", contentType="application/json", schema="{}"),
        "it counts only for methods that name it, which is told",
    ),
    ignored(
        "a validator that no method has",
        gateway("create_request_validator", name="v", validateRequestBody=True),
        "it counts only for methods that name it, which is told",
    ),
    ignored(
        "an authorizer that no method has",
        gateway("create_authorizer", name="a", type="TOKEN", authorizerUri="arn:x", identitySource="s"),
        "it counts only for methods that name it, which is told",
    ),
    ignored(
        "an answer of an integration",
        answer_of_integration,
        "with a proxy integration API Gateway passes on the function's answer, and looks at no other",
    ),
    ignored("a usage plan", with_plan, "it counts only for methods that want an API key, which is told"),
    ignored("a domain name for the API", with_domain, "who calls it must sign the call there as well"),
    ignored(
        "another API of the name",
        lambda: client("apigateway").create_rest_api(name="iot-api-dev"),
        "names of APIs are not unique, and the functions let in no other API",
    ),
    ignored(
        "another logging role of the account",
        with_another_logging_role,
        "it is the account's, and API Gateway accepts none that cannot write logs",
    ),
    ignored(
        "an alarm of somebody else",
        with_another_alarm,
        "it watches and changes nothing",
    ),
    ignored(
        "an alarm's state by hand",
        lambda: client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="x"),
        "within a minute CloudWatch evaluates the alarm again",
    ),
    ignored(
        "metrics by hand",
        lambda: client("cloudwatch").put_metric_data(Namespace="x", MetricData=[{"MetricName": "m", "Value": 1}]),
        "nobody can write into the namespaces of AWS, which the alarms look at",
    ),
)
IGNORED = (*DATA, *CODE, *ROADS)
