"""Where moto 5.2.5 forgets what AWS keeps, and the least that makes it remember. One entry per gap, with its reason.

What is not patched here and differs from AWS all the same is a scripted fault in the test that needs it.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from uuid import uuid4

from moto.apigateway.exceptions import NotFoundException, ResourceIdNotFoundException
from moto.apigateway.models import APIGatewayBackend, RestAPI, Stage, apigateway_backends
from moto.apigateway.responses import APIGatewayResponse
from moto.apigateway.urls import url_paths as gateway_paths
from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.awslambda.policy import Policy
from moto.awslambda.responses import LambdaResponse
from moto.awslambda.urls import url_paths as lambda_paths
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core import responses
from moto.core.resource_tagging import TaggedResource, make_tag_matcher
from moto.core.responses import ActionResult, EmptyResult
from moto.core.routing import ServiceOperationRouter
from moto.dynamodb.exceptions import ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.iam.responses import IamResponse
from moto.logs.exceptions import ResourceNotFoundException as LogGroupNotFoundException
from moto.logs.responses import LogsResponse
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from tests.support import moto_device_gaps, moto_iot_gaps

_create = LambdaFunction.__init__
_configuration = LambdaFunction.get_configuration
_update = LambdaFunction.update_configuration
_update_code = LambdaFunction.update_function_code
_code = LambdaFunction.get_code
_delete_api, _delete_path = APIGatewayBackend.delete_rest_api, APIGatewayBackend.delete_resource
_create_api, _update_account = APIGatewayBackend.create_rest_api, APIGatewayBackend.update_account
_stage_tags = {name: getattr(APIGatewayResponse, name) for name in ("get_tags", "tag_resource", "untag_resource")}
_attach = IAMBackend.attach_role_policy
_put_dashboard = CloudWatchResponse.put_dashboard
_put_integration = APIGatewayResponse.put_integration
_patch_api, _patch_stage, _stage = RestAPI.apply_patch_operations, Stage.apply_operations, Stage.to_json


def create_function(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    """DeadLetterConfig is never stored."""
    self.dead_letter_config = spec.get("DeadLetterConfig") or {}
    self.kept_settings = {}
    _create(self, account_id, spec, *args, **kwargs)


def function_configuration(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """DeadLetterConfig is never answered."""
    found = _configuration(self, *args, **kwargs) | self.kept_settings
    return found | ({"DeadLetterConfig": self.dead_letter_config} if self.dead_letter_config.get("TargetArn") else {})


def update_function(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
    """UpdateFunctionConfiguration ignores TracingConfig, DeadLetterConfig and all that somebody may add by hand."""
    by_hand = ("KMSKeyArn", "EphemeralStorage", "FileSystemConfigs", "LoggingConfig", "SnapStart")
    self.kept_settings |= {key: config_updates[key] for key in by_hand if key in config_updates}
    self.tracing_config = config_updates.get("TracingConfig", self.tracing_config)
    self.dead_letter_config = config_updates.get("DeadLetterConfig", self.dead_letter_config)
    return _update(self, config_updates)


def update_code(self: Any, updated_spec: dict[str, Any]) -> dict[str, Any]:
    """UpdateFunctionCode ignores Architectures, and the key of the code."""
    self.source_key = updated_spec.get("SourceKMSKeyArn")
    self.architectures = updated_spec.get("Architectures", self.architectures)
    return _update_code(self, updated_spec)


def function_with_code(self: Any) -> dict[str, Any]:
    """GetFunction answers neither a reserved concurrency of 0, which stops a function, nor the key of the code."""
    found, reserved = _code(self), self.reserved_concurrency
    stopped = {} if reserved is None else {"Concurrency": {"ReservedConcurrentExecutions": reserved}}
    key = getattr(self, "source_key", None)
    return found | stopped | ({"Code": found["Code"] | {"SourceKMSKeyArn": key}} if key else {})


def _policies(self: Any, name: str, qualifier: str | None) -> Any:
    """The policy of the function, or of one version or alias."""
    function = self.get_function(name, qualifier)
    if qualifier in (None, "$LATEST"):
        return function.policy
    called = self._lambdas._get_function_aliases(function.function_name).get(qualifier, function)
    return vars(called).setdefault("policy_of_its_own", Policy(function))  # type: ignore[no-untyped-call] # moto's


def add_permission(self: Any, function_name: str, qualifier: str | None, raw: str) -> Any:
    """What a version or an alias permits is added to the policy of the function."""
    return _policies(self, function_name, qualifier).add_statement(raw, qualifier)[0]


def get_policy(self: Any, function_name: str, qualifier: str | None = None) -> Any:
    """Asked for the policy of a version or an alias, GetPolicy answers with that of the function."""
    return _policies(self, function_name, qualifier).wire_format()


def remove_permission(self: Any) -> Any:
    """RemovePermission ignores the Qualifier."""
    _, _, name, _, sid = unquote(urlsplit(self.path).path).strip("/").split("/")
    _policies(self.backend, name, self.querystring.get("Qualifier", [None])[0]).del_statement(sid)
    return 204, {"status": 204}, "{}"


def account_settings(self: Any) -> str:
    """GetAccountSettings is 404. moto itself knows MOTO_LAMBDA_CONCURRENCY_QUOTA: how many the account may run."""
    functions = self.backend.list_functions()
    limit = int(os.environ.get("MOTO_LAMBDA_CONCURRENCY_QUOTA", "1000"))
    reserved = sum(int(each.reserved_concurrency or 0) for each in functions)
    most = {"TotalCodeSize": 80_530_636_800, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800}
    most |= {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit - reserved}
    used = {"TotalCodeSize": sum(each.code_size for each in functions), "FunctionCount": len(functions)}
    return json.dumps({"AccountLimit": most, "AccountUsage": used})


def attach_to_role(self: Any, policy_arn: str, role_name: str) -> None:
    """AttachRolePolicy knows none of AWS's own policies, unless all 1,500 are loaded."""
    if ":iam::aws:policy/" in policy_arn and policy_arn not in self.managed_policies:
        path, _, name = policy_arn.partition(":policy")[2].rpartition("/")
        nothing = {"Version": "2012-10-17", "Statement": []}
        aws = {"AttachmentCount": 0, "CreateDate": "2015-04-09T15:03:43+00:00", "DefaultVersionId": "v1"}
        aws |= {"Path": f"{path}/", "Document": nothing, "UpdateDate": "2015-04-09T15:03:43+00:00"}
        self.managed_policies[policy_arn] = AWSManagedPolicy.from_data(name, self.account_id, self.region_name, aws)
    _attach(self, policy_arn, role_name)


def simulate(self: Any) -> ActionResult:
    """SimulatePrincipalPolicy is an HTML page with status 500. Here everybody may do everything."""
    actions, resources = self._get_param("ActionNames"), self._get_param("ResourceArns")
    asked = [{"EvalActionName": action, "EvalResourceName": on} for action in actions for on in resources]
    return ActionResult({"EvaluationResults": [each | {"EvalDecision": "allowed"} for each in asked]})


def function_urls(self: Any) -> str:
    """ListFunctionUrlConfigs is 404."""
    found = self.backend.get_function(unquote(self.path.split("/")[-2]))
    return json.dumps({"FunctionUrlConfigs": [found.url_config.to_dict()] if found.url_config else []})


def patch_api(self: Any, patch_operations: list[dict[str, Any]]) -> None:
    """UpdateRestApi takes "false" for true, and knows neither sizes, VPC endpoints nor media types in the path."""
    for each in patch_operations:
        part, _, rest = each["path"][1:].partition("/")
        endpoints = self.endpoint_configuration.setdefault("vpcEndpointIds", [])
        if part == "disableExecuteApiEndpoint":
            self.disableExecuteApiEndpoint = each["value"] == "true"
        elif part == "minimumCompressionSize":
            self.minimum_compression_size = int(each["value"]) if "value" in each else None
        elif part == "binaryMediaTypes":
            (self.binaryMediaTypes.append if each["op"] == "add" else self.binaryMediaTypes.remove)(_plain(rest))
        elif rest == "vpcEndpointIds":
            (endpoints.append if each["op"] == "add" else endpoints.remove)(each["value"])
        else:
            _patch_api(self, [each])


def _plain(text: str) -> str:
    """Part of a patch's path without its escapes."""
    return text.replace("~1", "/").replace("~0", "~")


def put_integration(self: Any) -> Any:
    """PutIntegration drops the cache keys."""
    status, headers, _ = _put_integration(self)
    _, _, api, _, resource, _, method, _ = self.path.split("/")
    found = self.backend.get_integration(api, resource, method)
    found.cache_key_parameters = self._get_param("cacheKeyParameters") or []
    return status, headers, json.dumps(found.to_json())


def update_deployment(self: Any) -> str:
    """UpdateDeployment is 404."""
    _, _, api, _, deployment = self.path.split("/")
    found = self.backend.get_deployment(api, deployment)
    for each in self._get_param("patchOperations"):
        found.description = each["value"]
    return json.dumps(found.to_json())


def patch_stage(self: Any, patch_operations: list[dict[str, Any]]) -> Any:
    """UpdateStage forgets canaries and certificates, and a method's settings can never be removed."""
    self.kept_settings = getattr(self, "kept_settings", {})
    for each in patch_operations:
        part, _, rest = each["path"][1:].partition("/")
        if part == "clientCertificateId":
            self.kept_settings[part] = each["value"]
        elif part == "canarySettings":
            if each["op"] == "remove":
                del self.kept_settings[part]
            else:
                canary = self.kept_settings.setdefault(part, {"percentTraffic": 0.0, "useStageCache": False})
                canary[rest] = float(each["value"]) if rest == "percentTraffic" else each["value"]
        elif each["op"] == "remove" and part not in ("variables", "accessLogSettings"):
            # Moto keeps the slash of the path, and AWS does not ask for it.
            for key in (f"{part}/{rest}", f"~1{part}/{rest}"):
                self.method_settings.pop(key, None)
        else:
            _patch_stage(self, [each])
    return self


def stage_settings(self: Any) -> dict[str, Any]:
    """Canaries and certificates are never answered; AWS answers with a path's settings without its first slash."""
    found = _stage(self) | {key: value for key, value in getattr(self, "kept_settings", {}).items() if value}
    settings = {key.removeprefix("~1"): value for key, value in found["methodSettings"].items()}
    return found | {"methodSettings": settings}


def create_api(self: Any, *args: Any, **kwargs: Any) -> Any:
    """From the first API on there is something that GetAccount can tell."""
    self.known = True
    return _create_api(self, *args, **kwargs)


def update_account(self: Any, patch_operations: Any) -> Any:
    """From then on there is something that GetAccount can tell."""
    self.known = True
    return _update_account(self, patch_operations)


def get_account(self: Any) -> Any:
    """GetAccount answers for an account that never used API Gateway; AWS does not know it, in each region anew."""
    if not getattr(self, "known", False):
        error = NotFoundException("Invalid Customer identifier specified")
        error.code = 404
        raise error
    return self.account


def delete_api(self: Any, function_id: str) -> Any:
    """Deleting an API that is not there is a KeyError; AWS says NotFoundException."""
    self.get_rest_api(function_id)
    return _delete_api(self, function_id)


def delete_path(self: Any, function_id: str, resource_id: str) -> Any:
    """Deleting a path that is not there is a KeyError; AWS says NotFoundException."""
    if resource_id not in self.get_rest_api(function_id).resources:
        raise ResourceIdNotFoundException
    return _delete_path(self, function_id, resource_id)


def _api_of(response: Any) -> Any:
    """The REST API whose tags are asked for, unless it is a stage's: those moto knows."""
    parts = unquote(response.path.split("/tags/")[1]).split("/")
    return None if "stages" in parts else response.backend.get_rest_api(parts[-1])


def get_tags(self: Any) -> str:
    """GetTags of a REST API is 404."""
    api = _api_of(self)
    return json.dumps({"tags": api.tags or {}}) if api else _stage_tags["get_tags"](self)


def tag_resource(self: Any) -> str:
    """TagResource of a REST API is 404."""
    api = _api_of(self)
    if api is None:
        return _stage_tags["tag_resource"](self)
    api.tags = {**(api.tags or {}), **self._get_param("tags")}
    return "{}"


def untag_resource(self: Any) -> str:
    """UntagResource of a REST API is 404."""
    api = _api_of(self)
    if api is None:
        return _stage_tags["untag_resource"](self)
    removed = self.querystring.get("tagKeys", [])
    api.tags = {key: value for key, value in (api.tags or {}).items() if key not in removed}
    return "{}"


def _dashboard_arn(backend: Any, name: str) -> str:
    return f"arn:aws:cloudwatch::{backend.account_id}:dashboard/{name}"


def put_dashboard(self: Any) -> Any:
    """PutDashboard drops its tags; AWS takes them for a new dashboard and ignores them for an existing one."""
    backend, name = self.cloudwatch_backend, self._get_param("DashboardName")
    new = name not in backend.dashboards
    result = _put_dashboard(self)
    if new:
        backend.tagger.delete_all_tags_for_resource(_dashboard_arn(backend, name))
        backend.tagger.tag_resource(_dashboard_arn(backend, name), self._get_param("Tags", []))
    return result


_tag_alarm = CloudWatchBackend.tag_resource


def tag_dashboard(self: Any, arn: str, tags: dict[str, str]) -> None:
    """TagResource knows no dashboards."""
    if ":dashboard/" in arn:
        self.tagger.tag_resource(arn, self.tagger.convert_dict_to_tags_input(tags))
    else:
        _tag_alarm(self, arn, tags)


_set_up = CloudWatchResponse.setup_class


def set_up_for_dashboards(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
    """Each region has dashboards of its own; on AWS they are the whole account's."""
    _set_up(self, request, *args, **kwargs)
    if "Dashboard" in self._get_action() or b":dashboard/" in unquote_to_bytes(request.data):
        self.region = "us-east-1"


_tagged_resources = ResourceGroupsTaggingAPIBackend._get_resources_generator


def tagged_resources(self: Any, tag_filters: Any = None, **filters: Any) -> Iterator[TaggedResource]:
    """GetResources knows neither REST APIs, nor their stages, nor event source mappings, nor AWS IoT."""
    yield from _tagged_resources(self, tag_filters, **filters)
    matches = make_tag_matcher(tag_filters)
    if not any(filters.values()):
        yield from (each for each in _unlisted(self.account_id, self.region_name) if matches(each.tags))


_tagged_pages = ResourceGroupsTaggingAPIBackend.get_resources


def tagged_pages(self: Any, tags_per_page: int, **asked: Any) -> Any:
    """GetResources ends a page after 100 tags, also where only the number of resources is limited."""
    return _tagged_pages(self, tags_per_page=10_000 if tags_per_page == 100 else tags_per_page, **asked)


def _unlisted(account: str, region: str) -> Iterator[TaggedResource]:
    for api in apigateway_backends[account][region].apis.values():
        arn = f"arn:aws:apigateway:{region}::/restapis/{api.id}"
        yield TaggedResource(arn, api.tags or {}, "apigateway:restapis")
        for stage in api.stages.values():
            yield TaggedResource(f"{arn}/stages/{stage.name}", stage.tags or {}, "apigateway:restapis")
    for mapping in lambda_backends[account][region]._event_source_mappings.values():
        yield TaggedResource(mapping.arn, mapping.tags, "lambda:event-source-mapping")
    yield from moto_iot_gaps.tagged(account, region)


def _rules(self: Any) -> dict[str, dict[str, Any]]:
    """The account's mute rules by name."""
    found: dict[str, dict[str, Any]] = self.cloudwatch_backend.__dict__.setdefault("mute_rules", {})
    return found


def put_alarm_mute_rule(self: Any) -> ActionResult:
    """PutAlarmMuteRule is not there."""
    name = self._get_param("Name")
    arn = f"arn:aws:cloudwatch:{self.region}:{self.current_account}:alarm-mute-rule:{name}"
    kept = {key: self._get_param(key) for key in ("Rule", "MuteTargets")}
    _rules(self)[name] = {"Name": name, "AlarmMuteRuleArn": arn, "Status": "SCHEDULED", **kept}
    return EmptyResult()


def list_alarm_mute_rules(self: Any) -> ActionResult:
    """ListAlarmMuteRules is not there."""
    shown = ("AlarmMuteRuleArn", "Status")
    return ActionResult(
        {"AlarmMuteRuleSummaries": [{key: each[key] for key in shown} for each in _rules(self).values()]}
    )


def get_alarm_mute_rule(self: Any) -> ActionResult:
    """GetAlarmMuteRule is not there."""
    return ActionResult(_rules(self)[self._get_param("AlarmMuteRuleName")])


def delete_alarm_mute_rule(self: Any) -> ActionResult:
    """DeleteAlarmMuteRule is not there; AWS answers the same where there is no such rule."""
    _rules(self).pop(self._get_param("AlarmMuteRuleName"), None)
    return EmptyResult()


_table = Table.describe


def table_with_id(self: Any, base_key: str = "TableDescription") -> dict[str, Any]:
    """Tables have no TableId, by which one can be told from another of its name."""
    found: dict[str, Any] = _table(self, base_key)
    found[base_key]["TableId"] = self.__dict__.setdefault("table_id", str(uuid4()))
    return found


_expiry = DynamoDBBackend.describe_time_to_live


def describe_time_to_live(self: Any, table_name: str) -> dict[str, Any]:
    """For a table that is not there DescribeTimeToLive has a code that AWS has not: ResourceNotFound."""
    self.get_table(table_name)
    return _expiry(self, table_name)


_update_table = DynamoHandler.update_table


def update_table(self: Any) -> Any:
    """UpdateTable forgets SSESpecification."""
    if (wanted := self.body.get("SSESpecification")) is None:
        return _update_table(self)
    self.dynamodb_backend.get_table(self.body["TableName"]).sse_specification = wanted
    return ActionResult(self.dynamodb_backend.get_table(self.body["TableName"]).describe())


def _log_group(self: Any) -> Any:
    name = self._get_param("logGroupName")
    if name not in self.logs_backend.groups:
        raise LogGroupNotFoundException
    return self.logs_backend.groups[name]


def associate_kms_key(self: Any) -> str:
    """AssociateKmsKey is not there."""
    _log_group(self).kms_key_id = self._get_param("kmsKeyId")
    return ""


def disassociate_kms_key(self: Any) -> str:
    """DisassociateKmsKey is not there."""
    _log_group(self).kms_key_id = None
    return ""


def _destinations(self: Any) -> dict[str, str]:
    """The status of each Kinesis stream of the table that the request names."""
    found: dict[str, str] = self.dynamodb_backend.get_table(self.body["TableName"]).__dict__.setdefault("kinesis", {})
    return found


def enable_kinesis_streaming_destination(self: Any) -> ActionResult:
    """EnableKinesisStreamingDestination is not there."""
    _destinations(self)[self.body["StreamArn"]] = "ACTIVE"
    return ActionResult({"TableName": self.body["TableName"], "DestinationStatus": "ENABLING"})


def disable_kinesis_streaming_destination(self: Any) -> ActionResult:
    """DisableKinesisStreamingDestination is not there."""
    if _destinations(self).get(self.body["StreamArn"]) != "ACTIVE":
        raise ResourceNotFoundException(table_name=self.body["TableName"])
    _destinations(self)[self.body["StreamArn"]] = "DISABLED"
    return ActionResult({"TableName": self.body["TableName"], "DestinationStatus": "DISABLING"})


def describe_kinesis_streaming_destination(self: Any) -> ActionResult:
    """DescribeKinesisStreamingDestination is not there."""
    streams = [{"StreamArn": arn, "DestinationStatus": status} for arn, status in _destinations(self).items()]
    return ActionResult({"TableName": self.body["TableName"], "KinesisDataStreamDestinations": streams})


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (LambdaFunction, "__init__", create_function),
    (LambdaFunction, "get_configuration", function_configuration),
    (LambdaFunction, "update_configuration", update_function),
    (LambdaFunction, "update_function_code", update_code),
    (LambdaFunction, "get_code", function_with_code),
    (LambdaBackend, "add_permission", add_permission),
    (LambdaBackend, "get_policy", get_policy),
    (LambdaResponse, "remove_permission", remove_permission),
    (LambdaResponse, "get_account_settings", account_settings),
    (LambdaResponse, "list_function_url_configs", function_urls),
    (IAMBackend, "attach_role_policy", attach_to_role),
    (IamResponse, "simulate_principal_policy", simulate),
    (RestAPI, "apply_patch_operations", patch_api),
    (APIGatewayResponse, "put_integration", put_integration),
    (APIGatewayResponse, "update_deployment", update_deployment),
    (Stage, "apply_operations", patch_stage),
    (Stage, "to_json", stage_settings),
    (APIGatewayBackend, "create_rest_api", create_api),
    (APIGatewayBackend, "update_account", update_account),
    (APIGatewayBackend, "get_account", get_account),
    (APIGatewayBackend, "delete_rest_api", delete_api),
    (APIGatewayBackend, "delete_resource", delete_path),
    (APIGatewayResponse, "get_tags", get_tags),
    (APIGatewayResponse, "tag_resource", tag_resource),
    (APIGatewayResponse, "untag_resource", untag_resource),
    (CloudWatchResponse, "put_dashboard", put_dashboard),
    (CloudWatchBackend, "tag_resource", tag_dashboard),
    (CloudWatchResponse, "setup_class", set_up_for_dashboards),
    (ResourceGroupsTaggingAPIBackend, "_get_resources_generator", tagged_resources),
    (ResourceGroupsTaggingAPIBackend, "get_resources", tagged_pages),
    (CloudWatchResponse, "put_alarm_mute_rule", put_alarm_mute_rule),
    (CloudWatchResponse, "list_alarm_mute_rules", list_alarm_mute_rules),
    (CloudWatchResponse, "get_alarm_mute_rule", get_alarm_mute_rule),
    (CloudWatchResponse, "delete_alarm_mute_rule", delete_alarm_mute_rule),
    (Table, "describe", table_with_id),
    (DynamoHandler, "update_table", update_table),
    (LogsResponse, "associate_kms_key", associate_kms_key),
    (LogsResponse, "disassociate_kms_key", disassociate_kms_key),
    (DynamoDBBackend, "describe_time_to_live", describe_time_to_live),
    (DynamoHandler, "enable_kinesis_streaming_destination", enable_kinesis_streaming_destination),
    (DynamoHandler, "disable_kinesis_streaming_destination", disable_kinesis_streaming_destination),
    (DynamoHandler, "describe_kinesis_streaming_destination", describe_kinesis_streaming_destination),
    *moto_iot_gaps.PATCHES,
    *moto_device_gaps.PATCHES,
)


def _absent(self: Any) -> str:
    raise AttributeError


_ORIGINALS = tuple(getattr(owner, name, _absent) for owner, name, _ in PATCHES)


def close_gaps() -> None:
    """Make this process's moto remember what it would forget."""
    for path in ("account-settings/?$", r"functions/(?P<function_name>[\w_:%-]+)/urls/?$"):
        lambda_paths["{0}/(?P<api_version>[^/]+)/" + path] = LambdaResponse.dispatch
    # As a server it unquotes the ARN of an API before it looks for who answers.
    arn = "arn:(?P<partition>[^/]+):apigateway:(?P<region_name>[^/]+)::/restapis/(?P<function_id>[^/]+)"
    gateway_paths[f"{{0}}/tags/{arn}$"] = APIGatewayResponse.dispatch
    for owner, name, replacement in PATCHES:
        patch.object(owner, name, replacement, create=not hasattr(owner, name)).start()
    patch.object(ServiceOperationRouter, "_get_router", _one_router_at_a_time).start()
    # It looks for a role by going through all of them, while another thread makes one.
    patch.object(IAMBackend, "get_roles", lambda self: list(self.roles.values())).start()
    # And for an alarm likewise.
    patch.object(CloudWatchBackend, "describe_alarms", lambda self: list(self.alarms.values())).start()
    # It looks at every attribute of a service's class anew for each call, which is a tenth of what a call costs.
    patch.object(responses, "method_names_from_class", functools.cache(responses.method_names_from_class)).start()


_get_router, _routing = ServiceOperationRouter._get_router, threading.Lock()


def _one_router_at_a_time(self: Any, protocol: str) -> Any:
    """A router compiles its routes when it is first asked, and CPython 3.11's ast fails in two threads at once."""
    with _routing:
        return _get_router(self, protocol)


@contextmanager
def opened(gap: int) -> Iterator[None]:
    """Moto as it is, as far as this one of PATCHES goes."""
    owner, name, _ = PATCHES[gap]
    with patch.object(owner, name, _ORIGINALS[gap]):
        yield
