"""What every HTTP route does around its own work: configuration, time, trace, log line, refusals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iotpipe.handlers import settings, telemetry, tracing, web
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.web import Request

logger = logging.getLogger(__name__)

# API Gateway gives up on an integration after 29 s, whatever the function's own timeout is.
_LONGEST = 28


@dataclass(frozen=True)
class Call:
    """One HTTP request, and what is at hand for answering it."""

    request: Request
    settings: Settings
    budget: Budget
    line: telemetry.Line

    def count(self, **counts: int) -> None:
        self.line.metrics.update(counts)


def serve(
    function: str, route: str, work: Callable[[Call], dict[str, Any]], event: Any, context: Any
) -> dict[str, Any]:
    """Answer a proxy event by `work`; what it refuses becomes 4xx, what AWS refuses it 503."""
    line = telemetry.Line(function, context)
    request = web.request(event, context)
    notes = line.fields
    notes.update(route=route, request_id=request.request_id, correlation_id=request.correlation_id)
    try:
        with tracing.span(function, line):
            configured = settings.load()
            budget = Budget(min(configured.processing_timeout, _LONGEST), context)
            answer = _answer(work, Call(request, configured, budget, line))
            notes["status"] = answer["statusCode"]
        return answer
    finally:
        line.write()


def _answer(work: Callable[[Call], dict[str, Any]], call: Call) -> dict[str, Any]:
    try:
        return work(call)
    except web.Refused as refused:
        call.count(rejected=1)
        call.line.fields["reasons"] = sorted({entry["code"] for entry in refused.details})
        return web.refusal(call.request, refused)
    except web.Unavailable as error:
        call.line.fields["reasons"] = [str(error)]
        return web.unavailable(call.request)
