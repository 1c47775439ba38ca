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
    try:
        from aws_xray_sdk.core import patch, xray_recorder
    except ImportError:
        return None
    # It complains about every call without a trace or a daemon, though nothing is wrong with the call.
    logging.getLogger("aws_xray_sdk").setLevel(logging.CRITICAL)
    patch(("botocore",))
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
            for name, value in line.annotations().items():
                subsegment.put_annotation(name, value)
