"""What every HTTP route does around its own work: configuration, time, trace, log line, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.handlers import events, settings, telemetry, tracing, web
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Answer, Request

# API Gateway gives up on an integration after 29 s, whatever the function's own timeout is.
_LONGEST = 28


@dataclass(frozen=True)
class Call:
    """One HTTP request, and what is at hand for answering it."""

    request: Request
    settings: Settings
    budget: Budget
    line: telemetry.Line


Work = Callable[[Call], Answer]
"""What one route does."""
Routes = Mapping[str, Work]
"""The routes of one function, by method and path, such as "GET /query"."""


def serve(function: str, served: Routes, event: Any, context: Any) -> Answer:
    """Answer a proxy event by its route's work: what that refuses is 4xx, what AWS cannot do at the moment 503.

    An event that names none of the routes gets the first one's answer. Raises NotUnderstood for any other event.
    """
    if not events.is_proxy_event(event):
        events.refuse(function, event, context, "no API Gateway proxy event")
    line = telemetry.Line(function, context)
    request = web.request(event, context)
    route = _route(served, event)
    line.fields.update(route=route.split()[1], request_id=request.request_id, correlation_id=request.correlation_id)
    line.counts["rejected"] = 0
    try:
        with tracing.span(line):
            budget = Budget(_LONGEST, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            answer = _answer(served[route], Call(request, configured, budget, line))
            line.fields["status"] = answer["statusCode"]
            return answer
    finally:
        line.write()


def _route(served: Routes, event: Mapping[str, Any]) -> str:
    # `resource` is the path as API Gateway has it declared, `{}` and all.
    asked = f"{event['httpMethod']} {event.get('resource')}"
    return asked if asked in served else next(iter(served))


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
