"""X-Ray behind one function. Its SDK is in maintenance mode: this is the module to exchange for another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iotpipe.handlers.telemetry import Line

_recorder: Any = None


def start() -> None:
    """Trace AWS calls from now on. Off Lambda, or without the SDK in the layer, nothing is traced."""
    global _recorder
    if "LAMBDA_TASK_ROOT" not in os.environ:
        return
    try:
        from aws_xray_sdk.core import patch, xray_recorder
    except ImportError:
        return
    patch(("botocore",))
    _recorder = xray_recorder


@contextmanager
def span(name: str, line: Line) -> Iterator[None]:
    """A subsegment around an invocation, annotated at its end with what the log line says by then."""
    if _recorder is None:
        yield
        return
    with _recorder.in_subsegment(name) as subsegment:
        try:
            yield
        finally:
            if subsegment is not None:
                for key, value in line.annotations().items():
                    subsegment.put_annotation(key, value)


start()
