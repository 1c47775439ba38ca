"""Evaluate the policy of a KMS key: an action is allowed, denied, or depends on conditions that only AWS can judge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.statements import Document, Statement, covers, denies, listed, principals, statements

LOG_GROUP = "kms:EncryptionContext:aws:logs:arn"
"""The condition key with the log group that CloudWatch Logs encrypts."""
_ACCOUNT_KEYS = {"AWS": ("aws:principalaccount", "kms:calleraccount"), "Service": ("aws:sourceaccount",)}
"""The condition keys with the account, by kind of principal. AWS documents no other for a service, and none of a
service's for a role: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""
_EQUALITY_OPERATORS = ("stringequals", "stringlike", "arnequals", "arnlike")


@dataclass(frozen=True)
class User:
    """A principal that the key's policy must allow. `names` are its possible names in a policy, the first is shown.

    `actions` are the KMS calls, `granted` how AWS's documentation writes them in a policy, `why` what fails without
    them. `contexts` are the ARNs of the log groups for which the policy must allow them. `account` is the
    environment's account. `denied_as` are further names by which a Deny applies: for a role, those of its account.
    """

    sid: str
    kind: str
    names: tuple[str, ...]
    actions: tuple[str, ...]
    granted: tuple[str, ...]
    why: str
    account: str
    condition: Mapping[str, Any]
    contexts: tuple[str, ...] = ()
    denied_as: tuple[str, ...] = ()

    def statement(self) -> str:
        """The statement to add to the key's policy."""
        wanted: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Principal": {self.kind: self.names[0]}}
        wanted |= {"Action": list(self.granted), "Resource": "*"}
        return json.dumps(wanted | ({"Condition": self.condition} if self.condition else {}))

    def is_allowed(self, document: Document, action: str) -> bool | None:
        """Whether the policy allows the action for all log groups of `contexts`; None if only AWS can tell."""
        matching = [each for each in statements(document) if covers(each, action)]
        return _all(self._allowed(matching, context) for context in self.contexts or ("",))

    def is_denied(self, document: Document, action: str) -> bool | None:
        """Whether a Deny statement applies for any log group of `contexts`; None if only AWS can tell."""
        matching = [each for each in statements(document) if covers(each, action)]
        return _any(self._denied(matching, context) for context in self.contexts or ("",))

    def _allowed(self, matching: list[Statement], context: str) -> bool | None:
        denied = self._denied(matching, context)
        allowed = _any(self._applies(each, context) for each in matching if not denies(each))
        return _all([allowed, None if denied is None else not denied])

    def _denied(self, matching: list[Statement], context: str) -> bool | None:
        return _any(self._applies(each, context) for each in matching if denies(each))

    def is_concerned(self, statement: Statement) -> bool | None:
        """Whether the statement's principals include this user; None if only AWS can tell."""
        listed_principals = principals(statement)
        named = any(self._is_named(kind, value) for kind, value in listed_principals)
        if "NotPrincipal" in statement:
            # NotPrincipal excepts a role only together with its session; AWS advises against it in an Allow.
            return None if not denies(statement) or (named and self.denied_as) else not named
        if named or not denies(statement):
            return named
        if any(kind == self.kind and value in self.denied_as for kind, value in listed_principals):
            return True
        sessions = [f":assumed-role/{name.rpartition('/')[2]}/" for name in self.names if self.denied_as]
        return None if any(each in value for each in sessions for _, value in listed_principals) else False

    def _is_named(self, kind: str, value: str) -> bool:
        return kind in ("AWS", self.kind) and (value == "*" or (kind == self.kind and value in self.names))

    def _applies(self, statement: Statement, context: str) -> bool | None:
        """Whether the statement is about this user and this key, and all its conditions are met."""
        conditions = (statement.get("Condition") or {}).items()
        met = [
            self._met(operator.lower(), key.lower(), [str(each) for each in listed(values)], context)
            for operator, keys in conditions
            for key, values in keys.items()
        ]
        return _all([self.is_concerned(statement), _is_about_the_key(statement), *met])

    def _met(self, operator: str, key: str, values: list[str], context: str) -> bool | None:
        if operator not in _EQUALITY_OPERATORS:
            return None
        if key == LOG_GROUP.lower():
            return _any(_matches(operator, context, each) for each in values) if context else False
        known = key in _ACCOUNT_KEYS[self.kind]
        return _any(_matches(operator, self.account, each) for each in values) if known else None


def _is_about_the_key(statement: Statement) -> bool | None:
    """Whether the resource is "*", the key itself in a key's policy; AWS ignores a statement on anything else."""
    return True if "*" in listed(statement.get("Resource", [])) else None


def _matches(operator: str, value: str, wanted: str) -> bool | None:
    """Whether the value matches by this operator; None if `wanted` has a policy variable or is not a full ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    if "${" in wanted:
        return None
    if operator == "stringequals":
        return value == wanted
    if operator == "stringlike":
        return _like(value, wanted)
    # ARN operators compare the six parts one by one: a wildcard does not cross a colon.
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    if not len(parts) == len(patterns) == 6:
        return None
    return all(map(_like, parts, patterns))


def _like(value: str, pattern: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(wildcards.get(each, re.escape(each)) for each in pattern), value, re.DOTALL))


def _any(values: Any) -> bool | None:
    """Three-valued `any`: None is unknown."""
    listed_values = list(values)
    return True if True in listed_values else None if None in listed_values else False


def _all(values: Any) -> bool | None:
    """Three-valued `all`: None is unknown."""
    listed_values = list(values)
    return False if False in listed_values else None if None in listed_values else True
