"""What ministack 1.5.33 lacks or gets wrong for us, closed from outside: one entry per gap, with its reason."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from iotpipe.local import function_gaps
from iotpipe.local.engine_directory import ACCOUNT, RootKey

_LARGEST_BODY = 10_485_760  # bytes: of an API of API Gateway


def close(root: RootKey) -> None:
    """Close every gap, before ministack reads its state or answers a request."""
    _keep_code_with_its_function()
    _check_the_roots_signature(root)
    function_gaps.keep_the_workers_keys_secret(root)
    _know_queues_at_another_port()
    _decompress_bodies()
    _authorize_every_operation()
    _let_dashboards_bear_tags()
    _keep_one_set_of_tags_per_api()
    _list_all_that_bears_tags()
    _keep_the_metrics_of_alarms()
    function_gaps.unpack_layers_once()
    _say_as_aws_what_is_not_there()
    function_gaps.say_why_they_do_not_start()
    function_gaps.keep_failures_from_the_apis_callers()


def note_what_is_not_restored() -> list[str]:
    """What ministack could not read back, once it has started: it goes on without, and so would what is saved next."""
    from ministack import app

    failures: list[str] = []

    def load_persisted_state() -> None:
        for name, module in app._state_map.items():
            try:
                if state := app.load_state(name):
                    app._get_module(module).load_persisted_state(state)
            # Whatever it trips over in what it wrote itself.
            except Exception as error:  # noqa: BLE001
                failures.append(f"{name}: {error!r}")

    app._load_persisted_state = load_persisted_state
    return failures


def _keep_code_with_its_function() -> None:
    """ministack writes code into files of its own, beside the state and at other moments."""
    from ministack.services import lambda_svc

    lambda_svc._externalize_code_zip = lambda function, referenced: None
    lambda_svc._prune_orphan_code_blobs = lambda referenced: None


def _check_the_roots_signature(root: RootKey) -> None:
    """ministack never checks a root key's signature; it does check a session's, and root may have one."""
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


def _know_queues_at_another_port() -> None:
    """ministack keeps a queue under an address with its port, and at another port polls it for no function."""
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
    """API Gateway decompresses a gzip body for the integration; ministack hands its bytes on as text, and so spoils it.

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
    """What a whole gzip body holds; any other as it is, for the function to refuse."""
    member = zlib.decompressobj(wbits=31)
    with suppress(zlib.error):
        content = member.decompress(body, _LARGEST_BODY)
        return content if member.eof else body
    return body


def _authorize_every_operation() -> None:
    """ministack authorizes nothing where it finds no name for what is asked, and does it all the same.

    And it wants a right of its own for SendMessageBatch and its like, where IAM has only that of SendMessage.
    """
    from ministack.core import iam_actions

    extract = iam_actions.extract_iam_action
    iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]

    def extract_iam_action(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> str:
        action = extract(service, method, path, headers, body, query)
        if action is None:
            # The last is a right that only those have who may do everything.
            name = iam_actions._match_rest_action(service, method, path, query) or "UnknownOperation"
            return f"{iam_actions.SERVICE_TO_IAM_NAMESPACE.get(service, service)}:{name}"
        return str(action.removesuffix("Batch") if service == "sqs" else action)

    find_resource = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> str:
        found = str(find_resource(service, method, path, *rest))
        version = _LAYER_VERSION.fullmatch(path) if service == "lambda" else None
        return f"{found}:{version[1]}" if version else found

    iam_actions.extract_iam_action = extract_iam_action
    iam_actions.extract_resource_arn = extract_resource_arn


_LAYER_VERSION = re.compile(r"/2018-10-31/layers/[^/]+/versions/(\d+)(?:/.*)?")


def _let_dashboards_bear_tags() -> None:
    """ministack drops a dashboard's tags, and knows no resource but alarms when it is asked for tags."""
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
    """ministack keeps the tags of an API or stage twice: GetStage does not show what TagResource has changed."""
    from ministack.services import apigateway_v1

    resolve = apigateway_v1._resolve_v1_tag_resource_arn

    def resolve_tag_resource_arn(arn: str) -> Any:
        key, error = resolve(arn)
        # .../restapis/API or .../restapis/API/stages/STAGE
        _, collection, api, *stage = (key or "//").rpartition(":")[2].split("/")
        if collection == "restapis":
            bearer = apigateway_v1._stages_v1[api][stage[1]] if stage else apigateway_v1._rest_apis[api]
            apigateway_v1._v1_tags[key] = bearer.setdefault("tags", {})
        return key, error

    apigateway_v1._resolve_v1_tag_resource_arn = resolve_tag_resource_arn


def _list_all_that_bears_tags() -> None:
    """The tagging service of ministack leaves out the kinds of resources that are listed here."""
    from ministack.services import apigateway_v1, cloudwatch, cloudwatch_logs, lambda_svc, tagging

    Found = Iterator[tuple[str, list[dict[str, str]]]]
    listed = tagging._normalise_flat

    def of_apis() -> Found:
        for api, described in apigateway_v1._rest_apis.items():
            arn = apigateway_v1._rest_api_arn(api)
            yield arn, listed(described.get("tags"))
            for name, stage in apigateway_v1._stages_v1.get(api, {}).items():
                yield f"{arn}/stages/{name}", listed(stage.get("tags"))

    def of_alarms() -> Found:
        for alarm in cloudwatch._alarms.values():
            yield alarm["AlarmArn"], listed(cloudwatch._resource_tags.get(alarm["AlarmArn"]))

    def of_log_groups() -> Found:
        for group in cloudwatch_logs._log_groups.values():
            yield group["arn"].removesuffix(":*"), listed(group.get("tags"))

    def of_functions_and_mappings() -> Found:
        yield from tagging._collect_lambda()
        for uuid, mapping in lambda_svc._esms.items():
            yield lambda_svc._esm_arn(uuid), listed(mapping.get("Tags"))

    tagging._COLLECTORS |= {
        "apigateway": of_apis,
        "cloudwatch": of_alarms,
        "logs": of_log_groups,
        "lambda": of_functions_and_mappings,
        "ssm": tagging._collect_ssm,
    }


def _keep_the_metrics_of_alarms() -> None:
    """ministack forgets the metrics and the expression of an alarm on more than one."""
    from ministack.services import cloudwatch

    put = cloudwatch._put_metric_alarm

    def put_metric_alarm(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        answer = put(params, data, is_cbor, is_json)
        if (metrics := data.get("Metrics")) and (alarm := cloudwatch._alarms.get(data.get("AlarmName"))):
            alarm["Metrics"] = metrics
        return answer

    cloudwatch._put_metric_alarm = put_metric_alarm


def _say_as_aws_what_is_not_there() -> None:
    """ministack has its own codes for missing dashboards and topics, and an empty list of tags for missing parameters.

    Taking down what was never made must find out that it is not there.
    """
    from ministack.services import cloudwatch, sns, ssm

    for service, code in ((cloudwatch, "DashboardNotFoundError"), (sns, "ResourceNotFoundException")):

        def error(said: str, *rest: Any, tell: Any = service._error, wrong: str = code, **more: Any) -> Any:
            return tell("ResourceNotFound" if said == wrong else said, *rest, **more)

        service._error = error
    listed = ssm._list_tags_for_resource

    def list_tags_for_resource(data: dict[str, Any]) -> Any:
        name = data.get("ResourceId", "")
        known = ssm._lookup_parameter(name, flexible_name=True)[1]
        return listed(data) if known else ssm.error_response_json("InvalidResourceId", f"no parameter {name}", 400)

    ssm._list_tags_for_resource = list_tags_for_resource
