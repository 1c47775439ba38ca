"""Publishes the metrics of SQS, Lambda and API Gateway in the embedded CloudWatch: ministack has almost none.

They are kept by the minute for a day, and are not saved: otherwise there would be changes to save every few seconds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from iotpipe.local.guard import Application, Receive, Send
from iotpipe.local.signatures import EXECUTE, Scope

MINUTE = 60
_RETENTION = 24 * 3600  # seconds
_lock = threading.Lock()
_current: dict[tuple[Any, ...], dict[str, Any]] = {}
"""The points of the current minute, by account, region, metric and value."""


def patch_ministack() -> None:
    """Have ministack count Lambda's invocations, and answer GetMetricData in AWS's order.

    Call it before ministack reads its state.
    """
    from ministack.services import cloudwatch, lambda_svc

    cloudwatch._metrics = _without_saving_aws_metrics(cloudwatch._metrics)
    cloudwatch._get_metric_data = _newest_first(cloudwatch._get_metric_data)
    lambda_svc._execute_function_dispatch = _count_invocations(lambda_svc._execute_function_dispatch)
    # ministack calls this for every throttle, but otherwise only for direct invocations.
    lambda_svc._emit_lambda_metrics = _count_throttle


def record(namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "Count") -> None:
    """Add one value of a metric in the account and region of ministack's current request.

    Values of a minute that agree in three digits become one point with a count: precise enough for a percentile, and
    bounded for any number of requests.
    """
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import cloudwatch

    minute, value = time.time() // MINUTE * MINUTE, float(f"{value:.3g}")
    metric = (namespace, name, cloudwatch._dims_key(dict(dimensions)))
    key = (get_account_id(), get_region(), *metric, value)
    with _lock:
        points = cloudwatch._metric_bucket(metric)
        point = _current.get(key)
        if points and point and point["Timestamp"] == minute:
            point["Count"] += 1
            return
        if any(each["Timestamp"] != minute for each in islice(_current.values(), 1)):
            _current.clear()
        new = {"Timestamp": minute, "Value": value, "Count": 1.0, "Unit": unit, "Dimensions": dict(dimensions)}
        _current[key] = new
        points.append(new)


def publish_queue_metrics() -> None:
    """Publish each queue's number of visible messages and the age of the oldest; SQS does so every minute."""
    from ministack.core.responses import request_scope
    from ministack.services import sqs

    for key, queue in list(sqs._queues.all_items()):
        account, region, name, _ = sqs._queue_scope_from_record(key, queue)
        sqs._refresh_counts(queue)
        dimensions = {"QueueName": name}
        now = time.time()
        oldest = min((message["sent_at"] for message in list(queue["messages"])), default=now)
        with request_scope(account, region):
            visible = float(queue["attributes"]["ApproximateNumberOfMessages"])
            record("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions, visible)
            record("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, max(0, now - oldest), "Seconds")


def delete_old() -> None:
    """Delete the points that are older than a day, and metrics without points."""
    from ministack.services import cloudwatch

    cutoff = time.time() - _RETENTION
    with _lock:
        for key, points in cloudwatch._metrics.all_items():
            if _is_aws(key):
                points[:] = [point for point in points if point["Timestamp"] >= cutoff]
                if not points:
                    del cloudwatch._metrics._data[key]


def count_api_requests(application: Application) -> Application:
    """Wrap the application to publish API Gateway's metrics for each request to an API, refused ones included."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not EXECUTE.match(scope["path"]):
            await application(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_and_note_status(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await application(scope, receive, send_and_note_status)
        finally:
            _record_request(scope["path"], status, 1000 * (time.perf_counter() - began))

    return counting


def _record_request(path: str, status: int, milliseconds: float) -> None:
    from ministack.core.responses import request_scope
    from ministack.services import apigateway_v1

    _, _, _, api, stage, *_ = [*path.split("/"), ""]
    account_and_region = apigateway_v1.find_api_scope(api)
    if account_and_region is None or stage not in apigateway_v1.stages_for_api(api):
        return
    with request_scope(*account_and_region):
        dimensions = {"ApiName": apigateway_v1._rest_apis[api]["name"], "Stage": stage}
        record("AWS/ApiGateway", "Count", dimensions, 1)
        record("AWS/ApiGateway", "4XXError", dimensions, status // 100 == 4)
        record("AWS/ApiGateway", "5XXError", dimensions, status // 100 == 5)
        record("AWS/ApiGateway", "Latency", dimensions, milliseconds, "Milliseconds")


def _count_invocations(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    from ministack.services import lambda_svc

    def counting(func: Any, config: dict[str, Any], event: Any, request_id: str, started: float) -> dict[str, Any]:
        dimensions = {"FunctionName": config.get("FunctionName", "")}
        in_flight = lambda_svc._inflight.get(lambda_svc._inflight_key(config), 1)
        result = execute(func, config, event, request_id, started)
        record("AWS/Lambda", "Invocations", dimensions, 1)
        record("AWS/Lambda", "Errors", dimensions, bool(result.get("error")))
        record("AWS/Lambda", "Throttles", dimensions, 0)
        record("AWS/Lambda", "Duration", dimensions, 1000 * (time.time() - started), "Milliseconds")
        record("AWS/Lambda", "ConcurrentExecutions", dimensions, in_flight)
        return result

    return counting


def _count_throttle(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
    if throttle:
        record("AWS/Lambda", "Throttles", {"FunctionName": function_name}, 1)


def _newest_first(get: Callable[..., Any]) -> Callable[..., Any]:
    """Return the newest values first, as CloudWatch does by default; ministack returns the oldest first."""

    def get_metric_data(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        status, headers, body = get(params, data, is_cbor, is_json)
        if is_json and data.get("ScanBy") != "TimestampAscending":
            answer = json.loads(body)
            for result in answer.get("MetricDataResults", []):
                result["Timestamps"].reverse()
                result["Values"].reverse()
            body = json.dumps(answer).encode()
        return status, headers, body

    return get_metric_data


def _without_saving_aws_metrics(metrics: Any) -> Any:
    """Copy ministack's metrics into a dictionary whose saved state has only the users' own metrics."""
    from ministack.core.responses import AccountRegionScopedDict

    class Metrics(AccountRegionScopedDict):  # type: ignore[misc]  # ministack has no types
        def __deepcopy__(self, memo: Any) -> Any:
            copied = AccountRegionScopedDict()
            copied._data = {key: list(points) for key, points in list(self._data.items()) if not _is_aws(key)}
            return copied

    replacement = Metrics()
    replacement._data.update(metrics._data)
    return replacement


def _is_aws(key: Any) -> bool:
    return str(key[2][0]).startswith("AWS/")
