"""What others added to a permission of a Lambda function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from iotpipe.provision.foreign.finding import STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.lambda_calls import call_if_exists
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.function_policy import statements
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.run import Run


def policy_around(run: Run, permission: Permission) -> dict[str, Properties]:
    """Return the function's policy, which contains the permission as a statement."""
    return statements(run, permission.function)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    """Yield conditions beyond the declared one: AWS requires all of them."""
    permission: Permission = checked.resource
    condition = checked.read(policy_around).get(permission.name, {}).get("Condition", {})
    added = {
        f"{operator} {key}": value
        for operator, tests in condition.items()
        for key, value in tests.items()
        if (operator, key) != ("ArnLike", "AWS:SourceArn")
    }
    if added:
        text = (
            f"{permission.method} {permission.path} reaches {permission.function.name} only where {json.dumps(added)}"
        )
        yield checked.finding("condition", STOPS, text, _recreation(checked))


def _recreation(checked: CheckedResource) -> Callable[[], None]:
    run, permission = checked.run, checked.resource

    def remove() -> None:
        call_if_exists(run, "remove_permission", FunctionName=permission.function.name, StatementId=permission.name)
        permission.create(run, permission.desired(run))

    return remove


CHECK = Check(_check, (policy_around,))
