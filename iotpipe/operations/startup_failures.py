"""Why a function does not start: what Lambda logs of a handler that it could not import."""

from __future__ import annotations

import re

from iotpipe.names import Names
from iotpipe.operations.logs import LogReader
from iotpipe.provision.run import Run

_FAILED = re.compile(r"\[ERROR\] Runtime\.(?:ImportModuleError|UserCodeSyntaxError|HandlerNotFound|ExitError): (.+)")
"""https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html shows where they come from; the names are those of
https://github.com/aws/aws-lambda-python-runtime-interface-client"""


def failure(run: Run, function: str, suffix: str, since: int) -> str:
    """What Lambda has said last, since then (epoch milliseconds), of one of HANDLERS that does not start.

    Empty where it has said nothing, or where the function has run after that. Raises ResourceError.
    """
    group = Names(suffix).log_group(function)
    found = None
    for event in LogReader(run, function, group, since, phrase="[ERROR] Runtime.").new():
        if told := _FAILED.match(event.message):
            found = event.timestamp, told[1]
    if found is None:
        return ""
    later = LogReader(run, function, group, found[0] + 1).new()
    return "" if any(event.document() is not None for event in later) else found[1]
