"""What somebody sets otherwise than declared of functions, roles and the API: shown, and set back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.provision.foreign.test_foreign_apigateway import add_method, api_id, on_api, on_stage, put
from tests.support.foreign.additions import ALL, document
from tests.support.manual_changes.data_drift import API, ENVIRONMENT, FUNCTION, INGEST, MAPPING, ROLE, STAGE, drifted
from tests.support.manual_edits import arn, client, make_role, mappings, paths, zipped


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


ANYBODY = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}})
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
CODE_DRIFTS = (*FUNCTIONS, *ROLES, *GATEWAY)
