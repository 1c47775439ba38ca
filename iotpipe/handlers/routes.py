"""What every HTTP route does around its own work: configuration, time, trace, log line, refusals."""

from __future__ import annotations

from collections.abc import Callable
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


def serve(function: str, route: str, work: Callable[[Call], Answer], event: Any, context: Any) -> Answer:
    """Answer a proxy event by `work`: what that refuses is 4xx, what AWS cannot do at the moment 503.

    Raises NotUnderstood for any other event.
    """
    if not events.is_proxy_event(event):
        events.refuse(function, event, context, "no API Gateway proxy event")
    line = telemetry.Line(function, context)
    request = web.request(event, context)
    line.fields.update(route=route, request_id=request.request_id, correlation_id=request.correlation_id)
    line.counts["rejected"] = 0
    try:
        with tracing.span(line):
            budget = Budget(_LONGEST, context)
            configured = settings.load(budget)
            budget.shorten(configured.processing_timeout)
            answer = _answer(work, Call(request, configured, budget, line))
            line.fields["status"] = answer["statusCode"]
            return answer
    finally:
        line.write()


def _answer(work: Callable[[Call], Answer], call: Call) -> Answer:
    try:
        return work(call)
    except web.Refused as refused:
        call.line.counts["rejected"] = 1
        call.line.fields["reasons"] = sorted({entry["code"] for entry in refused.details})
        return web.refusal(call.request, refused)
    except web.Unavailable as error:
        call.line.fields["reasons"] = [str(error)]
        return web.unavailable(call.request, {})
