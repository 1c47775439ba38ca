"""Patches for the gaps of ministack 1.5.33 that matter to iotpipe: one function per gap, with its reason."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from iotpipe.local import function_gaps
from iotpipe.local.engine_directory import ACCOUNT, RootKey

_MAX_API_BODY = 10_485_760  # bytes: API Gateway's limit


def close(root: RootKey) -> None:
    """Apply every patch. Call it before ministack reads its state or answers a request."""
    _keep_code_in_the_state()
    _check_root_signatures(root)
    function_gaps.make_worker_keys_secret(root)
    _update_queue_urls_after_a_port_change()
    _decompress_bodies()
    _authorize_every_operation()
    _support_dashboard_tags()
    _keep_one_set_of_tags_per_api()
    _list_all_tagged_resources()
    _keep_metrics_of_alarms()
    function_gaps.unpack_layers_once()
    _answer_missing_resources_as_aws()
    function_gaps.report_init_errors()
    function_gaps.hide_awscrt()
    function_gaps.hide_exceptions_from_api_callers()


def collect_restore_failures() -> list[str]:
    """Return a list that ministack's start fills with the services whose state it cannot read.

    ministack starts without that data, and the next save would delete it.
    """
    from ministack import app

    failures: list[str] = []

    def load_persisted_state() -> None:
        for name, module in app._state_map.items():
            try:
                if state := app.load_state(name):
                    app._get_module(module).load_persisted_state(state)
            # ministack may raise anything for a damaged state.
            except Exception as error:  # noqa: BLE001
                failures.append(f"{name}: {error!r}")

    app._load_persisted_state = load_persisted_state
    return failures


def _keep_code_in_the_state() -> None:
    """Keep a function's code in the service's state; ministack writes it to separate files at other times."""
    from ministack.services import lambda_svc

    lambda_svc._externalize_code_zip = lambda function, referenced: None
    lambda_svc._prune_orphan_code_blobs = lambda referenced: None


def _check_root_signatures(root: RootKey) -> None:
    """Register the root key as a session: ministack checks the signatures of sessions, but not those of root keys."""
    from ministack.services import sts

    sts.register_session(
        root.access_key,
        {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "AccountId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": root.secret_key,
        },
    )


def _update_queue_urls_after_a_port_change() -> None:
    """Update the queues' URLs at a start: they contain the port, and with an old one no event source mapping polls."""
    from ministack.services import sqs

    load = sqs.load_persisted_state

    def load_persisted_state(data: Any) -> None:
        load(data)
        for key, queue in list(sqs._queues.all_items()):
            account, region, name, before = sqs._queue_scope_from_record(key, queue)
            now = sqs._queue_url_for_account(account, name)
            sqs._queues.pop_scoped(account, region, before)
            sqs._queues.set_scoped(account, region, now, queue | {"url": now})
        sqs._queue_name_to_url.clear()
        sqs._rebuild_queue_name_index()

    sqs.load_persisted_state = load_persisted_state


def _decompress_bodies() -> None:
    """Decompress gzip bodies for the integration as API Gateway does; ministack corrupts them by decoding them as text.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
    """
    from ministack.services import apigateway_v1

    build = apigateway_v1._build_lambda_event_v1

    def decompressed(*args: Any, **named: Any) -> Any:
        *before, headers, body, query, path = args
        if headers.get("content-encoding") == "gzip":
            body = _decompressed(body)
        return build(*before, headers, body, query, path, **named)

    apigateway_v1._build_lambda_event_v1 = decompressed


def _decompressed(body: bytes) -> bytes:
    """Decompress a complete gzip body; return any other body unchanged, for the function to refuse."""
    member = zlib.decompressobj(wbits=31)
    with suppress(zlib.error):
        content = member.decompress(body, _MAX_API_BODY)
        return content if member.eof else body
    return body


def _authorize_every_operation() -> None:
    """Authorize also the requests for which ministack knows no IAM action: it performs them without a check.

    Authorize SendMessageBatch and the other batches of SQS by the action of the single call, as IAM does.
    """
    from ministack.core import iam_actions

    extract = iam_actions.extract_iam_action
    iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]

    def extract_iam_action(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> str:
        action = extract(service, method, path, headers, body, query)
        if action is None:
            # Only a policy that allows everything allows UnknownOperation.
            name = iam_actions._match_rest_action(service, method, path, query) or "UnknownOperation"
            return f"{iam_actions.SERVICE_TO_IAM_NAMESPACE.get(service, service)}:{name}"
        return str(action.removesuffix("Batch") if service == "sqs" else action)

    find_resource = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> str:
        arn = str(find_resource(service, method, path, *rest))
        version = _LAYER_VERSION.fullmatch(path) if service == "lambda" else None
        return f"{arn}:{version[1]}" if version else arn

    iam_actions.extract_iam_action = extract_iam_action
    iam_actions.extract_resource_arn = extract_resource_arn


_LAYER_VERSION = re.compile(r"/2018-10-31/layers/[^/]+/versions/(\d+)(?:/.*)?")


def _support_dashboard_tags() -> None:
    """Support tags of dashboards: ministack drops them, and its tag operations of CloudWatch only accept alarms."""
    from ministack.services import cloudwatch

    put, validate = cloudwatch._put_dashboard, cloudwatch._validate_alarm_tag_arn

    def put_dashboard(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        name = data.get("DashboardName", "")
        new = name not in cloudwatch._dashboards
        answer = put(params, data, is_cbor, is_json)
        if new and (dashboard := cloudwatch._dashboards.get(name)):
            tags = {tag["Key"]: tag.get("Value", "") for tag in data.get("Tags", [])}
            cloudwatch._resource_tags[dashboard["DashboardArn"]] = tags
        return answer

    def validate_tag_arn(arn: str, is_json: bool = False, is_cbor: bool = False) -> Any:
        known = cloudwatch._dashboards.get(arn.rpartition(":dashboard/")[2])
        return None if known and known["DashboardArn"] == arn else validate(arn, is_json=is_json, is_cbor=is_cbor)

    cloudwatch._put_dashboard = put_dashboard
    cloudwatch._validate_alarm_tag_arn = validate_tag_arn


def _keep_one_set_of_tags_per_api() -> None:
    """Keep the tags of an API or stage once: ministack keeps two copies, so GetStage does not show TagResource's."""
    from ministack.services import apigateway_v1

    resolve = apigateway_v1._resolve_v1_tag_resource_arn

    def resolve_tag_resource_arn(arn: str) -> Any:
        key, error = resolve(arn)
        # .../restapis/API or .../restapis/API/stages/STAGE
        _, collection, api, *stage = (key or "//").rpartition(":")[2].split("/")
        if collection == "restapis":
            resource = apigateway_v1._stages_v1[api][stage[1]] if stage else apigateway_v1._rest_apis[api]
            apigateway_v1._v1_tags[key] = resource.setdefault("tags", {})
        return key, error

    apigateway_v1._resolve_v1_tag_resource_arn = resolve_tag_resource_arn


def _list_all_tagged_resources() -> None:
    """Have GetResources return the resource types below, which ministack leaves out."""
    from ministack.services import apigateway_v1, cloudwatch, cloudwatch_logs, lambda_svc, tagging

    Tagged = Iterator[tuple[str, list[dict[str, str]]]]
    as_list = tagging._normalise_flat

    def apis() -> Tagged:
        for api, description in apigateway_v1._rest_apis.items():
            arn = apigateway_v1._rest_api_arn(api)
            yield arn, as_list(description.get("tags"))
            for name, stage in apigateway_v1._stages_v1.get(api, {}).items():
                yield f"{arn}/stages/{name}", as_list(stage.get("tags"))

    def alarms() -> Tagged:
        for alarm in cloudwatch._alarms.values():
            yield alarm["AlarmArn"], as_list(cloudwatch._resource_tags.get(alarm["AlarmArn"]))

    def log_groups() -> Tagged:
        for group in cloudwatch_logs._log_groups.values():
            yield group["arn"].removesuffix(":*"), as_list(group.get("tags"))

    def functions_and_mappings() -> Tagged:
        yield from tagging._collect_lambda()
        for uuid, mapping in lambda_svc._esms.items():
            yield lambda_svc._esm_arn(uuid), as_list(mapping.get("Tags"))

    tagging._COLLECTORS |= {
        "apigateway": apis,
        "cloudwatch": alarms,
        "iot": tagging._collect_iot,
        "logs": log_groups,
        "lambda": functions_and_mappings,
        "ssm": tagging._collect_ssm,
    }


def _keep_metrics_of_alarms() -> None:
    """Keep the `Metrics` of an alarm on several metrics, which ministack drops."""
    from ministack.services import cloudwatch

    put = cloudwatch._put_metric_alarm

    def put_metric_alarm(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        answer = put(params, data, is_cbor, is_json)
        if (metrics := data.get("Metrics")) and (alarm := cloudwatch._alarms.get(data.get("AlarmName"))):
            alarm["Metrics"] = metrics
        return answer

    cloudwatch._put_metric_alarm = put_metric_alarm


def _answer_missing_resources_as_aws() -> None:
    """Answer with AWS's error codes for missing dashboards, topics and parameters, which `down` relies on.

    ministack has its own codes for dashboards and topics, and returns no tags for a missing parameter.
    """
    from ministack.services import cloudwatch, sns, ssm

    for service, wrong_code in ((cloudwatch, "DashboardNotFoundError"), (sns, "ResourceNotFoundException")):

        def error(code: str, *rest: Any, original: Any = service._error, wrong: str = wrong_code, **more: Any) -> Any:
            return original("ResourceNotFound" if code == wrong else code, *rest, **more)

        service._error = error
    list_tags = ssm._list_tags_for_resource

    def list_tags_for_resource(data: dict[str, Any]) -> Any:
        name = data.get("ResourceId", "")
        exists = ssm._lookup_parameter(name, flexible_name=True)[1]
        return list_tags(data) if exists else ssm.error_response_json("InvalidResourceId", f"no parameter {name}", 400)

    ssm._list_tags_for_resource = list_tags_for_resource
