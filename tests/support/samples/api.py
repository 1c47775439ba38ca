"""Samples of the way in: the REST API, its routes, stage, account setting and permissions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from tests.support.manual_edits import (
    REGION,
    account_role,
    apis,
    arn,
    client,
    paths,
    paths_of,
    statements,
)
from tests.support.samples.functions import BOUNDARY, FUNCTION_ARN, a_function
from tests.support.samples.sample import IDENTITY, KMS_KEY, Sample, Tagging, Tampering
from tests.support.web_acls import OTHER_WEB_ACL, WEB_ACL, make_web_acls

# The REST API, its routes, stage and permissions


def _api() -> RestApi:
    return RestApi("sample-api", description="Sample")


def _the_api() -> str:
    (only,) = apis("sample-api")
    return str(only["id"])


def _patch_api(path: str, value: str) -> None:
    operation = {"op": "replace", "path": path, "value": value}
    client("apigateway").update_rest_api(restApiId=_the_api(), patchOperations=[operation])


def _gateway_tagging(suffix: str = "") -> Tagging:
    def which() -> str:
        return f"arn:aws:apigateway:{REGION}::/restapis/{_the_api()}{suffix}"

    return Tagging(
        lambda: client("apigateway").get_tags(resourceArn=which())["tags"],
        lambda tags: client("apigateway").tag_resource(resourceArn=which(), tags=tags),
        lambda keys: client("apigateway").untag_resource(resourceArn=which(), tagKeys=keys),
        "TagResource",
        "UntagResource",
    )


REST_API = Sample(
    _api,
    lambda: len(apis("sample-api")),
    lambda: client("apigateway").delete_rest_api(restApiId=_the_api()),
    ("CreateRestApi",),
    (
        Tampering("renamed", lambda: _patch_api("/name", "another"), ("Name",), ("UpdateRestApi",)),
        Tampering("described", lambda: _patch_api("/description", "Spam"), ("Description",), ("UpdateRestApi",)),
        Tampering(
            "moved",
            lambda: _patch_api("/endpointConfiguration/types/REGIONAL", "EDGE"),
            ("EndpointConfiguration.types",),
            ("UpdateRestApi",),
        ),
    ),
    _gateway_tagging(),
)


def _route(api: RestApi | None = None) -> Route:
    return Route("POST /ingest", api or _api(), "POST", "/ingest", a_function())


def _the_method() -> dict[str, str]:
    resource = paths(_the_api())["/ingest"]["id"]
    return {"restApiId": _the_api(), "resourceId": resource, "httpMethod": "POST"}


_URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION_ARN}/invocations"


def _integrate(**changes: Any) -> None:
    settings = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": _URI} | changes
    client("apigateway").put_integration(**_the_method(), **settings)


def _put_method_anew(authorization: str) -> None:
    where = _the_method()
    client("apigateway").delete_method(**where)
    client("apigateway").put_method(**where, authorizationType=authorization)
    client("apigateway").put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=_URI)


_PUT_ANEW = ("DeleteMethod", "PutMethod", "PutIntegration")

ROUTE = Sample(
    _route,
    lambda: paths_of(_the_api()).count("/ingest") if apis("sample-api") else 0,
    lambda: client("apigateway").delete_resource(restApiId=_the_api(), resourceId=paths(_the_api())["/ingest"]["id"]),
    ("CreateResource", "PutMethod", "PutIntegration"),
    (
        Tampering("open to anybody", lambda: _put_method_anew("NONE"), ("authorizationType",), _PUT_ANEW),
        Tampering(
            "another function",
            lambda: _integrate(uri=_URI.replace("sample-function", "evil")),
            ("integration.uri",),
            ("PutIntegration",),
        ),
        Tampering("no proxy", lambda: _integrate(type="AWS"), ("integration.type",), ("PutIntegration",)),
        Tampering(
            "fetched with GET",
            lambda: _integrate(integrationHttpMethod="GET"),
            ("integration.httpMethod",),
            ("PutIntegration",),
        ),
        Tampering(
            "no method",
            lambda: client("apigateway").delete_method(**_the_method()),
            (
                "httpMethod",
                "authorizationType",
                "integration.type",
                "integration.httpMethod",
                "integration.uri",
            ),
            ("PutMethod", "PutIntegration"),
        ),
    ),
    exempt={"RestApiId": "it is the parent", "path": IDENTITY},
)


def a_stage() -> Stage:
    api = _api()
    account = ApiGatewayAccount(REGION, BOUNDARY)
    settings: dict[str, Any] = {"metrics": True, "tracing": True, "logging": "INFO", "log_retention": 30}
    access_log = LogGroup("sample-access-log", retention=90)
    return Stage("prod", api, [_route(api)], account, 1000.0, 500, **settings, access_log=access_log, kms_key=KMS_KEY)


def _stages() -> list[str]:
    found = client("apigateway").get_stages(restApiId=_the_api())["item"] if apis("sample-api") else []
    return [each["stageName"] for each in found]


def _patch_stage(path: str, value: str) -> None:
    operation = {"op": "replace", "path": path, "value": value}
    client("apigateway").update_stage(restApiId=_the_api(), stageName="prod", patchOperations=[operation])


def _staged(what: str, path: str, value: str, drifts: str) -> Tampering:
    return Tampering(what, lambda: _patch_stage(path, value), (drifts,), ("UpdateStage",))


def _remove_from_stage(path: str) -> None:
    operation = {"op": "remove", "path": path}
    client("apigateway").update_stage(restApiId=_the_api(), stageName="prod", patchOperations=[operation])


def _logs() -> dict[str, str]:
    return {"logGroupName": f"API-Gateway-Execution-Logs_{_the_api()}/prod"}


def _deploy_by_hand() -> str:
    made: str = client("apigateway").create_deployment(restApiId=_the_api(), description="by hand")["id"]
    return made


def _make_stage(tags: dict[str, str]) -> None:
    client("apigateway").create_stage(restApiId=_the_api(), stageName="prod", deploymentId=_deploy_by_hand(), tags=tags)


def _protected_stage() -> Stage:
    make_web_acls()
    return replace(a_stage(), web_acl=WEB_ACL)


def _stage_arn() -> str:
    return f"arn:aws:apigateway:{REGION}::/restapis/{_the_api()}/stages/prod"


STAGE = Sample(
    _protected_stage,
    lambda: _stages().count("prod"),
    lambda: client("apigateway").delete_stage(restApiId=_the_api(), stageName="prod"),
    (
        "CreateLogGroup",
        "PutRetentionPolicy",
        "AssociateKmsKey",
        "CreateDeployment",
        "CreateStage",
        "UpdateStage",
        "AssociateWebACL",
    ),
    (
        Tampering(
            "deployed by hand",
            lambda: _patch_stage("/deploymentId", _deploy_by_hand()),
            ("Deployment",),
            ("UpdateStage",),
        ),
        Tampering(
            "an older deployment left over",
            lambda: client("apigateway").create_deployment(restApiId=_the_api(), description="iotpipe of old"),
            ("OutdatedDeployments",),
            ("DeleteDeployment",),
        ),
        _staged("no traces", "/tracingEnabled", "false", "tracingEnabled"),
        _staged("slower", "/*/*/throttling/rateLimit", "1", "methodSettings.throttlingRateLimit"),
        _staged("no bursts", "/*/*/throttling/burstLimit", "1", "methodSettings.throttlingBurstLimit"),
        _staged("no metrics", "/*/*/metrics/enabled", "false", "methodSettings.metricsEnabled"),
        _staged("no logs", "/*/*/logging/loglevel", "OFF", "methodSettings.loggingLevel"),
        _staged(
            "who called is logged elsewhere",
            "/accessLogSettings/destinationArn",
            arn("logs", "log-group:elsewhere"),
            "accessLogSettings.destinationArn",
        ),
        _staged(
            "less is logged of who called",
            "/accessLogSettings/format",
            "$context.requestId",
            "accessLogSettings.format",
        ),
        Tampering(
            "who called is not logged",
            lambda: _remove_from_stage("/accessLogSettings"),
            ("accessLogSettings.destinationArn", "accessLogSettings.format"),
            ("UpdateStage",),
        ),
        Tampering(
            "logs kept for a day",
            lambda: client("logs").put_retention_policy(**_logs(), retentionInDays=1),
            ("executionLogGroup.retentionInDays",),
            ("PutRetentionPolicy",),
        ),
        Tampering(
            "logs kept for ever",
            lambda: client("logs").delete_retention_policy(**_logs()),
            ("executionLogGroup.retentionInDays",),
            ("PutRetentionPolicy",),
        ),
        Tampering(
            "logs deleted",
            lambda: client("logs").delete_log_group(**_logs()),
            ("executionLogGroup.retentionInDays", "executionLogGroup.kmsKeyId"),
            ("CreateLogGroup", "PutRetentionPolicy", "AssociateKmsKey"),
        ),
        Tampering(
            "behind another web ACL",
            lambda: client("wafv2").associate_web_acl(WebACLArn=OTHER_WEB_ACL, ResourceArn=_stage_arn()),
            ("webAclArn",),
            ("AssociateWebACL",),
        ),
        Tampering(
            "behind no web ACL",
            lambda: client("wafv2").disassociate_web_acl(ResourceArn=_stage_arn()),
            ("webAclArn",),
            ("AssociateWebACL",),
        ),
        Tampering(
            "logs not encrypted",
            lambda: client("logs").disassociate_kms_key(**_logs()),
            ("executionLogGroup.kmsKeyId",),
            ("AssociateKmsKey",),
        ),
    ),
    _gateway_tagging("/stages/prod"),
    _make_stage,
    exempt={"RestApiId": "it is the parent"},
)


def _unset_account() -> None:
    operation = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    client("apigateway").update_account(patchOperations=[operation])


API_GATEWAY_ACCOUNT = Sample(
    lambda: ApiGatewayAccount(REGION, BOUNDARY),
    lambda: int(bool(account_role())),
    _unset_account,
    ("CreateRole", "PutRolePolicy", "UpdateAccount"),
)


def _permission() -> Permission:
    return Permission("iotpipe-ingest", a_function(), _api(), "POST", "/ingest")


def _count_statements() -> int:
    return [each["Sid"] for each in statements("sample-function")].count("iotpipe-ingest")


def _permit_instead(**changes: Any) -> None:
    settings = {
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": arn("execute-api", f"{_the_api()}/*/POST/ingest"),
    }
    which = {"FunctionName": "sample-function", "StatementId": "iotpipe-ingest"}
    client("lambda").remove_permission(**which)
    client("lambda").add_permission(**which, **(settings | changes))


def _permitted(what: str, drifts: str, **changes: str) -> Tampering:
    return Tampering(what, lambda: _permit_instead(**changes), (drifts,), ("RemovePermission", "AddPermission"))


PERMISSION = Sample(
    _permission,
    _count_statements,
    lambda: client("lambda").remove_permission(FunctionName="sample-function", StatementId="iotpipe-ingest"),
    ("AddPermission",),
    (
        _permitted("anything", "Action", Action="lambda:*"),
        _permitted("for anybody", "Principal", Principal="*"),
        _permitted("from anywhere", "SourceArn", SourceArn=arn("execute-api", "*")),
    ),
    exempt={"FunctionName": "it is the parent"},
)
