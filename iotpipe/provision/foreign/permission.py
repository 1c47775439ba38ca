"""What others added to a permission of a Lambda function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from iotpipe.provision.foreign.finding import STOPS, Check, Foreign, Seen
from iotpipe.provision.foreign.lambda_calls import unless_gone
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.function_policy import statements
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.run import Run


def policy_around(run: Run, permission: Permission) -> dict[str, Properties]:
    """The policy that the permission is a statement of."""
    return statements(run, permission.function)


def _of_permission(seen: Seen) -> Iterator[Foreign]:
    """A condition more than declared: AWS adds it to the one on the route."""
    permission: Permission = seen.resource
    condition = seen.read(policy_around).get(permission.name, {}).get("Condition", {})
    more = {
        f"{operator} {key}": value
        for operator, tests in condition.items()
        for key, value in tests.items()
        if (operator, key) != ("ArnLike", "AWS:SourceArn")
    }
    if more:
        found = (
            f"{permission.method} {permission.path} reaches {permission.function.name} only where {json.dumps(more)}"
        )
        yield seen.foreign("condition", STOPS, found, _permitting_anew(seen))


def _permitting_anew(seen: Seen) -> Callable[[], None]:
    run, permission = seen.run, seen.resource

    def remove() -> None:
        unless_gone(run, "remove_permission", FunctionName=permission.function.name, StatementId=permission.name)
        permission.create(run, permission.desired(run))

    return remove


CHECK = Check(_of_permission, (policy_around,))
