"""Whom the policy of a KMS key lets do what: yes, no, or only under conditions that AWS alone can judge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.statements import Document, Statement, covers, denies, listed, principals, statements

LOG_GROUP = "kms:EncryptionContext:aws:logs:arn"
"""The condition key with the log group that CloudWatch Logs encrypts."""
_ACCOUNT = {"AWS": ("aws:principalaccount", "kms:calleraccount"), "Service": ("aws:sourceaccount",)}
"""By kind of principal, the condition keys with its account. AWS documents no other for a service, and none of a
service's for a role: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""
_SAME = ("stringequals", "stringlike", "arnequals", "arnlike")


@dataclass(frozen=True)
class User:
    """Somebody whom the key's policy has to let in: `names` are those by which it may, the first is shown.

    `actions` are the calls of KMS, `granted` how AWS's documentation writes them into a policy, `why` what fails
    otherwise. `contexts` are the ARNs of the log groups for which it must hold. `account` is the account in which all
    of this happens. `denied_as` are further names by which a denial meets it: those of the account, for a role.
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
        """What to add to the key's policy."""
        wanted: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Principal": {self.kind: self.names[0]}}
        wanted |= {"Action": list(self.granted), "Resource": "*"}
        return json.dumps(wanted | ({"Condition": self.condition} if self.condition else {}))

    def is_let_in(self, document: Document, action: str) -> bool | None:
        """Whether the policy allows the action, for each log group that it is about; None where AWS alone can tell."""
        about = [each for each in statements(document) if covers(each, action)]
        return _all(self._allowed(about, context) for context in self.contexts or ("",))

    def is_denied(self, document: Document, action: str) -> bool | None:
        """Whether a denial stops the action, for any of the log groups that it is about."""
        about = [each for each in statements(document) if covers(each, action)]
        return _any(self._denied(about, context) for context in self.contexts or ("",))

    def _allowed(self, about: list[Statement], context: str) -> bool | None:
        denied = self._denied(about, context)
        allowed = _any(self._holds(each, context) for each in about if not denies(each))
        return _all([allowed, None if denied is None else not denied])

    def _denied(self, about: list[Statement], context: str) -> bool | None:
        return _any(self._holds(each, context) for each in about if denies(each))

    def is_concerned(self, statement: Statement) -> bool | None:
        """Whether the statement is about this user."""
        found = principals(statement)
        named = any(self._is_named(kind, value) for kind, value in found)
        if "NotPrincipal" in statement:
            # A role is only excepted together with its session, and AWS advises against an Allow of this kind.
            return None if not denies(statement) or (named and self.denied_as) else not named
        if named or not denies(statement):
            return named
        if any(kind == self.kind and value in self.denied_as for kind, value in found):
            return True
        sessions = [f":assumed-role/{name.rpartition('/')[2]}/" for name in self.names if self.denied_as]
        return None if any(each in value for each in sessions for _, value in found) else False

    def _is_named(self, kind: str, value: str) -> bool:
        return kind in ("AWS", self.kind) and (value == "*" or (kind == self.kind and value in self.names))

    def _holds(self, statement: Statement, context: str) -> bool | None:
        """Whether the statement is about this user and this key, and all its conditions are met."""
        tests = (statement.get("Condition") or {}).items()
        met = [
            self._met(operator.lower(), key.lower(), [str(each) for each in listed(values)], context)
            for operator, keys in tests
            for key, values in keys.items()
        ]
        return _all([self.is_concerned(statement), _is_on_the_key(statement), *met])

    def _met(self, operator: str, key: str, values: list[str], context: str) -> bool | None:
        if operator not in _SAME:
            return None
        if key == LOG_GROUP.lower():
            return _any(_compared(operator, context, each) for each in values) if context else False
        known = key in _ACCOUNT[self.kind]
        return _any(_compared(operator, self.account, each) for each in values) if known else None


def _is_on_the_key(statement: Statement) -> bool | None:
    """In a key's policy "*" is the key itself, and AWS ignores a statement on anything else."""
    return True if "*" in listed(statement.get("Resource", [])) else None


def _compared(operator: str, value: str, wanted: str) -> bool | None:
    """Whether the operator finds the value to be what is wanted; None where that is a variable or no whole ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    if "${" in wanted:
        return None
    if operator == "stringequals":
        return value == wanted
    if operator == "stringlike":
        return _like(value, wanted)
    # Each of the six parts is compared for itself, so that a wildcard ends at the colon.
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    if not len(parts) == len(patterns) == 6:
        return None
    return all(map(_like, parts, patterns))


def _like(value: str, pattern: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(wildcards.get(each, re.escape(each)) for each in pattern), value, re.DOTALL))


def _any(answers: Any) -> bool | None:
    """Whether one of them is true; None where that depends on one that nobody knows."""
    known = list(answers)
    return True if True in known else None if None in known else False


def _all(answers: Any) -> bool | None:
    known = list(answers)
    return False if False in known else None if None in known else True
