"""IAM: what is written is seen late, and other services learn of roles and policies later still."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.support.aws_rules.layer import Asked, Late, Refused, Service

_SIMULTANEOUS = (
    "The request was rejected because multiple requests to change this object were submitted simultaneously. "
    "Wait a few minutes and submit your request again."
)


@dataclass
class KnownRole:
    """A role as the other services know it."""

    identifier: str
    made: float
    trust: str
    policies: dict[str, Late] = field(default_factory=dict)
    stripped: float = 0.0


class Iam(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.roles: dict[str, KnownRole] = {}

    def role(self, arn: str) -> KnownRole | None:
        return self.roles.get(arn.rsplit("/", 1)[1])

    def assumable(self, arn: str, service: str) -> bool:
        """Whether the service can assume the role by now."""
        role = self.role(arn)
        return role is not None and service in role.trust and self.now >= role.made + self.delays.role

    def may(self, arn: str, action: str, resource: str) -> bool:
        """Whether the role's policies that are effective by now allow it."""
        return self._allows(arn, action, resource, lambda policy: policy.seen(self.now))

    def will(self, arn: str, action: str, resource: str) -> bool:
        """Whether the role's policies allow it once they are all effective."""
        return self._allows(arn, action, resource, lambda policy: policy.newest)

    def _allows(self, arn: str, action: str, resource: str, document: Any) -> bool:
        role = self.role(arn)
        documents = (document(each) for each in (role.policies.values() if role else ()))
        statements = (each for text in documents if text for each in _listed(json.loads(text)["Statement"]))
        return any(
            each["Effect"] == "Allow"
            and any(fnmatchcase(action, pattern) for pattern in _listed(each["Action"]))
            and any(fnmatchcase(resource, pattern) for pattern in _listed(each["Resource"]))
            for each in statements
        )

    def _hide(self, asked: Asked, lag: float) -> None:
        role = self.roles.get(asked["RoleName"])
        if role and self.now < role.made + lag:
            name = asked["RoleName"]
            raise Refused("NoSuchEntity", f"The role with name {name} cannot be found.", 404)

    def _write(self, asked: Asked) -> None:
        self._hide(asked, self.delays.unwritable)
        self.alone(f"role {asked['RoleName']}", Refused("ConcurrentModification", _SIMULTANEOUS, 409))

    def after_create_role(self, asked: Asked, answer: Any) -> None:
        trust = asked["AssumeRolePolicyDocument"]
        self.roles[asked["RoleName"]] = KnownRole(answer["Role"]["RoleId"], self.now, trust)

    def before_get_role(self, asked: Asked) -> None:
        self._hide(asked, self.delays.unseen)

    def before_put_role_policy(self, asked: Asked) -> None:
        self._write(asked)

    def before_tag_role(self, asked: Asked) -> None:
        self._write(asked)

    def after_update_assume_role_policy(self, asked: Asked, answer: Any) -> None:
        self.roles[asked["RoleName"]].trust = asked["PolicyDocument"]

    def after_put_role_policy(self, asked: Asked, answer: Any) -> None:
        policies = self.roles[asked["RoleName"]].policies
        # In its first seconds nobody can use a role anyway: its policy is late by itself.
        policy = policies.setdefault(asked["PolicyName"], Late(self.now, ""))
        policy.set(self.now, asked["PolicyDocument"], self.delays.policy)

    def after_delete_role_policy(self, asked: Asked, answer: Any) -> None:
        role = self.roles[asked["RoleName"]]
        role.policies.pop(asked["PolicyName"], None)
        role.stripped = self.now

    def before_delete_role(self, asked: Asked) -> None:
        role = self.roles.get(asked["RoleName"])
        if role and self.now < role.stripped + self.delays.policies_gone:
            raise Refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409)

    def after_delete_role(self, asked: Asked, answer: Any) -> None:
        self.roles.pop(asked["RoleName"], None)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
