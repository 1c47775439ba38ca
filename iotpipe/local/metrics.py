"""The metrics that AWS's services publish of themselves, in the embedded CloudWatch: ministack has next to none.

They are kept for a day, by the minute, and are not saved: there would be something to save every few seconds.
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
_KEPT = 24 * 3600
_lock = threading.Lock()
_current: dict[tuple[Any, ...], dict[str, Any]] = {}
"""The points of the minute that is not over yet, by account, region, metric and value."""


def publish() -> None:
    """Have Lambda's metrics counted, and GetMetricData answer in AWS's order; before ministack reads its state."""
    from ministack.services import cloudwatch, lambda_svc

    cloudwatch._metrics = _not_to_be_saved()(cloudwatch._metrics)
    cloudwatch._get_metric_data = _newest_first(cloudwatch._get_metric_data)
    lambda_svc._execute_function_dispatch = _counted(lambda_svc._execute_function_dispatch)
    # It counts only what is invoked directly; but it is told of every throttle.
    lambda_svc._emit_lambda_metrics = _throttled


def record(namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "Count") -> None:
    """Add one value of a metric in the account and region that ministack works for just now.

    Equal values of a minute are one point with their number, and values are equal that agree in three digits: enough
    for a percentile, and bounded however many requests there are.
    """
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import cloudwatch

    minute, value = time.time() // MINUTE * MINUTE, float(f"{value:.3g}")
    metric = (namespace, name, cloudwatch._dims_key(dict(dimensions)))
    where = (get_account_id(), get_region(), *metric, value)
    with _lock:
        points = cloudwatch._metric_bucket(metric)
        point = _current.get(where)
        if points and point and point["Timestamp"] == minute:
            point["Count"] += 1
            return
        if any(each["Timestamp"] != minute for each in islice(_current.values(), 1)):
            _current.clear()
        new = {"Timestamp": minute, "Value": value, "Count": 1.0, "Unit": unit, "Dimensions": dict(dimensions)}
        _current[where] = new
        points.append(new)


def look_at_the_queues() -> None:
    """Publish how many messages wait in each queue, and for how long: SQS does so every minute."""
    from ministack.core.responses import request_scope
    from ministack.services import sqs

    for key, queue in list(sqs._queues.all_items()):
        account, region, name, _ = sqs._queue_scope_from_record(key, queue)
        sqs._refresh_counts(queue)
        dimensions = {"QueueName": name}
        oldest = min((message["sent_at"] for message in list(queue["messages"])), default=time.time())
        with request_scope(account, region):
            visible = float(queue["attributes"]["ApproximateNumberOfMessages"])
            record("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions, visible)
            record("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, max(0, time.time() - oldest), "Seconds")


def forget_old() -> None:
    """Drop the points that are older than a day, and the metrics of what has published nothing since."""
    from ministack.services import cloudwatch

    cutoff = time.time() - _KEPT
    with _lock:
        for key, points in cloudwatch._metrics.all_items():
            if _is_aws(key):
                points[:] = [point for point in points if point["Timestamp"] >= cutoff]
                if not points:
                    del cloudwatch._metrics._data[key]


def of_the_api(application: Application) -> Application:
    """The application, with every request to an API counted, those included that it does not let in."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not EXECUTE.match(scope["path"]):
            await application(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def heard(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await application(scope, receive, heard)
        finally:
            _record_request(scope["path"], status, 1000 * (time.perf_counter() - began))

    return counting


def _record_request(path: str, status: int, milliseconds: float) -> None:
    from ministack.core.responses import request_scope
    from ministack.services import apigateway_v1

    _, _, _, api, stage, *_ = [*path.split("/"), ""]
    where = apigateway_v1.find_api_scope(api)
    if where is None or stage not in apigateway_v1.stages_for_api(api):
        return
    with request_scope(*where):
        dimensions = {"ApiName": apigateway_v1._rest_apis[api]["name"], "Stage": stage}
        record("AWS/ApiGateway", "Count", dimensions, 1)
        record("AWS/ApiGateway", "4XXError", dimensions, status // 100 == 4)
        record("AWS/ApiGateway", "5XXError", dimensions, status // 100 == 5)
        record("AWS/ApiGateway", "Latency", dimensions, milliseconds, "Milliseconds")


def _counted(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    from ministack.services import lambda_svc

    def counting(func: Any, config: dict[str, Any], event: Any, request_id: str, started: float) -> dict[str, Any]:
        dimensions = {"FunctionName": config.get("FunctionName", "")}
        at_once = lambda_svc._inflight.get(lambda_svc._inflight_key(config), 1)
        result = execute(func, config, event, request_id, started)
        record("AWS/Lambda", "Invocations", dimensions, 1)
        record("AWS/Lambda", "Errors", dimensions, bool(result.get("error")))
        record("AWS/Lambda", "Throttles", dimensions, 0)
        record("AWS/Lambda", "Duration", dimensions, 1000 * (time.time() - started), "Milliseconds")
        record("AWS/Lambda", "ConcurrentExecutions", dimensions, at_once)
        return result

    return counting


def _throttled(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
    if throttle:
        record("AWS/Lambda", "Throttles", {"FunctionName": function_name}, 1)


def _newest_first(get: Callable[..., Any]) -> Callable[..., Any]:
    """ministack answers with the oldest figures first, which CloudWatch does only when it is asked to."""

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


def _not_to_be_saved() -> Callable[[Any], Any]:
    """A store like ministack's own, of which only what users have put into it is saved."""
    from ministack.core.responses import AccountRegionScopedDict

    class Metrics(AccountRegionScopedDict):  # type: ignore[misc]  # ministack has no types
        def __deepcopy__(self, memo: Any) -> Any:
            copied = AccountRegionScopedDict()
            copied._data = {key: list(points) for key, points in list(self._data.items()) if not _is_aws(key)}
            return copied

    def holding(before: Any) -> Any:
        store = Metrics()
        store._data.update(before._data)
        return store

    return holding


def _is_aws(key: Any) -> bool:
    return str(key[2][0]).startswith("AWS/")
