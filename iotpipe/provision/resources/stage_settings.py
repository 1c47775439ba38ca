"""The settings of a stage, as API Gateway describes them and as the patch operations of UpdateStage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.apigateway_calls import replace

_FIELDS = {
    "requestId": "requestId",
    "ip": "identity.sourceIp",
    "caller": "identity.caller",
    "user": "identity.user",
    "requestTime": "requestTime",
    "httpMethod": "httpMethod",
    "resourcePath": "resourcePath",
    "status": "status",
    "protocol": "protocol",
    "responseLength": "responseLength",
}
ACCESS_LOG = json.dumps({name: f"$context.{variable}" for name, variable in _FIELDS.items()})
"""What is logged of each request, as one line of JSON. API Gateway requires the request's id."""

_PATHS = {
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
}


def found_settings(stage: Mapping[str, Any]) -> Properties:
    """The settings of all methods, of a stage as GetStages describes it."""
    settings = stage.get("methodSettings", {}).get("*/*", {})
    return {
        "throttlingRateLimit": settings.get("throttlingRateLimit"),
        "throttlingBurstLimit": settings.get("throttlingBurstLimit"),
        "metricsEnabled": settings.get("metricsEnabled", False),
        "loggingLevel": settings.get("loggingLevel", "OFF"),
    }


def changed_settings(desired: Properties, observed: Properties) -> list[dict[str, str]]:
    """The operations that change what differs: settings of all methods, tracing and the access log."""
    before = observed["methodSettings"]
    operations = set_settings({key: value for key, value in desired["methodSettings"].items() if value != before[key]})
    if desired["tracingEnabled"] != observed["tracingEnabled"]:
        operations.append(replace("/tracingEnabled", _text(desired["tracingEnabled"])))
    access_log = desired.get("accessLogSettings")
    if access_log is not None and access_log != observed["accessLogSettings"]:
        operations += set_access_log(access_log) or [{"op": "remove", "path": "/accessLogSettings"}]
    return operations


def set_settings(settings: Properties) -> list[dict[str, str]]:
    """The operations that set these settings for all methods."""
    return [replace(f"/*/*/{_PATHS[key]}", _text(value)) for key, value in settings.items()]


def set_access_log(settings: Properties) -> list[dict[str, str]]:
    """The operations that set the access log; none for empty settings."""
    return [replace(f"/accessLogSettings/{key}", value) for key, value in settings.items()]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
