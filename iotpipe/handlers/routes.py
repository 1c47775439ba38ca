"""The frame of every HTTP route: settings, time budget, trace, log line and error answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.handlers import events, settings, telemetry, tracing, web
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Answer, Request

# API Gateway's integration timeout is 29 s, independent of the function's timeout.
_MAX_SECONDS = 28


@dataclass(frozen=True)
class Call:
    """One HTTP request, with its settings, time budget and log line."""

    request: Request
    settings: Settings
    budget: Budget
    line: telemetry.Line


Work = Callable[[Call], Answer]
"""Answers the requests of one route."""
Routes = Mapping[str, Work]
"""The routes of one function, by method and path, such as "GET /query"."""


def serve(function: str, routes: Routes, event: Any, context: Any) -> Answer:
    """Answer a proxy event with its route: 4xx if the route refuses it, 503 if AWS is unavailable.

    An event without a known route gets the first route. Raises NotUnderstood for other kinds of events.
    """
    if not events.is_proxy_event(event):
        events.refuse(function, event, context, "no API Gateway proxy event")
    line = telemetry.Line(function, context)
    request = web.request(event, context)
    route = _route(routes, event)
    line.fields.update(route=route.split()[1], request_id=request.request_id, correlation_id=request.correlation_id)
    line.counts["rejected"] = 0
    try:
        with tracing.span(line):
            budget = Budget(_MAX_SECONDS, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            answer = _answer(routes[route], Call(request, configured, budget, line))
            line.fields["status"] = answer["statusCode"]
            return answer
    finally:
        line.write()


def _route(routes: Routes, event: Mapping[str, Any]) -> str:
    # `resource` is the path as declared in API Gateway, with its `{parameters}`.
    route = f"{event['httpMethod']} {event.get('resource')}"
    return route if route in routes else next(iter(routes))


def _answer(work: Work, call: Call) -> Answer:
    try:
        return work(call)
    except web.Refused as refused:
        call.line.counts["rejected"] = 1
        call.line.fields["reasons"] = sorted({entry["code"] for entry in refused.details})
        return web.refusal(call.request, refused)
    except web.Unavailable as error:
        call.line.fields["reasons"] = [str(error)]
        return web.unavailable(call.request, {})
