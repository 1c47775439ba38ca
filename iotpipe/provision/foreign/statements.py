"""Statements that others added to resource policies, described in plain words: who may do what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, OPENS, STOPS, CheckedResource, Foreign
from iotpipe.provision.policy_documents import canonical
from iotpipe.provision.run import Run

Statement = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """The resource policy of one kind.

    `verbs` describes the relevant actions in plain words. `needed` are the actions that the pipeline needs; a
    statement that denies one of them has the risk `denied`. `read` returns the live document, empty if there is none.
    `write` replaces the document, and removes it if no statement is left.
    """

    verbs: Mapping[str, str]
    needed: tuple[str, ...]
    read: Callable[[Run, Any], Document]
    write: Callable[[Run, Any, Document], None]
    denied: str = STOPS
    anybody: str = "anybody"

    def judge(
        self,
        checked: CheckedResource,
        document: Document,
        is_expected: Callable[[Statement], bool] = lambda statement: False,
    ) -> Iterator[Foreign]:
        """Yield one finding per statement that is not expected."""
        for number, statement in enumerate(statements(document), 1):
            if is_expected(statement):
                continue
            subject = f"statement {statement.get('Sid') or f'#{number}'}"
            text = self._description(statement, checked)
            yield checked.finding(
                subject, self._risk(statement, checked), text, partial(self._remove, checked, statement)
            )

    def _description(self, statement: Statement, checked: CheckedResource) -> str:
        can = "cannot" if denies(statement) else "can"
        who = describe_principals(statement, checked.run.aws.account, self.anybody)
        return f"{who} {can} {self._verbs_of(statement)} {checked.resource.name}{condition(statement)}"

    def _verbs_of(self, statement: Statement) -> str:
        verbs = [text for action, text in self.verbs.items() if covers(statement, action)]
        return " and ".join(dict.fromkeys(verbs)) or f"do {actions(statement)} on"

    def _risk(self, statement: Statement, checked: CheckedResource) -> str:
        if not denies(statement):
            return OPENS
        hits = any(covers(statement, action) for action in self.needed) and not only_without_tls(statement)
        return self.denied if hits and concerns(statement, checked.run.aws.account) else ALTERS

    def _remove(self, checked: CheckedResource, statement: Statement) -> None:
        # Read the document again: other removals may have changed it.
        with checked.run.exclusive(f"policy of {checked.resource.address}"):
            document = self.read(checked.run, checked.resource)
            left = [each for each in statements(document) if not same([each], [statement])]
            if len(left) < len(statements(document)):
                self.write(checked.run, checked.resource, {**document, "Statement": left})


def parsed(text: str | None) -> Document:
    """Parse a document; empty if there is none."""
    document: Document = json.loads(text or "{}")
    return document


def statements(document: Document) -> list[Statement]:
    return listed(document.get("Statement", []))


def listed(value: Any) -> list[Any]:
    """Return a policy's value as a list: it is a list or a single element."""
    return list(value) if isinstance(value, list) else [value]


def same(one: list[Statement], other: list[Statement]) -> bool:
    """Whether both lists of statements have the same meaning, in whatever form."""
    return canonical({"Statement": one}) == canonical({"Statement": other})


def denies(statement: Statement) -> bool:
    return str(statement.get("Effect")) == "Deny"


def covers(statement: Statement, action: str) -> bool:
    """Whether the statement applies to this action."""
    negated = "NotAction" in statement
    patterns = [str(each).lower() for each in listed(statement.get("NotAction" if negated else "Action", []))]
    return negated is not any(fnmatchcase(action.lower(), each) for each in patterns)


def actions(statement: Mapping[str, Any]) -> str:
    """Describe the actions of the statement."""
    if "NotAction" in statement:
        return f"everything but {', '.join(map(str, listed(statement['NotAction'])))}"
    return ", ".join(map(str, listed(statement.get("Action", []))))


def principals(statement: Statement) -> list[tuple[str, str]]:
    """Return each principal as (kind, value); anybody is ("AWS", "*")."""
    principal = statement.get("Principal", statement.get("NotPrincipal", "*"))
    if not isinstance(principal, Mapping):
        return [("AWS", str(principal))]
    return [(kind, str(each)) for kind, values in principal.items() for each in listed(values)]


def is_public(statement: Statement) -> bool:
    """Whether the statement applies to everybody."""
    return any(value == "*" for _, value in principals(statement))


def principal_names(statement: Statement) -> str:
    """Return "anybody", or the principals as AWS names them."""
    return "anybody" if is_public(statement) else ", ".join(value for _, value in principals(statement))


def concerns(statement: Statement, account: str) -> bool:
    """Whether the statement may apply to a principal in this account."""
    named = principals(statement)
    return "NotPrincipal" in statement or any(value == "*" or account in value for _, value in named)


def describe_principals(statement: Statement, account: str, anybody: str = "anybody") -> str:
    """Describe the principals of the statement in plain words."""
    names = [anybody if value == "*" else _principal(kind, value, account) for kind, value in principals(statement)]
    text = " and ".join(dict.fromkeys(names))
    return f"everybody but {text}" if "NotPrincipal" in statement else text


def _principal(kind: str, value: str, account: str) -> str:
    if kind != "AWS":
        return f"the service {value}" if kind == "Service" else f"{value} ({kind})"
    # AWS shows a deleted principal by its id, without an account.
    owner = value if value.isdigit() else value.split(":")[4] if value.count(":") > 4 else account
    whole = value.isdigit() or value.endswith(":root")
    if owner == account:
        return f"whoever has the rights in account {account}" if whole else value
    return f"account {owner} (another one)" if whole else f"{value} (of another account)"


def condition(statement: Statement) -> str:
    """Describe the condition of the statement, as the end of a sentence."""
    tests = [
        f"{key} {operator} {' or '.join(map(str, listed(values)))}"
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return f", if {' and '.join(tests)}" if tests else ""


def compared(statement: Statement, operator: str) -> dict[str, list[str]]:
    """Return the values that the statement's condition compares by this operator, by key in lower case."""
    return {
        key.lower(): [str(each) for each in listed(values)]
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
        if name.lower() == operator.lower()
    }


def only_without_tls(statement: Statement) -> bool:
    """Whether the statement applies only to calls without TLS, which the pipeline never makes."""
    return compared(statement, "Bool").get("aws:securetransport") == ["false"]
