"""Additions of others to the API, its routes and its stages are found and completely removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from iotpipe.errors import RefusedError
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.run import Event
from tests.support.foreign.additions import of_group
from tests.support.foreign.functions_world import ByHand, Pipeline, api_id, at
from tests.support.foreign.world import remembered
from tests.support.manual_edits import REGION, arn, client, paths, role_arn
from tests.support.resource_contract import lose

API, STAGE, ROUTE = "rest-api/iot-api-dev", "stage/dev", "route/POST /ingest"


def on_api(*operations: dict[str, str]) -> Callable[[], Any]:
    return lambda: client("apigateway").update_rest_api(restApiId=api_id(), patchOperations=operations)


def on_stage(*operations: dict[str, str]) -> Callable[[], Any]:
    return lambda: client("apigateway").update_stage(restApiId=api_id(), stageName="dev", patchOperations=operations)


def put(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}


def add(path: str, **value: str) -> dict[str, str]:
    return {"op": "add", "path": path, **value}


def policy(effect: str) -> dict[str, str]:
    statement = {"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    return put("/policy", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def make_path(path: str) -> str:
    """Return the id of the path, after creating it and its missing parents."""
    there = paths(api_id())
    if path in there:
        found: str = there[path]["id"]
        return found
    above, _, part = path.rpartition("/")
    parent = make_path(above or "/")
    made: str = client("apigateway").create_resource(restApiId=api_id(), parentId=parent, pathPart=part)["id"]
    return made


def add_method(path: str, method: str = "GET", authorization: str = "NONE", **integration: Any) -> Callable[[], Any]:
    def act() -> None:
        where = {"restApiId": api_id(), "resourceId": make_path(path), "httpMethod": method}
        client("apigateway").put_method(**where, authorizationType=authorization)
        if integration:
            client("apigateway").put_integration(**where, **integration)

    return act


def put_anew(method: dict[str, Any], integration: dict[str, Any]) -> Callable[[], Any]:
    """POST /ingest as declared, with further settings."""

    def act() -> None:
        found = paths(api_id())["/ingest"]
        where = {"restApiId": api_id(), "resourceId": found["id"], "httpMethod": "POST"}
        uri = found["resourceMethods"]["POST"]["methodIntegration"]["uri"]
        client("apigateway").delete_method(**where)
        client("apigateway").put_method(**where, authorizationType="AWS_IAM", **method)
        usual = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri}
        client("apigateway").put_integration(**where, **usual, **integration)

    return act


def method(what: str, risk: str, found: str, **settings: Any) -> ByHand:
    return ByHand(what, put_anew(settings, {}), ROUTE, risk, f"POST /ingest {found}")


def integration(what: str, risk: str, found: str, **settings: Any) -> ByHand:
    return ByHand(what, put_anew({}, settings), ROUTE, risk, f"POST /ingest {found}")


def override(setting: str, value: str, *more: tuple[str, str]) -> Callable[[], Any]:
    """Settings of POST /ingest alone; by default the stage's limits, log and metrics."""
    usual = {"throttling/rateLimit": "1000", "throttling/burstLimit": "2000"}
    usual |= {"logging/loglevel": "INFO", "metrics/enabled": "true"}
    settings = usual | {setting: value} | dict(more)
    return on_stage(*(put(f"/~1ingest/POST/{key}", text) for key, text in settings.items()))


def deploy(stage: str, description: str = "") -> None:
    client("apigateway").create_deployment(restApiId=api_id(), stageName=stage, description=description)


def add_canary() -> None:
    made = client("apigateway").create_deployment(restApiId=api_id(), description="iotpipe of another day")["id"]
    on_stage(put("/canarySettings/deploymentId", made), put("/canarySettings/percentTraffic", "12.5"))()


def answered(kind: str, **answer: Any) -> Callable[[], Any]:
    return lambda: client("apigateway").put_gateway_response(restApiId=api_id(), responseType=kind, **answer)


LOCATION = "gatewayresponse.header.Location"
OUTSIDE = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "https://example.com/"}
MOCK = {"type": "MOCK"}

CHANGES = (
    ByHand("a policy for all", on_api(policy("Allow")), API, "opens", "lets anybody execute-api:Invoke"),
    ByHand("a policy that denies", on_api(policy("Deny")), API, "stops", "denies anybody execute-api:Invoke"),
    ByHand("a disabled URL", on_api(put("/disableExecuteApiEndpoint", "true")), API, "stops", "at its own URL"),
    ByHand(
        "a VPC endpoint",
        on_api(add("/endpointConfiguration/vpcEndpointIds", value="vpce-0")),
        API,
        "alters",
        "iot-api-dev is tied to vpce-0",
    ),
    ByHand("compression", on_api(put("/minimumCompressionSize", "0")), API, "alters", "answers of 0 bytes and more"),
    ByHand("another key source", on_api(put("/apiKeySource", "AUTHORIZER")), API, "alters", "API keys from AUTHORIZER"),
    ByHand(
        "binary types",
        on_api(add("/binaryMediaTypes/application~1json"), add("/binaryMediaTypes/*~1*")),
        API,
        "alters",
        "in base64: application/json, */*",
    ),
    ByHand(
        "a method for anybody",
        add_method("/ingest", **OUTSIDE),
        API,
        "opens",
        "anybody on the internet can call GET /ingest of iot-api-dev, which leads to https://example.com/",
    ),
    ByHand(
        "a method on a path of its own",
        add_method("/a/b", "ANY", **OUTSIDE),
        API,
        "opens",
        "anybody on the internet can call ANY /a/b",
    ),
    ByHand("a method at the root", add_method("/", **OUTSIDE), API, "opens", "anybody on the internet can call GET /"),
    ByHand("a canned answer", add_method("/ingest", "OPTIONS", **MOCK), API, "alters", "an answer of its own (MOCK)"),
    ByHand(
        "a method for whom IAM lets",
        add_method("/ingest", "PUT", "AWS_IAM", **OUTSIDE),
        API,
        "alters",
        "callers that IAM allows can call PUT /ingest",
    ),
    ByHand(
        "a refusal that looks like success",
        answered("THROTTLED", statusCode="200"),
        API,
        "drains",
        "answers THROTTLED with a custom response, with the code 200: a device takes that for a reading",
    ),
    ByHand(
        "a refusal that leads elsewhere",
        answered("DEFAULT_4XX", statusCode="307", responseParameters={LOCATION: "'https://example.com'"}),
        API,
        "drains",
        "with the code 307",
    ),
    ByHand(
        "a refusal in other words",
        answered("DEFAULT_5XX", responseTemplates={"application/json": "{}"}),
        API,
        "alters",
        "answers DEFAULT_5XX with a custom response",
    ),
    ByHand("a path", lambda: make_path("/x/y"), API, "alters", "a path that nobody declared: /x/y"),
    method("an API key", "stops", "is refused without an API key", apiKeyRequired=True),
    method("scopes", "stops", "asks for the scopes: read", authorizationScopes=["read"]),
    method("a validator", "stops", "is refused by the validator: v", requestValidatorId="v"),
    method(
        "required parameters",
        "alters",
        "declares parameters: method.request.header.x",
        requestParameters={"method.request.header.x": True},
    ),
    method("models", "alters", "declares models for: application/json", requestModels={"application/json": "Empty"}),
    integration(
        "credentials",
        "stops",
        f"only succeeds if this role may call the function: {role_arn('other')}",
        credentials=role_arn("other"),
    ),
    integration("a timeout", "stops", "is given up after 50 ms", timeoutInMillis=50),
    integration("more time", "alters", "may take 60000 ms", timeoutInMillis=60000),
    integration("templates", "alters", "has mapping templates for: text/plain", requestTemplates={"text/plain": "{}"}),
    integration(
        "mapped parameters",
        "alters",
        "passes on changed parameters: integration.request.header.x",
        requestParameters={"integration.request.header.x": "'1'"},
    ),
    integration("cache keys", "alters", "is cached by: path", cacheKeyParameters=["path"]),
    integration("another cache", "alters", "shares the cache common", cacheNamespace="common"),
    integration("conversion", "alters", "has its body converted: CONVERT_TO_TEXT", contentHandling="CONVERT_TO_TEXT"),
    integration("passthrough", "alters", "is passed on NEVER", passthroughBehavior="NEVER"),
    ByHand("a canary", add_canary, STAGE, "drains", "12.5 % of the requests go to the deployment"),
    ByHand("a trace", on_stage(put("/*/*/logging/dataTrace", "true")), STAGE, "opens", "readings and keys"),
    ByHand("caching", on_stage(put("/*/*/caching/enabled", "true")), STAGE, "alters", "cached for 300 s"),
    ByHand(
        "a cache",
        on_stage(put("/cacheClusterEnabled", "true"), put("/cacheClusterSize", "0.5")),
        STAGE,
        "alters",
        "a cache of 0.5 GB",
    ),
    ByHand(
        "variables", on_stage(put("/variables/a", "1"), put("/variables/b", "2")), STAGE, "alters", "declared: a, b"
    ),
    ByHand("a certificate", on_stage(put("/clientCertificateId", "c0")), STAGE, "alters", "client certificate c0"),
    ByHand(
        "an access log",
        on_stage(
            put("/accessLogSettings/destinationArn", arn("logs", "log-group:other")),
            put("/accessLogSettings/format", "$context.requestId"),
        ),
        STAGE,
        "alters",
        f"the callers of each route are logged into {arn('logs', 'log-group:other')}",
    ),
    ByHand("a stopped route", override("throttling/rateLimit", "0"), STAGE, "stops", "POST /ingest is never let thr"),
    ByHand(
        "a slowed route", override("throttling/burstLimit", "1"), STAGE, "stops", "POST /ingest is let through less"
    ),
    ByHand("a traced route", override("logging/dataTrace", "true"), STAGE, "opens", "POST /ingest is traced"),
    ByHand("a route not logged", override("logging/loglevel", "OFF"), STAGE, "hides", "POST /ingest is not logged"),
    ByHand("a route not counted", override("metrics/enabled", "false"), STAGE, "hides", "has no metrics of its own"),
    ByHand("a cached route", override("caching/enabled", "true"), STAGE, "alters", "POST /ingest is answered from a"),
    ByHand(
        "an unlimited route",
        override("throttling/rateLimit", "-1", ("throttling/burstLimit", "-1")),
        STAGE,
        "alters",
        "POST /ingest has settings of its own",
    ),
    ByHand(
        "another stage",
        lambda: deploy("open"),
        STAGE,
        "opens",
        f"can be called at https://{{api}}.execute-api.{REGION}.amazonaws.com/open",
    ),
)


@pytest.fixture
def empty_account() -> None:
    """Keep the pipeline up between tests: replaces the fixture that empties the account."""


def served() -> str:
    found: str = client("apigateway").get_stage(restApiId=api_id(), stageName="dev")["deploymentId"]
    return found


def deployments() -> list[str]:
    return [each["id"] for each in client("apigateway").get_deployments(restApiId=api_id())["items"]]


@pytest.mark.matrix
def test_an_api_as_it_was_made_has_nothing_foreign(pipeline: Pipeline, kept: list[Pipeline]) -> None:
    plan, found, _ = pipeline.looked_at()
    assert not plan.pending
    assert found == []
    kept.append(pipeline)


@pytest.mark.sampled(10)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_what_was_added_is_found_and_removed(change: ByHand, pipeline: Pipeline, kept: list[Pipeline]) -> None:
    change.act()
    before = served()
    _, [found], _ = pipeline.looked_at()
    assert (found.address, found.risk) == (change.address, change.risk)
    assert change.found.format(api=api_id()) in found.found

    found.remove()
    found.remove()
    plan, left, _ = pipeline.looked_at()
    assert left == []
    assert not plan.pending
    if change.address != STAGE:
        # The addition may have been deployed, and its deployment is gone.
        assert before not in deployments()
    kept.append(pipeline)


def test_what_was_removed_and_not_deployed_yet_is_for_up_to_deploy(pipeline: Pipeline) -> None:
    """After the failure the method is gone from the API, and only the stage's drift shows that it is still served."""
    add_method("/open", **OUTSIDE)()
    _, [found], _ = pipeline.looked_at()
    pipeline.before = at("CreateDeployment", lose)
    with pytest.raises(ConnectionClosedError):
        found.remove()
    pipeline.before = None
    assert "/open" not in paths(api_id())

    plan, left, _ = pipeline.looked_at()
    assert left == []
    assert [(each.address, each.drifted) for each in plan.pending] == [(STAGE, True)]
    before = served()
    pipeline.up(pipeline.resources, tags=pipeline.tags)
    assert before not in deployments()


@pytest.mark.matrix
def test_a_route_that_is_not_as_declared_is_not_deployed_under_the_declared_hash(pipeline: Pipeline) -> None:
    add_method("/open", **OUTSIDE)()
    where = {"restApiId": api_id(), "resourceId": make_path("/query"), "httpMethod": "GET"}
    client("apigateway").delete_method(**where)
    client("apigateway").put_method(**where, authorizationType="NONE")
    before = served()
    _, [found], _ = pipeline.looked_at()

    found.remove()
    assert served() == before
    plan, _, _ = pipeline.looked_at()
    assert {each.address for each in plan.pending} == {"route/GET /query", STAGE}
    pipeline.up(pipeline.resources, tags=pipeline.tags)
    assert before not in deployments()
    assert pipeline.looked_at()[1] == []


@pytest.mark.matrix
def test_what_up_will_delete_is_not_foreign(pipeline: Pipeline) -> None:
    without = [each for each in pipeline.resources if each.name != "GET /query"]
    [stage] = [each for each in without if isinstance(each, Stage)]
    routes = [each for each in stage.routes if each.name != "GET /query"]
    pipeline.resources = [replace(stage, name="v2", routes=routes) if each is stage else each for each in without]
    pipeline.resources = [each for each in pipeline.resources if each.name != "iotpipe-query"]
    plan, found, _ = pipeline.looked_at()
    assert {each.address for each in plan.deletions} == {"route/GET /query", STAGE, "permission/iotpipe-query"}
    assert found == []


@pytest.mark.matrix
@pytest.mark.parametrize("what", [each.what for each in of_group("")])
def test_what_is_added_to_the_logs_of_the_stage_is_found_and_removed(
    what: str, pipeline: Pipeline, kept: list[Pipeline]
) -> None:
    [added] = [each for each in of_group(f"API-Gateway-Execution-Logs_{api_id()}/dev") if each.what == what]
    with remembered(added.gap):
        plan, [found], _ = pipeline.looked_at()
        assert (found.address, found.risk) == (STAGE, added.risk)
        assert added.found in found.found
        assert not plan.pending
        assert found.remove
        if added.refused:
            with pytest.raises(RefusedError, match=added.refused):
                found.remove()
        else:
            found.remove()
            found.remove()
            assert pipeline.looked_at()[1] == []
    kept.append(pipeline)


@pytest.mark.matrix
def test_a_stage_that_logs_nothing_has_no_logs_for_others_to_read(pipeline: Pipeline) -> None:
    [stage] = [each for each in pipeline.resources if isinstance(each, Stage)]
    [added, *_] = of_group(f"API-Gateway-Execution-Logs_{api_id()}/dev")
    pipeline.resources = [replace(stage, logging="OFF") if each is stage else each for each in pipeline.resources]
    with remembered(added.gap):
        assert pipeline.looked_at()[1] == []
    client("logs").delete_log_group(logGroupName=f"API-Gateway-Execution-Logs_{api_id()}/dev")
    pipeline.resources = [stage if each.address == STAGE else each for each in pipeline.resources]
    assert pipeline.looked_at()[1] == []


@pytest.mark.matrix
def test_a_firewall_is_told_and_left_to_the_user(pipeline: Pipeline, kept: list[Pipeline]) -> None:
    waf, stage = client("wafv2"), f"arn:aws:apigateway:{REGION}::/restapis/{api_id()}/stages/dev"
    visible = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    made = waf.create_web_acl(Name="a", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visible)
    waf.associate_web_acl(WebACLArn=made["Summary"]["ARN"], ResourceArn=stage)
    _, [found], _ = pipeline.looked_at()
    assert (found.address, found.risk, found.remove) == (STAGE, "alters", None)
    assert (
        "set `api.web_acl` to it" in found.instead and f"disassociate-web-acl --resource-arn {stage}" in found.instead
    )
    on_stage(put("/variables/added", "1"))()
    pipeline.up(pipeline.resources, tags=pipeline.tags, strict=True)
    assert pipeline.writes == ["UpdateStage"]
    assert Event(STAGE, "kept") in pipeline.events
    assert [each.subject for each in pipeline.looked_at()[1]] == ["web ACL"]
    waf.disassociate_web_acl(ResourceArn=stage)
    assert pipeline.looked_at()[1] == []
    kept.append(pipeline)
