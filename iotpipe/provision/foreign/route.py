"""What others set on the declared methods and their integrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.deployments import then_deploy
from iotpipe.provision.foreign.finding import ALTERS, STOPS, Check, Foreign, Seen
from iotpipe.provision.resources.rest_api_paths import paths

Answer = Mapping[str, Any]
"""What AWS says of one method or integration."""


@dataclass(frozen=True)
class _Extra:
    """What a declared method or its integration has besides what is declared; `tell` says nothing where it has not.

    `whole` where the method has to be made anew, not only the integration.
    """

    subject: str
    risk: str
    tell: Callable[[Answer], str]
    whole: bool = False


def _listing(key: str, told: str) -> Callable[[Answer], str]:
    def tell(found: Answer) -> str:
        value = found.get(key)
        return f"{told}: {', '.join(sorted(value)) if isinstance(value, list | dict) else value}" if value else ""

    return tell


def _unless(key: str, usual: Any, told: str) -> Callable[[Answer], str]:
    def tell(found: Answer) -> str:
        value = found.get(key)
        return "" if value in (None, usual) else f"{told} {value} instead of {usual}"

    return tell


_TIMEOUT = 29_000
"""Milliseconds that API Gateway waits for an integration by default."""


def _shorter(found: Answer) -> str:
    timeout = found.get("timeoutInMillis") or _TIMEOUT
    return f"is given up after {timeout} ms" if timeout < _TIMEOUT else ""


def _longer(found: Answer) -> str:
    timeout = found.get("timeoutInMillis") or _TIMEOUT
    return f"may take {timeout} ms instead of {_TIMEOUT}" if timeout > _TIMEOUT else ""


def _key_required(found: Answer) -> str:
    return "is refused without an API key of a usage plan" if found.get("apiKeyRequired") else ""


_OF_METHOD = (
    _Extra("API key", STOPS, _key_required, whole=True),
    _Extra("authorizer", STOPS, _listing("authorizerId", "asks the authorizer"), whole=True),
    _Extra("scopes", STOPS, _listing("authorizationScopes", "asks for the scopes"), whole=True),
    _Extra("validator", STOPS, _listing("requestValidatorId", "is refused by the validator"), whole=True),
    _Extra("request parameters", ALTERS, _listing("requestParameters", "declares parameters"), whole=True),
    _Extra("request models", ALTERS, _listing("requestModels", "declares models for"), whole=True),
)
_OF_INTEGRATION = (
    _Extra("credentials", STOPS, _listing("credentials", "only succeeds if this role may call the function")),
    _Extra("timeout", STOPS, _shorter),
    _Extra("timeout", ALTERS, _longer),
    _Extra("mapping templates", ALTERS, _listing("requestTemplates", "has mapping templates for")),
    _Extra("mapped parameters", ALTERS, _listing("requestParameters", "passes on changed parameters")),
    _Extra("connection", ALTERS, _unless("connectionType", "INTERNET", "goes over")),
    _Extra("cache keys", ALTERS, _listing("cacheKeyParameters", "is cached by")),
    _Extra("content handling", ALTERS, _listing("contentHandling", "has its body converted")),
    _Extra("passthrough", ALTERS, _unless("passthroughBehavior", "WHEN_NO_MATCH", "is passed on")),
    _Extra("transfer mode", ALTERS, _unless("responseTransferMode", "BUFFERED", "is answered")),
)


def _cache_namespace(seen: Seen, integration: Answer) -> Iterator[Foreign]:
    """By default it is the id of the path."""
    namespace = integration.get("cacheNamespace") or seen.observed["ResourceId"]
    if namespace != seen.observed["ResourceId"]:
        found = f"{seen.resource.name} shares the cache {namespace}"
        yield seen.foreign("cache namespace", ALTERS, found, _making_anew(seen, whole=False))


def _of_route(seen: Seen) -> Iterator[Foreign]:
    integration = seen.observed.get("methodIntegration") or {}
    for extras, found in ((_OF_METHOD, seen.observed), (_OF_INTEGRATION, integration)):
        for extra in extras:
            if told := extra.tell(found):
                remove = _making_anew(seen, extra.whole)
                yield seen.foreign(extra.subject, extra.risk, f"{seen.resource.name} {told}", remove)
    yield from _cache_namespace(seen, integration)


def _making_anew(seen: Seen, whole: bool) -> Callable[[], None]:
    """PutMethod and PutIntegration reset what a request omits. Callers notice nothing before the deployment."""
    run, route, identifier = seen.run, seen.resource, seen.observed["RestApiId"]

    def act() -> None:
        client = run.client("apigateway")
        try:
            there = paths(run, identifier).get(route.path)
            if there:
                observed = route.found_in(there) | {"ResourceId": there["id"]}
                route.make_anew(run, route.desired(run), observed, whole)
        except client.exceptions.NotFoundException:
            return

    return then_deploy(run, route.api, identifier, act)


CHECK = Check(_of_route)
