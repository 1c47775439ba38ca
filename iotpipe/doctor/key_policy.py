"""Whom the policy of a KMS key lets do what: yes, no, or only under conditions that AWS alone can judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from iotpipe.provision.foreign.statements import Document, Statement, covers, denies, listed, principals, statements

LOG_GROUP = "kms:EncryptionContext:aws:logs:arn"
"""The condition key with the log group that CloudWatch Logs encrypts."""
_ACCOUNT = ("aws:sourceaccount", "aws:principalaccount", "kms:calleraccount")
_SAME = ("stringequals", "stringlike", "arnequals", "arnlike")


@dataclass(frozen=True)
class User:
    """Somebody whom the key's policy has to let in: `names` are those by which it may, the first is shown.

    `actions` are the calls of KMS, `granted` how AWS's documentation writes them into a policy, `why` what fails
    otherwise. `contexts` are the ARNs of the log groups for which it must hold. `account` is the account in which all
    of this happens.
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

    def statement(self) -> str:
        """What to add to the key's policy."""
        wanted: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Principal": {self.kind: self.names[0]}}
        wanted |= {"Action": list(self.granted), "Resource": "*"}
        return json.dumps(wanted | ({"Condition": self.condition} if self.condition else {}))

    def is_let_in(self, document: Document, action: str) -> bool | None:
        """Whether the policy allows the action, for each log group that it is about; None where AWS alone can tell."""
        about = [each for each in statements(document) if covers(each, action) and self._concerned(each)]
        return _all(self._allowed(about, context) for context in self.contexts or ("",))

    def _allowed(self, about: list[Statement], context: str) -> bool | None:
        denied = _any(self._holds(each, context) for each in about if denies(each))
        allowed = _any(self._holds(each, context) for each in about if not denies(each))
        return _all([allowed, None if denied is None else not denied])

    def _concerned(self, statement: Statement) -> bool:
        named = any(
            value == "*" or (kind, value) in ((self.kind, name) for name in self.names)
            for kind, value in principals(statement)
        )
        return named is not ("NotPrincipal" in statement)

    def _holds(self, statement: Statement, context: str) -> bool | None:
        """Whether all conditions of the statement are met."""
        tests = (statement.get("Condition") or {}).items()
        return _all(
            self._met(operator.lower(), key.lower(), [str(each) for each in listed(values)], context)
            for operator, keys in tests
            for key, values in keys.items()
        )

    def _met(self, operator: str, key: str, values: list[str], context: str) -> bool | None:
        if operator not in _SAME:
            return None
        if key == LOG_GROUP.lower():
            return any(fnmatchcase(context, each) for each in values)
        return any(fnmatchcase(self.account, each) for each in values) if key in _ACCOUNT else None


def _any(answers: Any) -> bool | None:
    """Whether one of them is true; None where that depends on one that nobody knows."""
    known = list(answers)
    return True if True in known else None if None in known else False


def _all(answers: Any) -> bool | None:
    known = list(answers)
    return False if False in known else None if None in known else True
