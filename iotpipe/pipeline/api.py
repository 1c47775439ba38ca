"""The REST API: its routes, the permissions to call the functions, and its stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotpipe.names import Names
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage

if TYPE_CHECKING:
    from iotpipe.configuration import Environment


@dataclass(frozen=True)
class Api:
    """The REST API with what calls need."""

    rest_api: RestApi
    stage: Stage
    permissions: list[Permission]


def api(env: Environment, region: str, ingestion: Function, processor: Function, query: Function) -> Api:
    """Declare the API of an environment. Routes are added here."""
    names = Names(env.suffix)
    rest_api = RestApi(names.rest_api, description="IoT Data Processing API")
    routes = [
        Route(f"{method} {path}", api=rest_api, method=method, path=path, function=function)
        for method, path, function in (
            ("POST", "/ingest", ingestion),
            ("POST", "/process", processor),
            ("GET", "/query", query),
            ("GET", "/devices", query),
        )
    ]
    permissions = [
        Permission(_statement_id(route), function=route.function, api=rest_api, method=route.method, path=route.path)
        for route in routes
    ]
    kept = env.api.access_logs
    access_log = LogGroup(names.access_log, retention=kept, kms_key=env.kms_key) if kept else None
    logs_with = ApiGatewayAccount(region, env.functions.permissions_boundary)
    stage = Stage(
        env.api.stage,
        api=rest_api,
        routes=routes,
        account=logs_with if env.api.logging != "OFF" or access_log else None,
        rate=env.api.throttle.rate,
        burst=env.api.throttle.burst,
        metrics=env.api.metrics,
        tracing=env.api.tracing,
        logging=env.api.logging,
        log_retention=env.functions.log_retention,
        access_log=access_log,
        kms_key=env.kms_key,
        web_acl=env.api.web_acl,
    )
    return Api(rest_api, stage, permissions)


def _statement_id(route: Route) -> str:
    """Of the statement that lets the route call its function: letters, digits, - and _, as Lambda demands."""
    return f"iotpipe-{route.path[1:].replace('/', '-')}"
