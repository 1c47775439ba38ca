"""What others added to the REST API: settings, answers, methods and paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.deployments import then_deploy
from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, STOPS, Check, Foreign, Seen
from iotpipe.provision.foreign.statements import actions, condition, who
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.rest_api_paths import known_paths, paths
from iotpipe.provision.resources.route import Route
from iotpipe.provision.run import Run

Answer = Mapping[str, Any]
"""What AWS says of one thing."""

Patch = dict[str, str]


def its_paths(run: Run, api: RestApi) -> dict[str, dict[str, Any]]:
    """The API's paths with their methods, which the routes are read from as well."""
    identifier = (run.look(api) or {}).get("RestApiId")
    return known_paths(run, identifier) if identifier else {}


def own_answers(run: Run, api: RestApi) -> list[Answer]:
    """How the API answers what it refuses itself, as far as others have set that."""
    identifier = (run.look(api) or {}).get("RestApiId")
    client = run.client("apigateway")
    if not identifier:
        return []
    try:
        found = client.get_gateway_responses(restApiId=identifier)["items"]
    except client.exceptions.NotFoundException:
        return []
    return [each for each in found if not each.get("defaultResponse")]


# The API


@dataclass(frozen=True)
class _Setting:
    """A setting of the API: `tell` says what it does, or nothing where it is as `up` makes it; `undo` puts it back."""

    subject: str
    risk: Callable[[Answer], str]
    tell: Callable[[str, Answer], str]
    undo: Callable[[Answer], list[Patch]]


def _always(risk: str) -> Callable[[Answer], str]:
    return lambda found: risk


def _statements(found: Answer) -> list[Properties]:
    """API Gateway answers with the policy's text as it stands within quotes in JSON."""
    text = found.get("policy") or ""
    if not text:
        return []
    if text.startswith("{\\"):
        text = json.loads(f'"{text}"')
    said = json.loads(text)["Statement"]
    return said if isinstance(said, list) else [said]


def _policy(name: str, found: Answer) -> str:
    told = [
        f"{'lets' if each['Effect'] == 'Allow' else 'denies'} {who(each)} {actions(each)}{condition(each)}"
        for each in _statements(found)
    ]
    return f"the resource policy of {name} {' and '.join(told)}" if told else ""


def _policy_risk(found: Answer) -> str:
    return OPENS if any(each["Effect"] == "Allow" for each in _statements(found)) else STOPS


def _disabled(name: str, found: Answer) -> str:
    return f"nobody can call {name} at its own URL: that is disabled" if found.get("disableExecuteApiEndpoint") else ""


def _vpc_endpoints(found: Answer) -> list[str]:
    return found.get("endpointConfiguration", {}).get("vpcEndpointIds") or []


def _compression(name: str, found: Answer) -> str:
    size = found.get("minimumCompressionSize")
    return f"{name} compresses answers of {size} bytes and more" if size is not None else ""


def _key_source(name: str, found: Answer) -> str:
    source = found.get("apiKeySource") or "HEADER"
    return f"{name} takes API keys from {source} instead of the header" if source != "HEADER" else ""


def _binary(name: str, found: Answer) -> str:
    types = ", ".join(found.get("binaryMediaTypes") or [])
    return f"{name} passes bodies of these types on in base64: {types}" if types else ""


def _replace(path: str, value: str) -> Patch:
    return {"op": "replace", "path": path, "value": value}


_SETTINGS = (
    _Setting("resource policy", _policy_risk, _policy, lambda found: [_replace("/policy", "")]),
    _Setting(
        "disabled URL", _always(STOPS), _disabled, lambda found: [_replace("/disableExecuteApiEndpoint", "false")]
    ),
    _Setting(
        "VPC endpoints",
        _always(ALTERS),
        lambda name, found: f"{name} is tied to {', '.join(_vpc_endpoints(found))}" if _vpc_endpoints(found) else "",
        lambda found: [
            {"op": "remove", "path": "/endpointConfiguration/vpcEndpointIds", "value": each}
            for each in _vpc_endpoints(found)
        ],
    ),
    # Without a value it is taken off.
    _Setting(
        "compression",
        _always(ALTERS),
        _compression,
        lambda found: [{"op": "replace", "path": "/minimumCompressionSize"}],
    ),
    _Setting("source of API keys", _always(ALTERS), _key_source, lambda found: [_replace("/apiKeySource", "HEADER")]),
    _Setting(
        "binary media types",
        _always(ALTERS),
        _binary,
        lambda found: [
            {"op": "remove", "path": f"/binaryMediaTypes/{each.replace('/', '~1')}"}
            for each in found["binaryMediaTypes"]
        ],
    ),
)


def _of_api(seen: Seen) -> Iterator[Foreign]:
    for setting in _SETTINGS:
        if found := setting.tell(seen.resource.name, seen.observed):
            yield seen.foreign(setting.subject, setting.risk(seen.observed), found, _resetting(seen, setting))
    yield from _answered(seen)
    yield from _added(seen)


def _resetting(seen: Seen, setting: _Setting) -> Callable[[], None]:
    run, api, identifier = seen.run, seen.resource, seen.observed["RestApiId"]

    def act() -> None:
        client = run.client("apigateway")
        try:
            found = client.get_rest_api(restApiId=identifier)
            # Of what is not there any more AWS refuses the removal.
            if setting.tell(api.name, found):
                client.update_rest_api(restApiId=identifier, patchOperations=setting.undo(found))
        except client.exceptions.NotFoundException:
            return

    return then_deploy(run, api, identifier, act)


# Answers to what the API refuses itself


def _answered(seen: Seen) -> Iterator[Foreign]:
    run, api, identifier = seen.run, seen.resource, seen.observed["RestApiId"]
    for each in seen.read(own_answers):
        kind, code = each["responseType"], each.get("statusCode") or ""
        found = f"{api.name} answers {kind} in a way of its own" + (f", with the code {code}" if code else "")
        if accepts := code[:1] in ("2", "3"):
            found += ": a device takes that for a reading that was accepted"
        remove = then_deploy(run, api, identifier, _dropping_answer(run, identifier, kind))
        yield seen.foreign(f"answer {kind}", DRAINS if accepts else ALTERS, found, remove)


def _dropping_answer(run: Run, identifier: str, kind: str) -> Callable[[], None]:
    client = run.client("apigateway")

    def act() -> None:
        try:
            client.delete_gateway_response(restApiId=identifier, responseType=kind)
        except client.exceptions.NotFoundException:
            return

    return act


# Methods and paths that are not declared


def _declared(run: Run, api: RestApi) -> dict[str, set[str]]:
    """The declared methods by path, with those that are still recorded: `up` deletes them."""
    found: dict[str, set[str]] = {"/": set()}
    for each in run.resources:
        if isinstance(each, Route) and each.api is api:
            found.setdefault(each.path, set()).add(each.method)
    for address, recorded in run.ledger.items():
        if address.startswith(f"{Route.kind}/"):
            found.setdefault(recorded["path"], set()).add(recorded["httpMethod"])
    return found


def _added(seen: Seen) -> Iterator[Foreign]:
    run, api, identifier = seen.run, seen.resource, seen.observed["RestApiId"]
    declared, there = _declared(run, api), seen.read(its_paths)
    for path, resource in there.items():
        methods = resource.get("resourceMethods") or {}
        for method in sorted(methods.keys() - declared.get(path, set())):
            risk, found = _method_found(api.name, f"{method} {path}", methods[method])
            remove = then_deploy(run, api, identifier, _dropping(run, identifier, path, method, declared))
            yield seen.foreign(f"method {method} {path}", risk, found, remove)
        if path not in declared and not methods and not _below(path, there):
            found = f"{api.name} has a path that nobody declared: {path}"
            remove = then_deploy(run, api, identifier, _dropping(run, identifier, path, "", declared))
            yield seen.foreign(f"path {path}", ALTERS, found, remove)


def _method_found(api: str, route: str, method: Answer) -> tuple[str, str]:
    integration = method.get("methodIntegration") or {}
    kind, authorization = integration.get("type"), method.get("authorizationType")
    target = integration.get("uri") or (f"an answer of its own ({kind})" if kind else "nothing yet")
    if authorization == "AWS_IAM":
        caller = "whom IAM lets"
    elif authorization != "NONE":
        caller = f"whom the authorizer {method.get('authorizerId')} lets"
    else:
        caller = "anybody on the internet"
    key = " with an API key" if method.get("apiKeyRequired") else ""
    risk = ALTERS if authorization == "AWS_IAM" or kind in (None, "MOCK") else OPENS
    return risk, f"{caller} can call {route} of {api}{key}, which leads to {target}"


def _below(path: str, there: Mapping[str, Any]) -> bool:
    return any(each.startswith(f"{path}/") for each in there)


def _dropping(run: Run, api: str, path: str, method: str, declared: Mapping[str, set[str]]) -> Callable[[], None]:
    """Delete the method, if one is named, and the path with those above it as far as nothing is left in them."""
    client = run.client("apigateway")

    def act() -> None:
        there, left = paths(run, api), path
        methods = there.get(path, {}).get("resourceMethods") or {}
        if method in methods:
            client.delete_method(restApiId=api, resourceId=there[path]["id"], httpMethod=method)
            del methods[method]
        while left not in declared and not _below(left, there):
            if left in there and not there[left].get("resourceMethods"):
                client.delete_resource(restApiId=api, resourceId=there.pop(left)["id"])
            elif left in there:
                return
            left = left.rpartition("/")[0] or "/"

    def tolerant() -> None:
        try:
            act()
        except client.exceptions.NotFoundException:
            # The whole API is gone.
            return

    return tolerant


CHECK = Check(_of_api, (its_paths, own_answers))
