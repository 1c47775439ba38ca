"""X-Ray tracing. The X-Ray SDK is in maintenance mode; only this module uses it, so that it can be replaced."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iotpipe.handlers.telemetry import Line


def _start() -> Any:
    """Trace botocore's calls and return the recorder; None outside Lambda, or if the layer lacks the SDK."""
    if "LAMBDA_TASK_ROOT" not in os.environ:
        return None
    # The SDK logs an error for every call without a trace or a daemon, although the call itself succeeds.
    logging.getLogger("aws_xray_sdk").setLevel(logging.CRITICAL)
    try:
        from aws_xray_sdk.core import patch, xray_recorder

        patch(("botocore",))
    # Any error (no SDK, an invalid daemon address): readings matter more than traces.
    except Exception as error:  # noqa: BLE001
        logging.getLogger(__name__).warning("tracing is disabled: %s", type(error).__name__)
        return None
    return xray_recorder


_recorder = _start()


@contextmanager
def span(line: Line) -> Iterator[None]:
    """Record an invocation as a subsegment, annotated at its end from the log line."""
    if _recorder is None:
        yield
        return
    with _recorder.in_subsegment(line.fields["function"]) as subsegment:
        try:
            yield
        finally:
            if subsegment:
                _annotate(subsegment, line.annotations())


def _annotate(subsegment: Any, annotations: dict[str, str | int]) -> None:
    """Add the annotations, and mark 5xx as faults and 4xx as errors: X-Ray itself only counts exceptions."""
    for name, value in annotations.items():
        subsegment.put_annotation(name, value)
    status = int(annotations.get("status", 0))
    if status >= 500:
        subsegment.add_fault_flag()
    elif status >= 400:
        subsegment.add_error_flag()
