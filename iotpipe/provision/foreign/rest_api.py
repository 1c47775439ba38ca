"""What others added to the REST API: settings, gateway responses, methods and paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.deployments import then_deploy
from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.statements import actions, condition, principal_names
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.rest_api_paths import known_paths, paths
from iotpipe.provision.resources.route import Route
from iotpipe.provision.run import Run

Response = Mapping[str, Any]
"""One resource or setting as AWS returns it."""

Patch = dict[str, str]


def all_paths(run: Run, api: RestApi) -> dict[str, dict[str, Any]]:
    """Return the API's paths with their methods. The reads of the routes share them."""
    identifier = (run.look(api) or {}).get("RestApiId")
    return known_paths(run, identifier) if identifier else {}


def custom_responses(run: Run, api: RestApi) -> list[Response]:
    """Return the gateway responses that differ from AWS's defaults."""
    identifier = (run.look(api) or {}).get("RestApiId")
    client = run.client("apigateway")
    if not identifier:
        return []
    try:
        live = client.get_gateway_responses(restApiId=identifier)["items"]
    except client.exceptions.NotFoundException:
        return []
    return [each for each in live if not each.get("defaultResponse")]


# The API


@dataclass(frozen=True)
class _Setting:
    """A setting of the API: `describe` returns its effect, empty if it is as `up` makes it; `undo` resets it."""

    subject: str
    risk: Callable[[Response], str]
    describe: Callable[[str, Response], str]
    undo: Callable[[Response], list[Patch]]


def _always(risk: str) -> Callable[[Response], str]:
    return lambda live: risk


def _statements(live: Response) -> list[Properties]:
    """Parse the resource policy. API Gateway returns it escaped as a JSON string, without the quotes."""
    text = live.get("policy") or ""
    if not text:
        return []
    if text.startswith("{\\"):
        text = json.loads(f'"{text}"')
    said = json.loads(text)["Statement"]
    return said if isinstance(said, list) else [said]


def _policy(name: str, live: Response) -> str:
    effects = [
        f"{'lets' if each['Effect'] == 'Allow' else 'denies'} {principal_names(each)} {actions(each)}{condition(each)}"
        for each in _statements(live)
    ]
    return f"the resource policy of {name} {' and '.join(effects)}" if effects else ""


def _policy_risk(live: Response) -> str:
    return OPENS if any(each["Effect"] == "Allow" for each in _statements(live)) else STOPS


def _disabled(name: str, live: Response) -> str:
    return f"nobody can call {name} at its own URL: that is disabled" if live.get("disableExecuteApiEndpoint") else ""


def _vpc_endpoints(live: Response) -> list[str]:
    return live.get("endpointConfiguration", {}).get("vpcEndpointIds") or []


def _compression(name: str, live: Response) -> str:
    size = live.get("minimumCompressionSize")
    return f"{name} compresses answers of {size} bytes and more" if size is not None else ""


def _key_source(name: str, live: Response) -> str:
    source = live.get("apiKeySource") or "HEADER"
    return f"{name} takes API keys from {source} instead of the header" if source != "HEADER" else ""


def _binary(name: str, live: Response) -> str:
    types = ", ".join(live.get("binaryMediaTypes") or [])
    return f"{name} passes bodies of these types on in base64: {types}" if types else ""


def _replace(path: str, value: str) -> Patch:
    return {"op": "replace", "path": path, "value": value}


_SETTINGS = (
    _Setting("resource policy", _policy_risk, _policy, lambda live: [_replace("/policy", "")]),
    _Setting("disabled URL", _always(STOPS), _disabled, lambda live: [_replace("/disableExecuteApiEndpoint", "false")]),
    _Setting(
        "VPC endpoints",
        _always(ALTERS),
        lambda name, live: f"{name} is tied to {', '.join(_vpc_endpoints(live))}" if _vpc_endpoints(live) else "",
        lambda live: [
            {"op": "remove", "path": "/endpointConfiguration/vpcEndpointIds", "value": each}
            for each in _vpc_endpoints(live)
        ],
    ),
    # A patch without a value removes the setting.
    _Setting(
        "compression",
        _always(ALTERS),
        _compression,
        lambda live: [{"op": "replace", "path": "/minimumCompressionSize"}],
    ),
    _Setting("source of API keys", _always(ALTERS), _key_source, lambda live: [_replace("/apiKeySource", "HEADER")]),
    _Setting(
        "binary media types",
        _always(ALTERS),
        _binary,
        lambda live: [
            {"op": "remove", "path": f"/binaryMediaTypes/{each.replace('/', '~1')}"}
            for each in live["binaryMediaTypes"]
        ],
    ),
)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    for setting in _SETTINGS:
        if text := setting.describe(checked.resource.name, checked.observed):
            yield checked.finding(setting.subject, setting.risk(checked.observed), text, _reset(checked, setting))
    yield from _custom_responses(checked)
    yield from _undeclared_methods(checked)


def _reset(checked: CheckedResource, setting: _Setting) -> Callable[[], None]:
    run, api, identifier = checked.run, checked.resource, checked.observed["RestApiId"]

    def act() -> None:
        client = run.client("apigateway")
        try:
            live = client.get_rest_api(restApiId=identifier)
            # AWS refuses to remove a setting that is not set.
            if setting.describe(api.name, live):
                client.update_rest_api(restApiId=identifier, patchOperations=setting.undo(live))
        except client.exceptions.NotFoundException:
            return

    return then_deploy(run, api, identifier, act)


# Gateway responses: replies to requests that the API itself rejects


def _custom_responses(checked: CheckedResource) -> Iterator[Foreign]:
    run, api, identifier = checked.run, checked.resource, checked.observed["RestApiId"]
    for each in checked.read(custom_responses):
        kind, code = each["responseType"], each.get("statusCode") or ""
        text = f"{api.name} answers {kind} with a custom response" + (f", with the code {code}" if code else "")
        if accepts := code[:1] in ("2", "3"):
            text += ": a device takes that for a reading that was accepted"
        remove = then_deploy(run, api, identifier, _response_removal(run, identifier, kind))
        yield checked.finding(f"answer {kind}", DRAINS if accepts else ALTERS, text, remove)


def _response_removal(run: Run, identifier: str, kind: str) -> Callable[[], None]:
    client = run.client("apigateway")

    def act() -> None:
        try:
            client.delete_gateway_response(restApiId=identifier, responseType=kind)
        except client.exceptions.NotFoundException:
            return

    return act


# Undeclared methods and paths


def _declared(run: Run, api: RestApi) -> dict[str, set[str]]:
    """Return the declared methods by path, and the recorded ones, which `up` deletes."""
    methods: dict[str, set[str]] = {"/": set()}
    for each in run.resources:
        if isinstance(each, Route) and each.api is api:
            methods.setdefault(each.path, set()).add(each.method)
    for address, recorded in run.ledger.items():
        if address.startswith(f"{Route.kind}/"):
            methods.setdefault(recorded["path"], set()).add(recorded["httpMethod"])
    return methods


def _undeclared_methods(checked: CheckedResource) -> Iterator[Foreign]:
    run, api, identifier = checked.run, checked.resource, checked.observed["RestApiId"]
    declared, live_paths = _declared(run, api), checked.read(all_paths)
    for path, resource in live_paths.items():
        methods = resource.get("resourceMethods") or {}
        for method in sorted(methods.keys() - declared.get(path, set())):
            risk, text = _method_effect(api.name, f"{method} {path}", methods[method])
            remove = then_deploy(run, api, identifier, _removal(run, identifier, path, method, declared))
            yield checked.finding(f"method {method} {path}", risk, text, remove)
        if path not in declared and not methods and not _has_children(path, live_paths):
            text = f"{api.name} has a path that nobody declared: {path}"
            remove = then_deploy(run, api, identifier, _removal(run, identifier, path, "", declared))
            yield checked.finding(f"path {path}", ALTERS, text, remove)


def _method_effect(api: str, route: str, method: Response) -> tuple[str, str]:
    integration = method.get("methodIntegration") or {}
    kind, authorization = integration.get("type"), method.get("authorizationType")
    target = integration.get("uri") or (f"an answer of its own ({kind})" if kind else "nothing yet")
    if authorization == "AWS_IAM":
        caller = "callers that IAM allows"
    elif authorization != "NONE":
        caller = f"callers that the authorizer {method.get('authorizerId')} allows"
    else:
        caller = "anybody on the internet"
    key = " with an API key" if method.get("apiKeyRequired") else ""
    risk = ALTERS if authorization == "AWS_IAM" or kind in (None, "MOCK") else OPENS
    return risk, f"{caller} can call {route} of {api}{key}, which leads to {target}"


def _has_children(path: str, live_paths: Mapping[str, Any]) -> bool:
    return any(each.startswith(f"{path}/") for each in live_paths)


def _removal(run: Run, api: str, path: str, method: str, declared: Mapping[str, set[str]]) -> Callable[[], None]:
    """Return a removal of the method, if one is named, of the path, and of parent paths that are empty then."""
    client = run.client("apigateway")

    def act() -> None:
        live_paths, current = paths(run, api), path
        methods = live_paths.get(path, {}).get("resourceMethods") or {}
        if method in methods:
            client.delete_method(restApiId=api, resourceId=live_paths[path]["id"], httpMethod=method)
            del methods[method]
        while current not in declared and not _has_children(current, live_paths):
            if current in live_paths and not live_paths[current].get("resourceMethods"):
                client.delete_resource(restApiId=api, resourceId=live_paths.pop(current)["id"])
            elif current in live_paths:
                return
            current = current.rpartition("/")[0] or "/"

    def tolerant() -> None:
        try:
            act()
        except client.exceptions.NotFoundException:
            # The whole API is gone.
            return

    return tolerant


CHECK = Check(_check, (all_paths, custom_responses))
