"""What others set on the declared methods and their integrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.deployments import then_deploy
from iotpipe.provision.foreign.finding import ALTERS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.resources.rest_api_paths import paths

Response = Mapping[str, Any]
"""One method or integration as AWS returns it."""


@dataclass(frozen=True)
class _Setting:
    """A setting of a method or an integration that is not declared: `describe` returns its effect, empty if not set.

    `with_method`: its removal must recreate the method, not only the integration.
    """

    subject: str
    risk: str
    describe: Callable[[Response], str]
    with_method: bool = False


def _if_set(key: str, effect: str) -> Callable[[Response], str]:
    def describe(live: Response) -> str:
        value = live.get(key)
        return f"{effect}: {', '.join(sorted(value)) if isinstance(value, list | dict) else value}" if value else ""

    return describe


def _if_not(key: str, default: Any, effect: str) -> Callable[[Response], str]:
    def describe(live: Response) -> str:
        value = live.get(key)
        return "" if value in (None, default) else f"{effect} {value} instead of {default}"

    return describe


_TIMEOUT = 29_000
"""API Gateway's default integration timeout, in milliseconds."""


def _shorter_timeout(live: Response) -> str:
    timeout = live.get("timeoutInMillis") or _TIMEOUT
    return f"is given up after {timeout} ms" if timeout < _TIMEOUT else ""


def _longer_timeout(live: Response) -> str:
    timeout = live.get("timeoutInMillis") or _TIMEOUT
    return f"may take {timeout} ms instead of {_TIMEOUT}" if timeout > _TIMEOUT else ""


def _key_required(live: Response) -> str:
    return "is refused without an API key of a usage plan" if live.get("apiKeyRequired") else ""


_METHOD_SETTINGS = (
    _Setting("API key", STOPS, _key_required, with_method=True),
    _Setting("authorizer", STOPS, _if_set("authorizerId", "asks the authorizer"), with_method=True),
    _Setting("scopes", STOPS, _if_set("authorizationScopes", "asks for the scopes"), with_method=True),
    _Setting("validator", STOPS, _if_set("requestValidatorId", "is refused by the validator"), with_method=True),
    _Setting("request parameters", ALTERS, _if_set("requestParameters", "declares parameters"), with_method=True),
    _Setting("request models", ALTERS, _if_set("requestModels", "declares models for"), with_method=True),
)
_INTEGRATION_SETTINGS = (
    _Setting("credentials", STOPS, _if_set("credentials", "only succeeds if this role may call the function")),
    _Setting("timeout", STOPS, _shorter_timeout),
    _Setting("timeout", ALTERS, _longer_timeout),
    _Setting("mapping templates", ALTERS, _if_set("requestTemplates", "has mapping templates for")),
    _Setting("mapped parameters", ALTERS, _if_set("requestParameters", "passes on changed parameters")),
    _Setting("connection", ALTERS, _if_not("connectionType", "INTERNET", "goes over")),
    _Setting("cache keys", ALTERS, _if_set("cacheKeyParameters", "is cached by")),
    _Setting("content handling", ALTERS, _if_set("contentHandling", "has its body converted")),
    _Setting("passthrough", ALTERS, _if_not("passthroughBehavior", "WHEN_NO_MATCH", "is passed on")),
    _Setting("transfer mode", ALTERS, _if_not("responseTransferMode", "BUFFERED", "is answered")),
)


def _cache_namespace(checked: CheckedResource, integration: Response) -> Iterator[Foreign]:
    """Yield a cache namespace other than the default, which is the id of the path."""
    namespace = integration.get("cacheNamespace") or checked.observed["ResourceId"]
    if namespace != checked.observed["ResourceId"]:
        text = f"{checked.resource.name} shares the cache {namespace}"
        yield checked.finding("cache namespace", ALTERS, text, _recreation(checked, with_method=False))


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    integration = checked.observed.get("methodIntegration") or {}
    for settings, live in ((_METHOD_SETTINGS, checked.observed), (_INTEGRATION_SETTINGS, integration)):
        for setting in settings:
            if text := setting.describe(live):
                remove = _recreation(checked, setting.with_method)
                yield checked.finding(setting.subject, setting.risk, f"{checked.resource.name} {text}", remove)
    yield from _cache_namespace(checked, integration)


def _recreation(checked: CheckedResource, with_method: bool) -> Callable[[], None]:
    """Return a removal by PutMethod and PutIntegration, which reset what they do not set.

    Callers notice only the new deployment.
    """
    run, route, identifier = checked.run, checked.resource, checked.observed["RestApiId"]

    def act() -> None:
        client = run.client("apigateway")
        try:
            live_path = paths(run, identifier).get(route.path)
            if live_path:
                observed = route.found_in(live_path) | {"ResourceId": live_path["id"]}
                route.make_anew(run, route.desired(run), observed, with_method)
        except client.exceptions.NotFoundException:
            return

    return then_deploy(run, route.api, identifier, act)


CHECK = Check(_check)
