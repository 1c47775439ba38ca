"""X-Ray behind one function. Its SDK is in maintenance mode: this is the module to exchange for another."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iotpipe.handlers.telemetry import Line


def _start() -> Any:
    """The recorder, with botocore's calls traced from now on. None off Lambda or where the layer lacks the SDK."""
    if "LAMBDA_TASK_ROOT" not in os.environ:
        return None
    # It complains about every call without a trace or a daemon, though nothing is wrong with the call.
    logging.getLogger("aws_xray_sdk").setLevel(logging.CRITICAL)
    try:
        from aws_xray_sdk.core import patch, xray_recorder

        patch(("botocore",))
    # Whatever keeps it from starting (not there, a daemon's address it cannot read): readings matter more than traces.
    except Exception as error:  # noqa: BLE001
        logging.getLogger(__name__).warning("nothing will be traced: %s", type(error).__name__)
        return None
    return xray_recorder


_recorder = _start()


@contextmanager
def span(line: Line) -> Iterator[None]:
    """A subsegment around an invocation, annotated at its end with what its log line says by then."""
    if _recorder is None:
        yield
        return
    with _recorder.in_subsegment(line.fields["function"]) as subsegment:
        try:
            yield
        finally:
            if subsegment:
                _mark(subsegment, line.annotations())


def _mark(subsegment: Any, annotations: dict[str, str | int]) -> None:
    """X-Ray itself counts only what is raised: an answer is a fault or an error if it is said of it."""
    for name, value in annotations.items():
        subsegment.put_annotation(name, value)
    status = int(annotations.get("status", 0))
    if status >= 500:
        subsegment.add_fault_flag()
    elif status >= 400:
        subsegment.add_error_flag()
