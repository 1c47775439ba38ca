"""The pipeline as the Terraform CDK stack made it, which iotpipe replaces: made with plain boto3, under its names.

Nothing of it bears an environment's tags. Where iotpipe declares something else, this is how Terraform had it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
MANAGED = (
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
)
STATEMENTS = {
    "ingestion": "terraform-20240612093012345600000001",
    "processor": "AllowProcessInvoke",
    "query": "AllowQueryInvoke",
}
"""The ids of the statements by which the API may call each function."""
INLINE = "terraform-20240612093011987600000002"
"""Terraform's name for an inline policy that was given none."""
ROUTES = {"ingestion": ("POST", "ingest"), "processor": ("POST", "process"), "query": ("GET", "query")}
STAGE = "prod"
"""It had this name in every environment."""


@dataclass
class Original:
    """One environment of the stack; `client` makes clients of the AWS that it is in."""

    client: Callable[[str], Any]
    suffix: str = "dev"
    tags: Mapping[str, str] = field(default_factory=dict)
    api: str = ""
    """The id of its REST API, once it is made."""

    def make(self) -> Original:
        self._tables()
        self._queues()
        self._parameters()
        for version in ("boto3==1.34.0", "boto3==1.34.0 requests"):
            self.client("lambda").publish_layer_version(
                LayerName=self._named("iot-shared-dependencies"), Content={"ZipFile": _zip(version)}
            )
        for short in ROUTES:
            self._function(short)
        self.client("lambda").create_event_source_mapping(
            EventSourceArn=_arn("sqs", self._named("iot-ingestion-queue")),
            FunctionName=self._named("data-processor"),
            BatchSize=10,
            Tags=dict(self.tags),
        )
        self.api = self.make_api()
        for short in ROUTES:
            self._permit(short)
        self._alarms()
        return self

    def make_api(self) -> str:
        """The REST API with its deployment and its stage; a further call makes a further one of the same name."""
        gateway = self.client("apigateway")
        made: str = gateway.create_rest_api(
            name=self._named("iot-api"), endpointConfiguration={"types": ["REGIONAL"]}, tags=dict(self.tags)
        )["id"]
        [root] = gateway.get_resources(restApiId=made)["items"]
        for short, (method, path) in ROUTES.items():
            resource = gateway.create_resource(restApiId=made, parentId=root["id"], pathPart=path)["id"]
            where = {"restApiId": made, "resourceId": resource, "httpMethod": method}
            gateway.put_method(**where, authorizationType="AWS_IAM")
            called = f"{_arn('lambda', 'function:' + self._named(f'data-{short}'))}/invocations"
            uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{called}"
            gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        deployment = gateway.create_deployment(restApiId=made)["id"]
        gateway.create_stage(
            restApiId=made, stageName=STAGE, deploymentId=deployment, tracingEnabled=True, tags=dict(self.tags)
        )
        limits = (("throttling/rateLimit", "1000"), ("throttling/burstLimit", "1000"), ("metrics/enabled", "true"))
        settings = [{"op": "replace", "path": f"/*/*/{path}", "value": value} for path, value in limits]
        gateway.update_stage(restApiId=made, stageName=STAGE, patchOperations=settings)
        return made

    def _named(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    @property
    def _pairs(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def _tables(self) -> None:
        for name, key, kind in (("raw-sensor-data", "timestamp", "N"), ("processed-data", "event_date", "S")):
            keys = {"device_id": "HASH", key: "RANGE"}
            self.client("dynamodb").create_table(
                TableName=self._named(name),
                KeySchema=[{"AttributeName": each, "KeyType": role} for each, role in keys.items()],
                AttributeDefinitions=[
                    {"AttributeName": "device_id", "AttributeType": "S"},
                    {"AttributeName": key, "AttributeType": kind},
                ],
                BillingMode="PAY_PER_REQUEST",
                Tags=self._pairs,
            )
            self.client("dynamodb").update_continuous_backups(
                TableName=self._named(name),
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
        self.client("dynamodb").put_item(
            TableName=self._named("processed-data"),
            Item={"device_id": {"S": "roof"}, "event_date": {"S": "2024-06-12"}, "temperature": {"S": "0"}},
        )

    def _queues(self) -> None:
        sqs, failed = self.client("sqs"), self._named("iot-dlq")
        sqs.create_queue(QueueName=failed, Attributes={"MessageRetentionPeriod": "1209600"}, tags=dict(self.tags))
        redrive = json.dumps({"deadLetterTargetArn": _arn("sqs", failed), "maxReceiveCount": 3})
        attributes = {"VisibilityTimeout": "300", "RedrivePolicy": redrive}
        sqs.create_queue(QueueName=self._named("iot-ingestion-queue"), Attributes=attributes, tags=dict(self.tags))
        self.client("sns").create_topic(
            Name=self._named("iot-alerts"), Attributes={"DisplayName": "IoT Processing Alerts"}, Tags=self._pairs
        )

    def _parameters(self) -> None:
        values = {"api-key": ("SecureString", "their-own-key"), "config": ("String", '{"batch_size": 100}')}
        for name, (kind, value) in values.items():
            self.client("ssm").put_parameter(
                Name=f"/iot-pipeline/{self.suffix}/{name}", Type=kind, Value=value, Tags=self._pairs
            )

    def _function(self, short: str) -> None:
        name, role = self._named(f"data-{short}"), self._named(f"iot-{short}-lambda-role")
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=_policy(trust), Tags=self._pairs)["Role"]
        for arn in MANAGED:
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        may = {"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:Query", "sqs:*"], "Resource": "*"}
        iam.put_role_policy(RoleName=role, PolicyName=INLINE, PolicyDocument=_policy(may))
        # Terraform's stack declared it without a retention, or Lambda made it.
        self.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}", tags=dict(self.tags))
        self.client("lambda").create_function(
            FunctionName=name,
            Role=made["Arn"],
            Runtime="python3.11",
            Handler="lambda_function.lambda_handler",
            Code={"ZipFile": _zip("def lambda_handler(event, context): ...", "lambda_function.py")},
            MemorySize=256,
            Timeout=60,
            Layers=[_arn("lambda", f"layer:{self._named('iot-shared-dependencies')}:2")],
            Environment={"Variables": {"RAW_TABLE_NAME": self._named("raw-sensor-data"), "ENVIRONMENT": self.suffix}},
            TracingConfig={"Mode": "Active"},
            DeadLetterConfig={"TargetArn": _arn("sqs", self._named("iot-dlq"))},
            Tags=dict(self.tags),
        )
        self.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=100)

    def _permit(self, short: str) -> None:
        self.client("lambda").add_permission(
            FunctionName=self._named(f"data-{short}"),
            StatementId=STATEMENTS[short],
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=_arn("execute-api", f"{self.api}/*/*"),
        )

    def _alarms(self) -> None:
        common = {"Period": 300, "EvaluationPeriods": 1, "Statistic": "Sum"}
        common |= {
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": [_arn("sns", self._named("iot-alerts"))],
        }
        for short in ROUTES:
            on = [{"Name": "FunctionName", "Value": self._named(f"data-{short}")}]
            for metric, threshold in (("Errors", 10), ("Throttles", 5)):
                self._alarm(f"iot-{short}-{metric.lower()}", "AWS/Lambda", metric, on, threshold, common)
        for short, table in (("raw", "raw-sensor-data"), ("processed", "processed-data")):
            on = [{"Name": "TableName", "Value": self._named(table)}]
            self._alarm(f"{short}-table-throttles", "AWS/DynamoDB", "UserErrors", on, 10, common)
        widget = {"type": "metric", "properties": {"metrics": [["AWS/Lambda", "Errors"]], "region": REGION}}
        self.client("cloudwatch").put_dashboard(
            DashboardName=self._named("iot-pipeline"), DashboardBody=json.dumps({"widgets": [widget]})
        )

    def _alarm(
        self, name: str, namespace: str, metric: str, on: Any, threshold: int, common: Mapping[str, Any]
    ) -> None:
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=self._named(name),
            Namespace=namespace,
            MetricName=metric,
            Dimensions=on,
            Threshold=threshold,
            Tags=self._pairs,
            **common,
        )


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _zip(text: str, name: str = "python/pinned.txt") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()
