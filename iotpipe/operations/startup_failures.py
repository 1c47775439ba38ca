"""Find out why a function does not start: the import error of its handler, from Lambda's log."""

from __future__ import annotations

import re

from iotpipe.names import Names
from iotpipe.operations.logs import LogReader
from iotpipe.provision.run import Run

_FAILED = re.compile(r"\[ERROR\] Runtime\.(?:ImportModuleError|UserCodeSyntaxError|HandlerNotFound|ExitError): (.+)")
"""https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html shows where they come from; the names are those of
https://github.com/aws/aws-lambda-python-runtime-interface-client"""


def startup_failure(run: Run, function: str, suffix: str, since: int) -> str:
    """The last startup error that Lambda logged for one of HANDLERS after `since` (epoch milliseconds).

    Empty without an error, or if the function has run after it. Raises ResourceError.
    """
    group = Names(suffix).log_group(function)
    last = None
    for event in LogReader(run, function, group, since, phrase="[ERROR] Runtime.").new():
        if matched := _FAILED.match(event.message):
            last = event.timestamp, matched[1]
    if last is None:
        return ""
    timestamp, reason = last
    later = LogReader(run, function, group, timestamp + 1).new()
    return "" if any(event.document() is not None for event in later) else reason
