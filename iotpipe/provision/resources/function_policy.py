"""The resource policy of a Lambda function."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from iotpipe.provision.resources.function import Function
from iotpipe.provision.run import Run


def remove_statement(run: Run, function: str, sid: str) -> None:
    """Remove a statement of the function's resource policy; that it is gone already is success."""
    client = run.client("lambda")
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):
        client.remove_permission(FunctionName=function, StatementId=sid)


def statements(run: Run, function: Function) -> dict[str, dict[str, Any]]:
    """The function's resource policy by the ids of its statements, asked for once per command."""
    return run.once(f"policy of {function.address}", lambda: policy_statements(run, function.name))


def policy_statements(run: Run, function: str, **qualifier: str) -> dict[str, dict[str, Any]]:
    """The resource policy of a function, or of its version or alias, by the ids of its statements."""
    client = run.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function, **qualifier)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return {}
    return {each["Sid"]: each for each in policy["Statement"]}
